package scrape

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"collector/pkg/component"
)

// throttle logs each message at most once in a while.
type throttle struct {
	log *slog.Logger

	mu   sync.Mutex
	seen map[string]*silence // guarded by mu
}

type silence struct {
	until   time.Time
	dropped int
}

const throttlePeriod = 10 * time.Second

func (t *throttle) warn(message string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil {
		t.seen = make(map[string]*silence)
	}
	s := t.seen[message]
	if s == nil {
		s = new(silence)
		t.seen[message] = s
	}
	now := time.Now()
	if now.Before(s.until) {
		s.dropped++
		return
	}
	if s.dropped > 0 {
		args = append(args, "not_shown", s.dropped)
	}
	s.until, s.dropped = now.Add(throttlePeriod), 0
	t.log.Warn(message, args...)
}

// failureLog is scrape_failure_log_file: one JSON object per failed scrape. The
// file is opened when it is first needed, and again after an error.
type failureLog struct {
	path string
	job  string

	mu   sync.Mutex
	file *os.File // guarded by mu
}

func (l *failureLog) write(target string, failure error) error {
	if l.path == "" {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		file, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return fmt.Errorf("open the log of failed scrapes: %w", err)
		}
		l.file = file
	}
	record := slog.NewRecord(time.Now(), slog.LevelError, component.WithoutPasswords(failure.Error()), 0)
	record.AddAttrs(slog.String("job_name", l.job), slog.String("target", target))
	if err := slog.NewJSONHandler(l.file, nil).Handle(context.Background(), record); err != nil {
		_ = l.file.Close()
		l.file = nil
		return fmt.Errorf("write the log of failed scrapes: %w", err)
	}
	return nil
}

func (l *failureLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}
