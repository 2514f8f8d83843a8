package observe

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Recover makes a panic of a handler an answer by respond, which has to be one of status
// 500, and reports it where people look: in the log, onto the span with its stack, and
// into http_exceptions_total by its type.
func Recover(log *slog.Logger, m *Metrics, route Route, respond http.HandlerFunc) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := watch(w, r)
			defer func() {
				thrown := recover()
				if thrown == nil {
					return
				}
				if thrown == http.ErrAbortHandler {
					panic(thrown) // not a failure, but the way to make the server close the connection
				}
				kind := fmt.Sprintf("%T", thrown)
				m.exceptions.WithLabelValues(methodOf(r), route(r), kind).Inc()
				report(r.Context(), log, kind, fmt.Sprint(thrown), panicStack(debug.Stack()))
				if answer.Started() {
					// Half an answer must not look like a whole one.
					panic(http.ErrAbortHandler)
				}
				respond(answer, r)
			}()
			next.ServeHTTP(answer, r)
		})
	}
}

func report(ctx context.Context, log *slog.Logger, kind, message string, stack []byte) {
	span := trace.SpanFromContext(ctx)
	span.SetStatus(codes.Error, message) // for when the status has already been sent
	// Not RecordError, which keeps only 2 KiB of the stack, without the part
	// that matters.
	span.AddEvent("exception", trace.WithAttributes(
		semconv.ExceptionType(kind),
		semconv.ExceptionMessage(message),
		semconv.ExceptionStacktrace(string(stack)),
	))
	log.ErrorContext(ctx, "panic while serving a request",
		"exception_type", kind, "error", message, "stack", string(stack))
}

// panicStack takes the frames off the top that belong to the recovery.
func panicStack(stack []byte) []byte {
	at := bytes.Index(stack, []byte("\npanic("))
	if at < 0 {
		return stack
	}
	return stack[at+1:]
}
