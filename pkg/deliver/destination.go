package deliver

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"collector/pkg/queue"
	"collector/pkg/spans"
	"collector/pkg/throttle"
)

const (
	// freeRejections is how many rejections in a row cost no pause. Cutting a batch down
	// to one bad item takes less.
	freeRejections = 32
	// rejectionPause bounds the rate at which a destination that rejects everything is
	// sent each item.
	rejectionPause = 50 * time.Millisecond
	// limitLife is how long a size limit that was learned holds before twice as much is
	// tried.
	limitLife = 10 * time.Minute
	// forgetLimit is what no request comes up to.
	forgetLimit = 64 << 20
	// unhealthyAfter is how long a destination fails before it counts as down.
	unhealthyAfter = 10 * time.Second
	// slowAfter is how long a request is in progress before that is worth a word,
	// and silentAfter before its destination counts as down: the request's own
	// timeout may be long.
	slowAfter   = 5 * time.Second
	silentAfter = 15 * time.Second
	// refusedInARow is how often in a row a destination rejects something before it
	// counts as down. A bad item or two among good ones do not.
	refusedInARow = 3
)

// destination is the delivery loop of one endpoint.
type destination struct {
	Destination
	component string
	signal    string
	spans     *spans.Provider
	log       *slog.Logger
	breaker   *circuitBreaker
	past      account // of queues that are closed, and of what was never queued; guarded by Writer.mu

	// What follows is guarded by mu.
	mu           sync.Mutex
	batch        queue.BatchLimits
	interrupt    context.CancelFunc // ends a wait for blocks, to look at batch again
	limit        int                // bytes; 0: none
	limitUntil   time.Time
	rejections   int // in a row
	refused      int // what was rejected permanently, in a row: items, or requests as a whole
	refusedSince time.Time
	counts       map[Outcome]uint64
	lastSuccess  time.Time
	lastFailure  time.Time
	lastError    error
	lastDropped  bool        // what lastError is about was given up
	failingSince time.Time   // zero after a success
	answeredAt   time.Time   // when it last accepted or rejected something
	underWay     []time.Time // when the requests in progress began
	failures     throttle.Log
	drops        throttle.Log
	waiting      map[string]*tagWait // by tag
}

func newDestination(d Destination, o Options) *destination {
	d.Concurrency = max(d.Concurrency, 1)
	return &destination{
		Destination: d, component: o.Component, signal: o.Signal, spans: o.Spans,
		log:     loggerOf(d, o.Logger),
		breaker: newCircuitBreaker(d.Backoff),
		batch:   d.Batch,
		counts:  map[Outcome]uint64{OK: 0, Retry: 0, Rejected: 0},
		waiting: make(map[string]*tagWait),
	}
}

// loggerOf names the destination, and where it is unless the name says so.
func loggerOf(d Destination, log *slog.Logger) *slog.Logger {
	log = log.With("destination", d.ID)
	if d.URL != "" && d.URL != d.ID {
		log = log.With("url", d.URL)
	}
	return log
}

// loop is one run of a destination.
type loop struct {
	*destination
	running context.Context // ends when delivery is to finish
	sending context.Context // ends when requests are to be given up
	reader  *queue.Reader
	once    bool // ends when there is nothing to lease
}

// run delivers until running ends, and then what is left until sending ends.
// With once, it ends as soon as there is nothing to lease.
func (d *destination) run(running, sending context.Context, r *queue.Reader, once bool) {
	l := &loop{destination: d, running: running, sending: sending, reader: r, once: once}
	defer l.stopTags()
	var workers sync.WaitGroup
	defer workers.Wait()
	slots := newSlots(d.Concurrency)
	for slots.wait(sending) {
		lease := l.next()
		if lease == nil {
			return
		}
		if d.Concurrency == 1 {
			l.deliver(lease)
			continue
		}
		size := lease.Bytes() // the lease is given up on the way
		slots.take(size)
		workers.Go(func() {
			defer slots.give(size)
			l.deliver(lease)
		})
	}
}

// next waits for the next blocks. It returns nil when the loop is over.
func (l *loop) next() *queue.Lease {
	for {
		if !l.breaker.wait(l.running) {
			break
		}
		ctx, limits := l.waitFor()
		var lease *queue.Lease
		var err error
		if l.once {
			limits.MaxWait = 0
			lease, err = l.reader.TryNext(limits)
		} else {
			lease, err = l.reader.Next(ctx, limits)
		}
		if lease != nil || l.once && err == nil {
			return lease
		}
		if l.running.Err() != nil {
			break
		}
		if ctx.Err() != nil {
			continue // the batch has changed
		}
		l.mu.Lock()
		l.failures.Warn(l.log, "", "cannot read the queue; retrying", "err", err)
		l.mu.Unlock()
		sleep(l.running, time.Second)
	}
	if l.sending.Err() != nil || l.breaker.failing() {
		return nil
	}
	_, limits := l.waitFor()
	limits.MaxWait = 0
	lease, _ := l.reader.TryNext(limits)
	return lease
}

// waitFor is what to wait for, and a context that ends when that has changed.
func (l *loop) waitFor() (context.Context, queue.BatchLimits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.interrupt != nil {
		l.interrupt()
	}
	ctx, cancel := context.WithCancel(l.running)
	l.interrupt = cancel
	limits := l.batch
	if l.limit > 0 && time.Now().After(l.limitUntil) {
		if l.limit *= 2; l.limit > forgetLimit {
			l.limit = 0
		}
		l.limitUntil = time.Now().Add(limitLife)
	}
	if l.limit > 0 && (limits.MaxBytes == 0 || l.limit < limits.MaxBytes) {
		limits.MaxBytes = l.limit
	}
	return ctx, limits
}

func (d *destination) setBatch(limits queue.BatchLimits) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.batch == limits {
		return
	}
	d.batch = limits
	if d.interrupt != nil {
		d.interrupt()
	}
}

// deliver sends the blocks of a lease. What the destination rejects is cut down until a
// request is accepted or a single item is rejected; after an accepted request the next
// one is larger. What can't be sent now is released.
func (l *loop) deliver(lease *queue.Lease) {
	n := len(lease.Blocks) // of the next request
	cutting := giveBack
	for lease != nil {
		if lease = l.dropOld(lease); lease == nil {
			return
		}
		n = min(n, l.fresh(lease.Blocks), l.within(lease.Blocks))
		res, err, ok := l.send(lease.Blocks[:n], cutting)
		var rejected *Error
		switch {
		case !ok:
			l.giveUp(lease, err)
			return
		case err == nil:
			tally := l.tally(lease.Blocks[:n], res)
			lease = l.settle(lease, n, tally)
			n *= 4
		case !errors.As(err, &rejected) || !rejected.Rejected:
			tally := l.drop(nil, lease.Blocks[:n], ReasonRetryDisabled, err)
			lease = l.settle(lease, n, tally)
		case n > 1:
			n /= 2
			cutting = waitHere
		default:
			cutting = waitHere
			tally, done := l.cut(lease.Blocks[0], rejected)
			if !done {
				l.reader.Release(lease)
				return
			}
			lease = l.settle(lease, 1, tally)
		}
		if lease != nil {
			n = min(n, len(lease.Blocks))
		}
	}
}

// settle ends the first n blocks of a lease, and returns what is left of it.
func (l *loop) settle(lease *queue.Lease, n int, dropped map[string]int) *queue.Lease {
	rest := l.reader.Split(lease, n)
	if err := l.reader.Settle(lease, dropped); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.failures.Warn(l.log, "", "cannot save the delivery position; retrying", "err", err)
	}
	return rest
}

// cut delivers a block that was rejected, item by item if need be. It returns how many
// items were dropped for each reason. done is false when it had to stop; the block is
// then to be sent again, with what was taken of it.
func (l *loop) cut(b queue.Block, why *Error) (tally map[string]int, done bool) {
	parts := l.Sender.Split(b)
	if len(parts) < 2 {
		return l.drop(nil, []queue.Block{b}, rejectReason(why), why), true
	}
	for n := (len(parts) + 1) / 2; len(parts) > 0; n = min(n, len(parts)) {
		n = min(n, l.within(parts))
		res, err, ok := l.send(parts[:n], waitInside)
		var rejected *Error
		switch {
		case !ok:
			return nil, false
		case err == nil:
			tally = merge(tally, l.tally(parts[:n], res))
			parts = parts[n:]
			n *= 4
		case !errors.As(err, &rejected) || !rejected.Rejected:
			tally = l.drop(tally, parts[:n], ReasonRetryDisabled, err)
			parts = parts[n:]
		case n > 1:
			n /= 2
		default:
			if finer := l.Sender.Split(parts[0]); len(finer) > 1 {
				parts = append(finer, parts[1:]...)
				continue
			}
			tally = l.drop(tally, parts[:1], rejectReason(rejected), rejected)
			parts = parts[1:]
		}
	}
	return tally, true
}

// send makes requests until the destination has answered: until err is nil or
// says that the blocks are rejected; with NoRetry, it may be any error. ok is
// false when the blocks can't be sent now; err may say why.
func (l *loop) send(blocks []queue.Block, p patience) (res Result, err error, ok bool) {
	for {
		t, admitted := l.admit(p)
		if !admitted {
			return res, nil, false
		}
		start := l.begin()
		res, err = l.Sender.Send(l.sending, blocks)
		l.end(start)
		var e *Error
		rejected := errors.As(err, &e) && e.Rejected
		switch {
		case err == nil:
			l.answered(OK, blocks, start, nil, t)
			l.took(res, itemsOf(blocks))
			return res, nil, true
		case rejected:
			l.answered(Rejected, blocks, start, err, t)
			if e.TooLarge {
				l.shrink(blocks)
			}
			return res, err, true
		case l.sending.Err() != nil:
			l.breaker.abandoned(t)
			return res, nil, false
		case ofTag(err) != nil && p != waitInside && !l.NoRetry:
			l.breaker.answered()
			t.retries = l.tagRetries(blocks[0].Tag)
			l.record(Retry, blocks, start, err, t)
			return res, err, false
		}
		after := time.Duration(0)
		if e != nil {
			after = e.RetryAfter
		}
		l.breaker.failed(t, after, unreachable(err))
		l.record(Retry, blocks, start, err, t)
		if l.NoRetry {
			return res, err, true
		}
	}
}

// admit waits until a request may be made. admitted is false when the caller must not
// wait, or not any longer.
func (l *loop) admit(p patience) (t ticket, admitted bool) {
	for {
		t, pass := l.breaker.pass()
		switch {
		case pass && l.rest():
			return t, true
		case pass:
			l.breaker.abandoned(t)
			return t, false
		case p == giveBack || !l.breaker.wait(l.running):
			return t, false
		}
	}
}

// answered records that the destination has accepted or rejected blocks.
func (l *loop) answered(outcome Outcome, blocks []queue.Block, start time.Time, err error, t ticket) {
	l.breaker.answered()
	l.tagAnswered(blocks[0].Tag)
	l.record(outcome, blocks, start, err, t)
}

// rest pauses while the destination rejects everything. It returns false when there is no
// time for that.
func (l *loop) rest() bool {
	l.mu.Lock()
	n := l.rejections
	l.mu.Unlock()
	return n < freeRejections || sleep(l.sending, rejectionPause)
}

// shrink records that a request was too large.
func (l *loop) shrink(blocks []queue.Block) {
	size := bytesOf(blocks)
	l.mu.Lock()
	defer l.mu.Unlock()
	if half := max(size/2, 1); l.limit == 0 || half < l.limit {
		l.limit = half
	}
	l.limitUntil = time.Now().Add(limitLife)
}

// within is how many of the first blocks are within the size that the
// destination is known to take: at least one.
func (l *loop) within(blocks []queue.Block) int {
	l.mu.Lock()
	limit := l.limit
	l.mu.Unlock()
	if limit == 0 {
		return len(blocks)
	}
	n, size := 1, len(blocks[0].Data)
	for ; n < len(blocks) && size+len(blocks[n].Data) <= limit; n++ {
		size += len(blocks[n].Data)
	}
	return n
}

// fresh is how many of the first blocks go together before one that is too old:
// at least one, although that may have grown too old this very moment.
func (l *loop) fresh(blocks []queue.Block) int {
	n := 1
	for n < len(blocks) && !l.old(&blocks[n]) {
		n++
	}
	return n
}

func (l *loop) old(b *queue.Block) bool {
	return l.MaxAge > 0 && b.MaxTime != 0 && b.MaxTime < b.Clock(time.Now())-int64(l.MaxAge)
}

// dropOld drops the first blocks of a lease that are too old, and returns what
// is left.
func (l *loop) dropOld(lease *queue.Lease) *queue.Lease {
	n := 0
	for n < len(lease.Blocks) && l.old(&lease.Blocks[n]) {
		n++
	}
	if n == 0 {
		return lease
	}
	return l.settle(lease, n, l.drop(nil, lease.Blocks[:n], queue.ReasonTooOld, nil))
}

func rejectReason(e *Error) string {
	switch {
	case e.Reason != "":
		return e.Reason
	case e.TooLarge:
		return ReasonTooLarge
	}
	return ReasonRejected
}

func merge(a, b map[string]int) map[string]int {
	if a == nil {
		return b
	}
	for reason, n := range b {
		a[reason] += n
	}
	return a
}

func itemsOf(blocks []queue.Block) int {
	n := 0
	for i := range blocks {
		n += blocks[i].Items
	}
	return n
}

func bytesOf(blocks []queue.Block) int {
	n := 0
	for i := range blocks {
		n += len(blocks[i].Data)
	}
	return n
}
