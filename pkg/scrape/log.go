package scrape

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"collector/pkg/mask"
)

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
	record := slog.NewRecord(time.Now(), slog.LevelError, mask.WithoutPasswords(failure.Error()), 0)
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
