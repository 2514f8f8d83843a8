package admin

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"collector/pkg/component"
)

// serveComponent passes a request to a component.
func (s *Server) serveComponent(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, component.HandlersPath)
	handler, rest := s.options.Handlers.Handler(path)
	if handler == nil {
		http.Error(w, fmt.Sprintf("no component handles requests for %.200q", path), http.StatusNotFound)
		return
	}
	inner := r.Clone(r.Context())
	inner.URL.Path, inner.URL.RawPath = rest, ""
	handler.ServeHTTP(w, inner)
}

// withinProcess serves components' handlers and the metrics to the components,
// which need no password and have no limits: it changes nothing.
func (s *Server) withinProcess() *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET "+metricsPath, s.metrics())
	if s.options.Handlers != nil {
		mux.HandleFunc(component.HandlersPath, s.serveComponent)
	}
	return &http.Server{
		Handler:           s.traced(mux, mux),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.options.Logger.Handler(), slog.LevelWarn),
	}
}
