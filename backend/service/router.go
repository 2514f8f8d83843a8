package service

import (
	"log/slog"
	"maps"
	"net/http"
	"slices"

	"collector/backend/api"
	"collector/backend/observe"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// newHandler puts the service together. Requests pass tracing, access, metrics
// and recovery before they come to the router; those that only watch the
// service leave no trace in what they watch.
func newHandler(service *api.API, pages map[string]http.Handler, provider trace.TracerProvider, metrics *observe.Metrics, log *slog.Logger) http.Handler {
	router := http.NewServeMux()
	for _, routes := range []map[string]http.Handler{service.Routes(), pages} {
		for pattern, handler := range routes {
			router.Handle(pattern, handler)
		}
	}
	route := observe.RouteOf(router)
	observed := observe.Chain(api.Missing(router),
		observe.Trace(provider, route),
		observe.Access(log, slog.LevelInfo),
		metrics.Middleware(route),
		observe.Recover(log, metrics, route, api.Failure),
	)

	quiet := observe.Access(log, slog.LevelDebug)
	all := http.NewServeMux()
	all.Handle("GET /health", quiet(http.HandlerFunc(health)))
	all.Handle("GET /metrics", quiet(metrics.Handler()))
	all.Handle("/", observed)
	return all
}

func health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"status":"ok"}` + "\n")) // fails only if the client has disconnected
}

// Routes lists what the API serves, by the patterns of http.ServeMux.
func Routes() []string {
	service := api.New(api.Options{Provider: noop.NewTracerProvider()})
	return slices.Sorted(maps.Keys(service.Routes()))
}
