package spanmetrics

import (
	"context"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
)

// clock is the connector's clock, by which it can be made to forward what it has gathered
// at any time: the library itself does so only when its ticker ticks.
type clock struct {
	clockwork.Clock
	ticks chan time.Time // taken by the library between two forwards
}

func newClock() *clock {
	return &clock{Clock: clockwork.NewRealClock(), ticks: make(chan time.Time)}
}

// within makes the library use the clock.
func (c *clock) within(ctx context.Context) context.Context { return clockwork.AddToContext(ctx, c) }

// NewTicker makes the library's ticker. It begins to tick when the library waits for it.
func (c *clock) NewTicker(d time.Duration) clockwork.Ticker {
	return &ticker{interval: d, ticks: c.ticks, stopped: make(chan struct{})}
}

// flush makes the library forward what it has gathered. It returns when the library has
// begun to, or ctx has ended.
func (c *clock) flush(ctx context.Context) {
	select {
	case c.ticks <- c.Now():
	case <-ctx.Done():
	}
}

// ticker ticks at an interval into ticks.
type ticker struct {
	interval time.Duration
	ticks    chan time.Time
	begin    sync.Once
	stopped  chan struct{}
}

func (t *ticker) Chan() <-chan time.Time {
	t.begin.Do(func() { go t.run() })
	return t.ticks
}

// Stop is called once.
func (t *ticker) Stop() { close(t.stopped) }

// Reset is never called.
func (t *ticker) Reset(time.Duration) {}

func (t *ticker) run() {
	real := time.NewTicker(t.interval)
	defer real.Stop()
	for {
		select {
		case now := <-real.C:
			select {
			case t.ticks <- now:
			case <-t.stopped:
				return
			}
		case <-t.stopped:
			return
		}
	}
}
