package deliver

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// maxRetryAfter is the longest wait that a destination can ask for: one that
// asks for more is more likely mistaken than down for so long.
const maxRetryAfter = 10 * time.Minute

// maxUnreachable is the longest wait for a destination that nobody answers at. Trying
// again costs such a destination nothing, and it must be used as soon as it is back,
// however long the wait that the user allows a struggling server.
const maxUnreachable = 4 * time.Second

// maxPause is the longest wait for a destination that answers with a failure and does not
// say when to retry, unless the user's first wait is longer. Only one request is retried,
// which costs a struggling server little, while a destination that has recovered should
// not be left idle for minutes.
const maxPause = 30 * time.Second

// circuitBreaker lets requests to a destination pass. While the destination fails, one
// request passes at a time, each after a longer wait.
type circuitBreaker struct {
	backoff Backoff

	mu       sync.Mutex
	failures int           // waits in a row
	epoch    int           // counts all failures that began a wait
	until    time.Time     // no request passes before
	probing  bool          // a request is in progress that was let through while failures > 0
	changed  chan struct{} // closed when any of this changes
}

// ticket is the right to make one request.
type ticket struct {
	epoch   int
	probe   bool
	retries int
}

func newCircuitBreaker(b Backoff) *circuitBreaker {
	if b.Min <= 0 {
		b.Min = 500 * time.Millisecond
	}
	if b.Max <= 0 {
		b.Max = 30 * time.Second
	}
	if b.Factor <= 0 {
		b.Factor = 2
	}
	if b.Jitter <= 0 {
		b.Jitter = 0.2
	}
	return &circuitBreaker{backoff: b, changed: make(chan struct{})}
}

// pass lets a request through if it may be made now.
func (c *circuitBreaker) pass() (ticket, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := ticket{epoch: c.epoch, retries: c.failures}
	if c.failures > 0 {
		if c.probing || time.Now().Before(c.until) {
			return ticket{}, false
		}
		c.probing, t.probe = true, true
	}
	return t, true
}

// wait blocks until pass may succeed. It returns false when ctx ends first.
func (c *circuitBreaker) wait(ctx context.Context) bool {
	for ctx.Err() == nil {
		c.mu.Lock()
		changed := c.changed
		pause := time.Until(c.until)
		if c.failures == 0 || (!c.probing && pause <= 0) {
			c.mu.Unlock()
			return true
		}
		probing := c.probing
		c.mu.Unlock()
		if probing {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return false
}

// failing reports whether the last request failed.
func (c *circuitBreaker) failing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failures > 0
}

// answered ends a request that the destination has answered, whether it accepted
// the data or not.
func (c *circuitBreaker) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures == 0 {
		return
	}
	c.failures, c.probing, c.until = 0, false, time.Time{}
	c.broadcast()
}

// failed ends a request that failed. Requests that were in progress together
// fail together, and count once.
func (c *circuitBreaker) failed(t ticket, retryAfter time.Duration, unreachable bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.epoch == c.epoch {
		c.epoch++
		c.failures++
		c.until = time.Now().Add(c.pauseAfter(c.failures, retryAfter, unreachable))
	}
	if after := time.Now().Add(min(retryAfter, maxRetryAfter)); after.After(c.until) {
		c.until = after
	}
	if t.probe {
		c.probing = false
	}
	c.broadcast()
}

// abandoned ends a request that revealed nothing about the destination.
func (c *circuitBreaker) abandoned(t ticket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.probe && t.epoch == c.epoch {
		c.probing = false
		c.broadcast()
	}
}

// pauseAfter is the wait after so many failures in a row: as long as the
// destination says, if it does.
func (c *circuitBreaker) pauseAfter(failures int, retryAfter time.Duration, unreachable bool) time.Duration {
	b := c.backoff
	longest := max(b.Min, maxPause)
	switch {
	case retryAfter > 0:
		return max(b.Min, min(retryAfter, maxRetryAfter))
	case unreachable:
		longest = maxUnreachable
	}
	wait := float64(b.Min) * math.Pow(b.Factor, float64(failures-1))
	wait = min(wait, float64(b.Max))
	wait *= 1 + b.Jitter*(2*rand.Float64()-1)
	return min(time.Duration(wait), longest)
}

func (c *circuitBreaker) broadcast() {
	close(c.changed)
	c.changed = make(chan struct{})
}
