package observe

import (
	"log/slog"
	"net/http"
	"time"
)

// Access gives each request its id and writes one line about it when it is done. The
// line's level is that given, or higher if the status calls for it; requests that only
// monitor the service (health, metrics) are given slog.LevelDebug, which is never raised.
func Access(log *slog.Logger, level slog.Level) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			id := requestID(r)
			ctx := withRequestID(r.Context(), id)
			w.Header().Set(requestIDHeader, id)
			answer := watch(w, r)

			// Deferred, because a handler may abort its request by a panic.
			defer func() {
				log.LogAttrs(ctx, accessLevel(level, answer.Status()), "request",
					slog.String("method", r.Method),
					slog.String("url", r.URL.RequestURI()),
					slog.Int("status", answer.Status()),
					slog.Duration("duration", time.Since(start)),
					slog.Int64("size", answer.size),
					slog.String("user_agent", r.UserAgent()),
				)
			}()
			next.ServeHTTP(answer, r.WithContext(ctx))
		})
	}
}

func accessLevel(base slog.Level, status int) slog.Level {
	switch {
	case base < slog.LevelInfo:
		return base
	case status >= 500:
		return slog.LevelError
	case status >= 400:
		return slog.LevelWarn
	}
	return base
}
