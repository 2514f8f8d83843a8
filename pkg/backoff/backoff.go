// Package backoff waits between attempts.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is a wait that doubles, with a fifth of jitter.
type Backoff struct {
	lowest, highest, next time.Duration
}

// New returns a back-off between two bounds.
func New(lowest, highest time.Duration) *Backoff {
	return &Backoff{lowest: lowest, highest: highest, next: lowest}
}

// Reset begins again with the lowest wait.
func (b *Backoff) Reset() { b.next = b.lowest }

// Step returns the next wait.
func (b *Backoff) Step() time.Duration {
	d := b.next
	b.next = min(2*b.next, b.highest)
	return d + time.Duration((rand.Float64()-0.5)*0.4*float64(d))
}

// Wait waits for the next step, or fails when ctx ends.
func (b *Backoff) Wait(ctx context.Context) error {
	return Sleep(ctx, b.Step(), nil)
}

// Sleep waits for d, or less if wake gets a token. It fails when ctx ends.
func Sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
