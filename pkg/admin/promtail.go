package admin

import (
	"io"
	"net/http"
)

// Promtail makes the server answer where Promtail's does, too.
type Promtail struct {
	Reload bool // at /reload
}

const promtailReloadPath = "/reload"

// promtailReloads reports whether promtailReloadPath reloads the configuration.
func (s *Server) promtailReloads() bool {
	return s.options.Promtail != nil && s.options.Promtail.Reload
}

// registerPromtail adds Promtail's paths, but for those that the UI has itself.
func (s *Server) registerPromtail(mux *http.ServeMux) {
	if s.options.Promtail == nil {
		return
	}
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if !s.options.Program.Ready() {
			http.Error(w, "Not ready: the configuration is not loaded yet.", http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, "Ready") // the client may have disconnected
	})
	if s.promtailReloads() {
		s.registerReload(mux, promtailReloadPath)
	}
	for from, to := range map[string]string{"/config": "/configuration", "/service-discovery": "/targets/logs"} {
		mux.Handle("GET "+from, http.RedirectHandler(s.options.Prefix+to, http.StatusSeeOther))
	}
}
