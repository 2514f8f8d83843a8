package docker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
	"collector/pkg/docker"
	"collector/pkg/throttle"
)

// tail follows the output of one container. Its run reads; deliver sends the lines to the
// sinks, and runs only while there are any.
type tail struct {
	id     string
	source *Source
	wake   chan struct{} // has a token when the target has changed
	room   chan struct{} // has a token when the batch has been taken
	full   chan struct{} // has a token when the batch is full

	deliveries sync.WaitGroup
	identity   atomic.Pointer[identity]
	present    atomic.Bool // the target is in the set

	// Of the goroutine of run:
	unfinished      *pump  // the lines that had begun when the last connection ended
	wideAt          cursor // a window at the log's end is too small to continue there
	recent          [streamCount]recent
	ended           bool      // the output has ended, and was opened again at once
	corrupt         int       // attempts in a row that ended at damage
	damaged         bool      // a window may hold what the Engine can't read
	unreadableSince time.Time // the start of the container for which it was logged

	mu         sync.Mutex
	read       cursor    // what has been read; guarded by mu
	filling    *batch    // nil when empty; guarded by mu
	delivering bool      // deliver runs; guarded by mu
	abandoned  bool      // lines were given up because ctx has ended: the cursor must not move any more; guarded by mu
	inFlight   int64     // time of the oldest line that deliver holds, or 0; guarded by mu
	silence    silence   // guarded by mu
	status     tailState // guarded by mu
	quiet      throttle.Log

	endConnection context.CancelCauseFunc // nil without a connection; guarded by mu
}

func newTail(s *Source, id string) *tail {
	return &tail{
		id: id, source: s,
		wake: make(chan struct{}, 1), room: make(chan struct{}, 1), full: make(chan struct{}, 1),
		read:   s.store.lookup(id),
		status: tailState{state: stateWaiting},
	}
}

// setTarget says that the container's target is target from now on.
func (t *tail) setTarget(target discovery.Target) {
	old := t.identity.Load()
	if old == nil || !labels.Equal(old.target, target) {
		t.identity.Store(newIdentity(target, t.source.cfg.Labels, t.source.cfg.RelabelRules, t.source.names))
		t.present.Store(true)
		signal(t.wake)
		return
	}
	if !t.present.Swap(true) {
		signal(t.wake)
	}
}

// leave says that the target is no longer in the set.
func (t *tail) leave() {
	if t.present.Swap(false) {
		signal(t.wake)
	}
}

// listed reports whether discovery considers the container running.
func (t *tail) listed() bool {
	return t.present.Load() && !hasEnded(t.identity.Load().target)
}

// signal puts a token into c unless it has one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// add puts a line that has been read into the batch. It waits while the batch
// is full, which is how a sink that waits makes Docker wait.
func (t *tail) add(ctx context.Context, stream int, l rawLine) error {
	labels := &t.identity.Load().streams[stream]
	m := t.source.metrics
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.filling != nil && t.filling.Full() {
		t.mu.Unlock()
		select {
		case <-t.room:
		case <-ctx.Done():
		}
		t.mu.Lock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if t.abandoned {
		return context.Canceled
	}
	p := &t.read[stream]
	p.advance(l.time)
	b := t.ensureBatch(ctx)
	b.reached = true
	switch {
	case l.size == 0:
		m.emptyLines.Inc()
		return nil
	case labels.drop:
		t.status.dropped++
		m.dropped.WithLabelValues(reasonRelabel).Inc()
		return nil
	}
	var replaced, cut bool
	b.Text, replaced, cut = appendLine(b.Text, l, t.source.limit)
	b.Add(b.stream(labels), p.output(l.time))
	if replaced {
		m.invalidLines.Inc()
	}
	if cut {
		m.cutLines.Inc()
	}
	t.status.lines++
	t.status.bytes += uint64(l.size)
	if b.Full() {
		signal(t.full)
	}
	return nil
}

// ensureBatch returns the batch to fill, and ensures that it will be delivered. It is
// called with mu held.
func (t *tail) ensureBatch(ctx context.Context) *batch {
	if t.filling == nil {
		t.filling = t.source.batches.Get().(*batch)
	}
	if !t.delivering {
		t.delivering = true
		t.deliveries.Go(func() { t.deliver(ctx) })
	}
	return t.filling
}

// deliver hands batches to the sinks, one after the other, until there is none, and moves
// the stored cursor after each.
func (t *tail) deliver(ctx context.Context) {
	timer := time.NewTimer(batchAge)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-t.full:
		case <-ctx.Done():
		}
		b := t.take()
		if b == nil {
			return
		}
		if b.Len() > 0 && t.source.write(ctx, t, b) != nil {
			t.abandon(b)
			return
		}
		t.source.store.put(t.id, b.end)
		b.reset()
		t.source.batches.Put(b)
		timer.Reset(batchAge)
	}
}

// take removes the batch; nil ends the delivery.
func (t *tail) take() *batch {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.filling
	t.filling, t.inFlight = nil, b.oldest()
	if b == nil {
		t.delivering = false
		return nil
	}
	b.end = t.read
	signal(t.room)
	return b
}

// abandon ends the delivery, leaving lines that no sink has acknowledged; the stored
// cursor is before them.
func (t *tail) abandon(b *batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.abandoned, t.delivering, t.inFlight = true, false, 0
	b.reset()
	t.source.batches.Put(b)
}

// finishRead records that the output has been read to its end.
func (t *tail) finishRead(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.read
	t.read.complete()
	if t.read != before && !t.abandoned {
		t.ensureBatch(ctx).reached = true
	}
}

// skipDamage moves the cursor to now: the Engine can't read what is before.
func (t *tail) skipDamage(ctx context.Context, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.abandoned {
		return
	}
	for i := range t.read {
		p := &t.read[i]
		if ns := now.UnixNano(); ns > p.Time {
			p.Time, p.Lines = ns, 0
		}
	}
	t.source.metrics.damageSkipped.Inc()
	t.ensureBatch(ctx).reached = true
}

// lag is the age of the oldest line that was read and not yet delivered.
func (t *tail) lag(now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	oldest := t.inFlight
	if oldest == 0 {
		oldest = t.filling.oldest()
	}
	if oldest == 0 {
		return 0
	}
	return max(0, now.Sub(time.Unix(0, oldest)))
}

// frameReader is docker.LogReader.
type frameReader interface {
	Next() (docker.Frame, error)
	Close() error
}
