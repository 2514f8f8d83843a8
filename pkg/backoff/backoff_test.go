package backoff

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestWaitsDoubleBetweenTheirBounds(t *testing.T) {
	b := New(time.Second, 4*time.Second)
	for round := range 2 {
		for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 4 * time.Second} {
			if got := b.Step(); got < want*8/10 || got > want*12/10 {
				t.Errorf("round %d, wait %d is %s, want about %s", round, i, got, want)
			}
		}
		b.Reset()
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(time.Hour, time.Hour).Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
}

func TestATokenEndsAWait(t *testing.T) {
	wake := make(chan struct{}, 1)
	wake <- struct{}{}
	if err := Sleep(t.Context(), time.Hour, wake); err != nil {
		t.Errorf("Sleep: %v", err)
	}
}
