package statsd

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/statsd_exporter/pkg/event"
)

// queue gathers events for whoever updates the series.
type queue struct {
	out       chan event.Events
	threshold int
	flushed   prometheus.Counter
	over      chan struct{} // closed when nobody reads out any more

	mu      sync.Mutex
	waiting event.Events // guarded by mu
}

// newQueue makes a queue of size events, which are sent by threshold.
func newQueue(size, threshold int, flushed prometheus.Counter) *queue {
	return &queue{out: make(chan event.Events, max(1, size/threshold)), threshold: threshold, flushed: flushed, over: make(chan struct{})}
}

// add adds events; it waits while the queue is full.
func (q *queue) add(events event.Events) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting = append(q.waiting, events...); len(q.waiting) >= q.threshold {
		q.send()
	}
}

// flush sends the waiting events.
func (q *queue) flush() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.send()
}

// send sends the waiting events. The caller holds mu.
func (q *queue) send() {
	if len(q.waiting) == 0 {
		return
	}
	select {
	case q.out <- q.waiting:
		q.flushed.Inc()
	case <-q.over:
	}
	q.waiting = nil
}

// run flushes at each interval, until ctx ends.
func (q *queue) run(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			q.flush()
		}
	}
}
