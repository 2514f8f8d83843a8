package exporter

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// Heard is the first error that a library logs while it is asked: why a scrape failed
// is in none of its metrics. The zero value has heard nothing.
type Heard struct {
	mu    sync.Mutex
	first string // guarded by mu
}

// Forget resets h.
func (h *Heard) Forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.first = ""
}

// Error is what was heard since, or "".
func (h *Heard) Error() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.first
}

func (h *Heard) keep(message string, values []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.first == "" {
		h.first = strings.Join(append([]string{message}, values...), ": ")
	}
}

// said are the attributes of a log message that explain the error further.
func said(name string) bool {
	switch name {
	case "key", "value", "name", "scraper", "err", "error":
		return true
	}
	return false
}

// KitLog is a logger of go-kit's kind.
func (h *Heard) KitLog(pairs ...any) error {
	level, message, values := "", "", []string(nil)
	for i := 0; i+1 < len(pairs); i += 2 {
		name, value := fmt.Sprint(pairs[i]), fmt.Sprint(pairs[i+1])
		switch {
		case name == "level":
			level = value
		case name == "msg":
			message = value
		case said(name) && value != "":
			values = append(values, value)
		}
	}
	if level == "error" {
		h.keep(message, values)
	}
	return nil
}

// Logger is a logger of package slog.
func (h *Heard) Logger() *slog.Logger { return slog.New(heardHandler{h: h}) }

// heardHandler keeps errors of loggers without attributes of their own. A logger
// that a library makes with some is for what it shares between exporters: whose
// scrape it would be about is unknown.
type heardHandler struct {
	h      *Heard
	shared bool
}

// Enabled implements slog.Handler.
func (h heardHandler) Enabled(_ context.Context, level slog.Level) bool {
	return !h.shared && level >= slog.LevelError
}

// Handle implements slog.Handler.
func (h heardHandler) Handle(_ context.Context, r slog.Record) error {
	var values []string
	r.Attrs(func(a slog.Attr) bool {
		if value := a.Value.String(); said(a.Key) && value != "" {
			values = append(values, value)
		}
		return true
	})
	h.h.keep(r.Message, values)
	return nil
}

// WithAttrs implements slog.Handler.
func (h heardHandler) WithAttrs([]slog.Attr) slog.Handler { return heardHandler{shared: true} }

// WithGroup implements slog.Handler.
func (h heardHandler) WithGroup(string) slog.Handler { return h }
