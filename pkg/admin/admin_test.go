package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/listen"
)

type program struct {
	ready     bool
	unhealthy []string
	reload    error
	reloads   int
}

func (p *program) Ready() bool                  { return p.ready }
func (p *program) NotRunning() []string         { return p.unhealthy }
func (p *program) Observe()                     {}
func (p *program) Reload(context.Context) error { p.reloads++; return p.reload }

func newServer(p Program) *Server {
	registry := prometheus.NewRegistry()
	RegisterProcess(registry, Build{Version: "v9"})
	return New(Options{
		Address: "127.0.0.1:0", Flag: "--flag", Pprof: true, Program: p, Gatherer: registry,
		Listeners: listen.NewPool(), Logger: slog.New(slog.DiscardHandler),
	})
}

func TestResponsesMatchAlloys(t *testing.T) {
	for _, test := range []struct {
		method, path string
		program      program
		status       int
		body         string
	}{
		{"GET", "/-/ready", program{}, 503, "Alloy is not ready.\n"},
		{"GET", "/-/ready", program{ready: true}, 200, "Alloy is ready.\n"},
		{"GET", "/-/healthy", program{}, 200, "All Alloy components are healthy.\n"},
		{"GET", "/-/healthy", program{unhealthy: []string{"a.b.c", "d.e.f"}}, 500, "unhealthy components: a.b.c, d.e.f\n"},
		{"GET", "/-/reload", program{}, 200, "config reloaded\n"},
		{"POST", "/-/reload", program{}, 200, "config reloaded\n"},
		{"POST", "/-/reload", program{reload: errors.New("x:1:2: no")}, 400, "error during the initial load: x:1:2: no\n"},
		{"DELETE", "/-/reload", program{}, 405, "Method Not Allowed\n"},
		{"HEAD", "/-/reload", program{}, 405, ""},
		{"GET", "/nothing", program{}, 404, "404 page not found\n"},
	} {
		w := httptest.NewRecorder()
		newServer(&test.program).Handler().ServeHTTP(w, httptest.NewRequest(test.method, test.path, nil))
		if w.Code != test.status || w.Body.String() != test.body {
			t.Errorf("%s %s: %d %q, want %d %q", test.method, test.path, w.Code, w.Body, test.status, test.body)
		}
	}
}

func TestMetricsNameTheProcess(t *testing.T) {
	w := httptest.NewRecorder()
	newServer(&program{}).Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	want := []string{`alloy_build_info{`, `version="v9"`, "go_goroutines "}
	if _, err := os.Stat("/proc/self/stat"); err == nil {
		want = append(want, "alloy_resources_process_resident_memory_bytes ", "alloy_resources_machine_rx_bytes_total ")
	}
	for _, s := range want {
		if !strings.Contains(w.Body.String(), s) {
			t.Errorf("no %s", s)
		}
	}
}

func TestRunServesUntilItsContextEnds(t *testing.T) {
	s := newServer(&program{ready: true})
	if err := s.Bind(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	resp, err := http.Get("http://" + s.Addr().String() + "/-/ready")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(body) != "Alloy is ready.\n" {
		t.Errorf("got %q", body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := http.Get("http://" + s.Addr().String() + "/-/ready"); err == nil {
		t.Error("still serving")
	}
}

func TestAPortInUseIsNamedWithItsFlag(t *testing.T) {
	s := newServer(&program{})
	if err := s.Bind(); err != nil {
		t.Fatal(err)
	}
	other := newServer(&program{})
	other.options.Address = s.Addr().String()
	err := other.Bind()
	if err == nil || !strings.Contains(err.Error(), s.Addr().String()) || !strings.Contains(err.Error(), "--flag") {
		t.Errorf("got %v", err)
	}
}
