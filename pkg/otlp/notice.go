package otlp

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// noticeInterval is how often one notice is repeated at most.
const noticeInterval = time.Minute

// notice is a log message about what may happen with every request: it is
// written at most once per noticeInterval, with the number of times that it
// was not.
type notice struct {
	mu      sync.Mutex
	last    time.Time // guarded by mu
	skipped int       // guarded by mu
}

func (n *notice) log(l *slog.Logger, level slog.Level, message string, attrs ...any) {
	n.mu.Lock()
	now := time.Now()
	if !n.last.IsZero() && now.Sub(n.last) < noticeInterval {
		n.skipped++
		n.mu.Unlock()
		return
	}
	skipped := n.skipped
	n.last, n.skipped = now, 0
	n.mu.Unlock()
	if skipped > 0 {
		attrs = append(attrs, "not_logged_since", skipped)
	}
	l.Log(context.Background(), level, message, attrs...)
}
