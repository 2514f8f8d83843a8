package observe

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/otel/trace"
)

// maxLogValue bounds a value in the log. A line that is longer than 16 KiB is
// cut into pieces by Docker.
const maxLogValue = 4 << 10

// NewLogger returns a logger that writes logfmt, one line each, with time,
// level and message, and with request_id, trace_id and span_id when it is
// called with the context of a request (InfoContext and the like).
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(withIDs{slog.NewTextHandler(w, &slog.HandlerOptions{
		Level:       level,
		ReplaceAttr: tidy,
	})})
}

// withIDs adds what ties a line to its request and to its trace.
type withIDs struct{ slog.Handler }

func (h withIDs) Handle(ctx context.Context, record slog.Record) error {
	line := slog.NewRecord(record.Time, record.Level, record.Message, record.PC)
	if id := RequestID(ctx); id != "" {
		line.AddAttrs(slog.String("request_id", id))
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		line.AddAttrs(
			slog.String("trace_id", span.TraceID().String()),
			slog.String("span_id", span.SpanID().String()),
		)
	}
	record.Attrs(func(a slog.Attr) bool {
		line.AddAttrs(a)
		return true
	})
	return h.Handler.Handle(ctx, line)
}

func (h withIDs) WithAttrs(attrs []slog.Attr) slog.Handler {
	return withIDs{h.Handler.WithAttrs(attrs)}
}

func (h withIDs) WithGroup(name string) slog.Handler {
	return withIDs{h.Handler.WithGroup(name)}
}

// tidy gives the fields their names and makes the values safe for any reader.
func tidy(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 {
		switch a.Key {
		case slog.MessageKey:
			a.Key = "message"
		case slog.LevelKey:
			return slog.String(a.Key, strings.ToLower(a.Value.String()))
		}
	}
	switch v := a.Value.Any().(type) {
	case string:
		a.Value = slog.StringValue(readable(v))
	case error:
		a.Value = slog.StringValue(readable(v.Error()))
	}
	return a
}

// readable bounds s and replaces what slog would quote in Go's way (\x00),
// which readers of logfmt do not understand: they know the escapes of JSON.
func readable(s string) string {
	if len(s) > maxLogValue {
		s = s[:maxLogValue] + "…"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return r
		case unicode.IsControl(r) || r > 0xffff && !unicode.IsPrint(r):
			return utf8.RuneError
		}
		return r // invalid UTF-8 comes as utf8.RuneError, and so is replaced
	}, s)
}
