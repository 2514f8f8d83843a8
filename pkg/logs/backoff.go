package logs

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff is a wait that doubles, with a fifth of jitter.
type backoff struct {
	lowest, highest, next time.Duration
}

func newBackoff(lowest, highest time.Duration) *backoff {
	return &backoff{lowest: lowest, highest: highest, next: lowest}
}

func (b *backoff) reset() { b.next = b.lowest }

// step returns the next wait.
func (b *backoff) step() time.Duration {
	d := b.next
	b.next = min(2*b.next, b.highest)
	return d + time.Duration((rand.Float64()-0.5)*0.4*float64(d))
}

// wait waits for the next step, or fails when ctx ends.
func (b *backoff) wait(ctx context.Context) error {
	return sleep(ctx, b.step(), nil)
}

// sleep waits for d, or less if wake gets a token. It fails when ctx ends.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) error {
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
