// Package clock keeps time that a step of the machine's clock does not change,
// and reports such steps.
//
// Due times, timeouts and ages go by the monotonic reading that time.Now
// gives: time.Time keeps it over Add, and Sub, Before and After prefer it. It is
// lost by Round, Truncate, UTC, In and every way through Unix, JSON or a file;
// what is compared after that has to come from Steady.
package clock

import (
	"context"
	"log/slog"
	"time"

	"collector/pkg/throttle"
)

// Steady returns a clock that begins with the machine's and from then on goes
// its own way: setting the machine's clock moves neither what it shows nor what
// is made of that, such as Unix times.
func Steady() func() time.Time { return steady(time.Now) }

func steady(now func() time.Time) func() time.Time {
	start := now()
	return func() time.Time { return start.Add(now().Sub(start)) }
}

const (
	// lookEvery is how often a Watch compares the clocks.
	lookEvery = 5 * time.Second
	// leastStep is above what a clock that is slewed gains between two looks.
	leastStep = 2 * time.Second
)

// Watch logs each step of the machine's clock once, as timestamps before and
// after one do not fit together.
type Watch struct {
	Logger *slog.Logger

	now   func() time.Time // time.Now where nil
	quiet throttle.Log
}

// Run watches until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	now := w.now
	if now == nil {
		now = time.Now
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	last := now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		next := now()
		if by := step(last, next); by.Abs() >= leastStep {
			w.quiet.Warn(w.Logger, "", "the system clock was changed, or the machine was suspended: schedules continue, and new timestamps use the new time", "by", by.Round(time.Millisecond))
		}
		last = next
	}
}

// step is by how much the clock was moved between two readings of time.Now.
func step(last, next time.Time) time.Duration {
	return next.Round(0).Sub(last.Round(0)) - next.Sub(last)
}
