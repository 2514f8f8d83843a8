package harness

import (
	"testing"
	"time"
)

// GetsOn calls check until it returns nil. It fails the test when the result of check has
// been the same for stall: a slow machine still makes progress, what is stuck does not.
// As the result may keep changing forever, it ends after five times as long.
func GetsOn(t testing.TB, stall time.Duration, check func() error) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	begun := time.Now()
	changed, last := begun, ""
	for range tick.C {
		err := check()
		if err == nil {
			return
		}
		now := time.Now()
		if text := err.Error(); text != last {
			changed, last = now, text
		}
		if now.Sub(changed) > stall || now.Sub(begun) > 5*stall {
			t.Fatalf("not within %s, and the same for %s: %v", now.Sub(begun).Round(time.Second), now.Sub(changed).Round(time.Second), err)
		}
	}
}
