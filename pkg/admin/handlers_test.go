package admin

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"collector/pkg/component"
)

// echo is a component that answers with the path that it is asked for.
type echo struct{}

func (echo) Handler(path string) (http.Handler, string) {
	rest, ok := strings.CutPrefix(path, "toy.echo.x")
	if !ok {
		return nil, ""
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Method+" "+r.URL.Path) }), rest
}

func TestComponentsAnswerBelowTheirPath(t *testing.T) {
	h := newUIServer(t, &program{}, func(o *Options) { o.Handlers, o.Prefix = echo{}, "/pre" })
	for path, want := range map[string]string{
		"/api/v0/component/toy.echo.x/metrics":     "GET /metrics",
		"/pre/api/v0/component/toy.echo.x/a/b%2Fc": "GET /a/b/c",
		"/api/v0/component/toy.echo.x/":            "GET /",
	} {
		if w := ask(h, "GET", path, "X-Prometheus-Scrape-Timeout-Seconds", "10"); w.Code != http.StatusOK || w.Body.String() != want {
			t.Errorf("%s: %d %q", path, w.Code, w.Body)
		}
	}
	for _, path := range []string{"/api/v0/component/toy.other.x/metrics", "/api/v0/component/"} {
		if w := ask(h, "GET", path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := ask(h, "POST", "/api/v0/component/toy.echo.x/", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"); w.Code != http.StatusForbidden {
		t.Errorf("a page of another site: %d", w.Code)
	}
}

// Components reach these handlers without a password, so they must not be able to do
// harm.
func TestWithinTheProcessOnlyMetricsAndComponentsAnswer(t *testing.T) {
	p := &program{}
	s := newServer(p)
	s.options.Handlers = echo{}
	block, err := NewHTTPBlock(s.options.Access, HTTPConfig{Auth: &AuthConfig{Basic: &BasicConfig{Username: "a", Password: "b"}}}, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := block.Bind(); err != nil {
		t.Fatal(err)
	}
	if err := s.Bind(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return s.options.Listeners.Memory().Dial(ctx)
	}, DisableKeepAlives: true}}
	for path, want := range map[string]int{
		"/metrics": 200, "/api/v0/component/toy.echo.x/metrics": 200, "/-/reload": 404, "/-/support": 404, "/": 404, "/debug/pprof/": 404,
	} {
		resp, err := client.Get("http://" + component.MemoryAddress + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, resp.Status, want)
		}
	}
	resp, err := http.Get("http://" + s.Addr().String() + "/api/v0/component/toy.echo.x/metrics")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("by its socket, without the password: %s", resp.Status)
	}
	cancel()
	if err := <-ended; err != nil || p.reloads > 0 {
		t.Errorf("%v, %d reloads", err, p.reloads)
	}
}
