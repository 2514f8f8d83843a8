package scrape

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
)

// counting is a server that counts what it is asked, and serves a page.
func counting(t *testing.T, start func(http.Handler) *httptest.Server) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	asked := new(atomic.Int64)
	server := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		w.Header().Set("Content-Type", textType)
		_, _ = w.Write([]byte("secret_of_another_service 1\n"))
	}))
	t.Cleanup(server.Close)
	return server, asked
}

// A target decides which of its own pages is scraped, but cannot send the collector
// anywhere else, which may reach more than the target can.
func TestATargetRedirectsToItselfOnly(t *testing.T) {
	other, asked := counting(t, httptest.NewServer)
	secure, _ := counting(t, httptest.NewTLSServer)
	var to string
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		_, _ = w.Write([]byte("secret_of_another_service 1\n"))
	}))
	t.Cleanup(target.Close)
	for name, test := range map[string]struct {
		to, err string // err: none, the page is read
	}{
		"another path":             {"/there", ""},
		"HTTPS on its host":        {secure.URL + "/metrics", ""},
		"another port":             {other.URL + "/token", other.URL + "/token"},
		"another host":             {"http://169.254.169.254/latest/meta-data/?role=x", "http://169.254.169.254/latest/meta-data/ "},
		"another host by HTTPS":    {"https://169.254.169.254/", "https://169.254.169.254/"},
		"another name of its host": {strings.Replace(target.URL, "127.0.0.1", "localhost", 1) + "/there", "localhost"},
		"from HTTPS back to HTTP":  {secure.URL + "/?to=" + other.URL, other.URL},
		"another way than by HTTP": {"file:///etc/passwd", "file:///etc/passwd"},
		"a circle":                 {"/metrics", "too many"},
	} {
		asked.Store(0)
		to = test.to
		cfg := config(nil)
		cfg.HTTPClient.TLS = &httpclient.TLS{InsecureSkipVerify: true}
		s, err := NewBudget().New(cfg, component.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.fetcher.fetch(t.Context(), &endpoint{url: target.URL + "/metrics", timeout: time.Minute}, 0, nil)
		s.fetcher.client.CloseIdleConnections()
		switch {
		case asked.Load() > 0:
			t.Errorf("%s: another server was asked", name)
		case test.err == "" && (err != nil || len(got.page) == 0):
			t.Errorf("%s: %v", name, err)
		case test.err != "" && (err == nil || !strings.Contains(err.Error()+" ", "redirects to ") || !strings.Contains(err.Error(), test.err)):
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestATargetThatRedirectsElsewhereIsDown(t *testing.T) {
	other, asked := counting(t, httptest.NewServer)
	to := once(t, config(nil), component.Options{}, http.RedirectHandler(other.URL, http.StatusFound))
	if got := to.last("secret_of_another_service"); len(got) > 0 || asked.Load() > 0 {
		t.Errorf("another server was asked: %q", got)
	}
	if up := to.last(`"up"`); len(up) != 1 || !strings.HasSuffix(up[0], " 0") {
		t.Errorf("%q", up)
	}
}

// What a person is shown is what the target itself answers.
func TestFetchingATargetFollowsNoRedirect(t *testing.T) {
	other, asked := counting(t, httptest.NewServer)
	for _, where := range []string{other.URL + "/token", "/there"} {
		there := false
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			there = there || r.URL.Path == "/there"
			http.Redirect(w, r, where, http.StatusFound)
		}))
		t.Cleanup(server.Close)
		cfg := config(discovery.NewSet(at(server.Listener.Addr().String())), newSink())
		cfg.ScrapeInterval = time.Hour // nothing else asks
		s, err := NewBudget().New(cfg, component.Options{ID: "prometheus.scrape.test"})
		if err != nil {
			t.Fatal(err)
		}
		e, err := newEndpoint(&s.cfg, s.job, at(server.Listener.Addr().String()))
		if err != nil {
			t.Fatal(err)
		}
		running := &target{ctx: t.Context()}
		running.state.endpoint = e
		s.targets[e.key] = running
		r, err := s.Fetch(t.Context(), e.id())
		s.fetcher.client.CloseIdleConnections()
		if err != nil || r.Status != "302 Found" || !strings.HasSuffix(r.Location, where) {
			t.Errorf("%s: %+v, %v", where, r, err)
		}
		if there || asked.Load() > 0 {
			t.Errorf("%s was asked", where)
		}
	}
}
