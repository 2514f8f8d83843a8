package admin

import (
	"net/http/httptest"
	"testing"
)

// The server answers at Promtail's paths only for a Promtail file, and reloads there
// only where Promtail does.
func TestPromtailsPaths(t *testing.T) {
	for _, test := range []struct {
		promtail     *Promtail
		ready        bool
		method, path string
		status       int
		body, to     string
	}{
		{nil, true, "GET", "/ready", 404, "", ""},
		{&Promtail{}, true, "GET", "/ready", 200, "Ready", ""},
		{&Promtail{}, false, "GET", "/ready", 500, "Not ready: the configuration is not loaded yet.\n", ""},
		{&Promtail{}, true, "POST", "/reload", 404, "", ""},
		{&Promtail{Reload: true}, true, "POST", "/reload", 200, "config reloaded\n", ""},
		{&Promtail{Reload: true}, true, "HEAD", "/reload", 405, "", ""},
		{&Promtail{}, true, "GET", "/config", 303, "", "/configuration"},
		{&Promtail{}, true, "GET", "/service-discovery", 303, "", "/targets/logs"},
	} {
		s := newServer(&program{ready: test.ready})
		s.options.Promtail = test.promtail
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(test.method, test.path, nil))
		if w.Code != test.status || test.body != "" && w.Body.String() != test.body || w.Header().Get("Location") != test.to {
			t.Errorf("%+v %s %s: %d %q %q", test.promtail, test.method, test.path, w.Code, w.Body, w.Header().Get("Location"))
		}
	}
}
