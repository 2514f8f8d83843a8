package observe

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// throttle logs the first of a series of similar failures, and after that one a minute
// with the number of those omitted. Telemetry that cannot be delivered is worth knowing
// about, and no reason to fill the log.
type throttle struct {
	log     *slog.Logger
	message string

	mu      sync.Mutex // guards what follows
	next    time.Time
	omitted int
}

const throttleInterval = time.Minute

func (t *throttle) failed(err string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if now.Before(t.next) {
		t.omitted++
		return
	}
	t.log.LogAttrs(context.Background(), slog.LevelWarn, t.message,
		slog.String("error", err), slog.Int("omitted", t.omitted))
	t.next, t.omitted = now.Add(throttleInterval), 0
}
