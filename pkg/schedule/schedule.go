// Package schedule says when targets are scraped: each at its own place in an
// interval, which it keeps over a restart.
package schedule

import (
	"container/heap"
	"context"
	"errors"
	"hash/fnv"
	"time"

	"collector/pkg/discovery"
)

// Offset is a place within each interval since the epoch, by the names of what is
// scraped, so that targets are spread and each keeps its place over a restart.
func Offset(interval time.Duration, names ...string) time.Duration {
	h := fnv.New64a()
	for _, name := range names {
		_, _ = h.Write([]byte(name)) // never fails
	}
	// FNV alone spreads similar names badly in the high bits.
	x := h.Sum64()
	x ^= x >> 32
	x *= 0x9e3779b97f4a7c15
	x ^= x >> 29
	return time.Duration(x % uint64(interval))
}

// First is when a target that has just appeared is scraped: soon, but not together
// with all others.
func First(now time.Time, interval, offset time.Duration) time.Time {
	return now.Add(offset % min(interval, time.Second))
}

// Next is the next turn after a scrape that began at last: never less than half an
// interval later, nor more than one and a half. The wall clock only decides the place in
// the interval, so that setting it keeps no target waiting.
func Next(last time.Time, interval, offset time.Duration) time.Time {
	every := int64(interval)
	earliest := last.UnixNano() + every/2
	turn := earliest - earliest%every + int64(offset)
	if turn < earliest {
		turn += every
	}
	return last.Add(time.Duration(turn - last.UnixNano()))
}

// Place is the place of a target in a Queue. It is embedded in the target.
type Place struct {
	Due      time.Time
	position int
}

func (p *Place) place() *Place { return p }

// Placed is a target that has a Place.
type Placed interface{ place() *Place }

// Queue is targets, ordered by when they are due. It is for one goroutine.
type Queue[T Placed] struct{ heap queue[T] }

// Len is the number of targets.
func (q *Queue[T]) Len() int { return len(q.heap) }

// Push adds a target, which is due at its Due.
func (q *Queue[T]) Push(t T) { heap.Push(&q.heap, t) }

// Remove removes a target that is in the queue.
func (q *Queue[T]) Remove(t T) { heap.Remove(&q.heap, t.place().position) }

// Fix reorders a target whose Due has changed.
func (q *Queue[T]) Fix(t T) { heap.Fix(&q.heap, t.place().position) }

// First is the target that is due first.
func (q *Queue[T]) First() T { return q.heap[0] }

// Each calls do for all targets, in no order, which may change their Due.
func (q *Queue[T]) Each(do func(T)) {
	for _, t := range q.heap {
		do(t)
	}
	heap.Init(&q.heap)
}

// queue implements heap.Interface.
type queue[T Placed] []T

func (q queue[T]) Len() int           { return len(q) }
func (q queue[T]) Less(i, j int) bool { return q[i].place().Due.Before(q[j].place().Due) }
func (q queue[T]) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place().position, q[j].place().position = i, j
}

// Push is for package heap.
func (q *queue[T]) Push(x any) {
	t := x.(T)
	t.place().position = len(*q)
	*q = append(*q, t)
}

// Pop is for package heap.
func (q *queue[T]) Pop() any {
	var none T
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = none
	*q = old[:len(old)-1]
	return t
}

// Loop is what a scraping component does. All of it is called by the goroutine of Run.
type Loop[T Placed] struct {
	Targets *discovery.Set
	Now     func() time.Time
	// Sync applies a new list of targets to the queue.
	Sync func([]discovery.Target)
	// Start starts what is due.
	Start func()
	// Wake is called when there is something in Woken; both may be nil.
	Woken <-chan struct{}
	Wake  func()
}

// Run keeps the time for the targets in q until ctx ends.
func (l Loop[T]) Run(ctx context.Context, q *Queue[T]) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	list, changed := l.Targets.Targets()
	l.Sync(list)
	for {
		if q.Len() > 0 {
			timer.Reset(q.First().place().Due.Sub(l.Now()))
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
			list, changed = l.Targets.Targets()
			l.Sync(list)
		case <-timer.C:
			l.Start()
		case <-l.Woken:
			l.Wake()
		}
	}
}

// ErrGone ends the context of a target that is no longer in the list.
var ErrGone = errors.New("the target was removed")

// fetchGrace is how long a fetch may go on when the component stops, so that a
// page that a target has served is not lost at a reload.
const fetchGrace = 500 * time.Millisecond

// Fetching is the context of a fetch for a target with that context.
func Fetching(target context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(target), timeout)
	stop := context.AfterFunc(target, func() {
		if context.Cause(target) == ErrGone {
			cancel()
			return
		}
		time.AfterFunc(fetchGrace, cancel)
	})
	return ctx, func() {
		stop()
		cancel()
	}
}
