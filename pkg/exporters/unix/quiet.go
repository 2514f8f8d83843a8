package unix

import (
	"context"
	"log/slog"

	"collector/pkg/throttle"
)

// quiet is a handler for what the library logs: what fails at each scrape is logged once
// in a while, and what is only of interest at the start, at the level debug.
type quiet struct {
	to        *slog.Logger
	throttle  *throttle.Log
	collector string
}

func quieted(log *slog.Logger) *slog.Logger {
	return slog.New(&quiet{to: log, throttle: &throttle.Log{}})
}

// Enabled implements slog.Handler.
func (q *quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return q.to.Enabled(ctx, lowered(level))
}

func lowered(level slog.Level) slog.Level {
	if level == slog.LevelInfo {
		return slog.LevelDebug
	}
	return level
}

// Handle implements slog.Handler.
func (q *quiet) Handle(ctx context.Context, r slog.Record) error {
	key := q.collector
	var args []any
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "name" {
			key = a.Value.String()
		}
		args = append(args, a)
		return true
	})
	if r.Level < slog.LevelWarn {
		q.to.Log(ctx, lowered(r.Level), r.Message, args...)
		return nil
	}
	q.throttle.Log(q.to, r.Level, key, r.Message, args...)
	return nil
}

// WithAttrs implements slog.Handler.
func (q *quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *q
	for _, a := range attrs {
		if a.Key == "collector" {
			more.collector = a.Value.String()
		}
		more.to = more.to.With(a)
	}
	return &more
}

// WithGroup implements slog.Handler.
func (q *quiet) WithGroup(name string) slog.Handler {
	more := *q
	more.to = more.to.WithGroup(name)
	return &more
}
