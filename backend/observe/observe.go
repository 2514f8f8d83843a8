// Package observe instruments an HTTP service: one log line, one trace and a set of
// metrics per request, all three carrying the same ids, and profiles that belong to the
// traces. It knows nothing about what the service does.
//
// A service puts its router behind the middlewares, outermost first:
//
//	route := observe.RouteOf(mux)
//	handler := observe.Chain(mux,
//		observe.Trace(tracing.Provider, route),
//		observe.Access(log, slog.LevelInfo),
//		metrics.Middleware(route),
//		observe.Recover(log, metrics, route, respond),
//	)
package observe

import "net/http"

// A Middleware gives a handler something to do around each request.
type Middleware func(http.Handler) http.Handler

// Chain returns the handler behind the middlewares; the first is outermost.
func Chain(handler http.Handler, middlewares ...Middleware) http.Handler {
	for i := len(middlewares) - 1; i >= 0; i-- {
		handler = middlewares[i](handler)
	}
	return handler
}
