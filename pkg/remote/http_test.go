package remote

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/httpclient/httpclienttest"
)

// server answers 503 until it has a text.
type server struct {
	*httptest.Server
	text atomic.Pointer[string]
}

func newServer(t *testing.T, text string) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text := s.text.Load(); text != nil {
			_, _ = io.WriteString(w, *text)
			return
		}
		http.Error(w, "no", http.StatusServiceUnavailable)
	}))
	t.Cleanup(s.Close)
	s.gives(text)
	return s
}

func (s *server) gives(text string) { s.text.Store(&text) }
func (s *server) fails()            { s.text.Store(nil) }

func httpConfig(url string) HTTPConfig {
	var c HTTPConfig
	c.SetToDefault()
	c.URL = url
	return c
}

func newHTTP(t *testing.T, c HTTPConfig, o component.Options) *HTTP {
	t.Helper()
	h, err := NewHTTP(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// run runs c until the test ends.
func run(t *testing.T, c component.Component) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

func (h *HTTP) exports(t *testing.T, want any) {
	t.Helper()
	if got := h.Exports()["content"]; got != want {
		t.Errorf("the content is %T %v, want %T %v", got, got, want, want)
	}
}

func TestTheContentIsTheServersResponse(t *testing.T) {
	s := newServer(t, "\n one \n")
	changes := 0
	h := newHTTP(t, httpConfig(s.URL), component.Options{Changed: func() { changes++ }})
	h.exports(t, "one")
	if s := h.Status().(Status); s.LastFetch == nil || s.Error != "" {
		t.Errorf("status %+v", s)
	}
	s.gives("two")
	h.look(t.Context())
	h.look(t.Context())
	h.exports(t, "two")
	s.fails()
	h.look(t.Context())
	h.exports(t, "two")
	if err := h.Health(); err == nil || !strings.Contains(err.Error(), "503 Service Unavailable") {
		t.Errorf("health: %v", err)
	}
	if s := h.Status().(Status); !strings.Contains(s.Error, "503") {
		t.Errorf("status %+v", s)
	}
	s.gives(strings.Repeat("x", maxContent+1))
	h.look(t.Context())
	if err := h.Health(); err == nil || !strings.Contains(err.Error(), "larger than 16 MiB") {
		t.Errorf("health: %v", err)
	}
	s.gives("two")
	h.look(t.Context())
	if err := h.Health(); err != nil || changes != 1 {
		t.Errorf("health: %v, after %d changes", err, changes)
	}
}

func TestTheRequestIsAsConfigured(t *testing.T) {
	var got *http.Request
	var body string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		got, body = r, string(text)
	}))
	t.Cleanup(s.Close)
	o := component.Options{UserAgent: "collector/1"}
	newHTTP(t, httpConfig(s.URL), o)
	if got.Method != http.MethodGet || body != "" || got.UserAgent() != "collector/1" {
		t.Errorf("by default: %s %q by %s", got.Method, body, got.UserAgent())
	}
	c := httpConfig(s.URL)
	c.Method, c.Body, c.Headers = http.MethodPost, "please", map[string]string{"X-Own": "1", "Host": "h.example", "user-agent": "mine"}
	newHTTP(t, c, o)
	if got.Method != http.MethodPost || body != "please" || got.Header.Get("X-Own") != "1" || got.Host != "h.example" || got.UserAgent() != "mine" {
		t.Errorf("%s %q to %s with %v", got.Method, body, got.Host, got.Header)
	}
}

func TestTheRequestIsSentWithTheClientsSettings(t *testing.T) {
	httpclienttest.User{Default: httpclient.Default(), Run: func(ctx context.Context, t *testing.T, url string, client httpclient.Config) {
		c := httpConfig(url)
		c.Client = client
		for ctx.Err() == nil {
			h, err := NewHTTP(c, component.Options{Context: ctx})
			if err == nil {
				h.client.CloseIdleConnections()
			}
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	}}.Test(t)
}

func TestTheContentIsFetchedAsOftenAsConfigured(t *testing.T) {
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, n.Add(1)) }))
	t.Cleanup(s.Close)
	changed := make(chan struct{}, 100)
	c := httpConfig(s.URL)
	c.PollFrequency, c.PollTimeout = 20*time.Millisecond, 19*time.Millisecond
	o := component.Options{Changed: func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}}
	h, err := NewHTTP(c, o)
	for err != nil { // it took longer than the timeout
		h, err = NewHTTP(c, o)
	}
	run(t, h)
	for range 3 {
		<-changed
	}
}

func TestARequestFailsAfterTheTimeout(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(s.Close)
	c := httpConfig(s.URL)
	c.PollTimeout = 50 * time.Millisecond
	if _, err := NewHTTP(c, component.Options{}); err == nil || !component.Lacks(err) || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("got %v", err)
	}
}

func TestASecretIsNeitherShownNorWritten(t *testing.T) {
	s := newServer(t, "pw")
	c := httpConfig(s.URL)
	c.IsSecret = true
	o := component.Options{Dir: filepath.Join(t.TempDir(), "remote.http.x")}
	h := newHTTP(t, c, o)
	h.exports(t, component.Secret("pw"))
	stop := run(t, h)
	stop()
	if _, err := os.Stat(o.Dir); err == nil {
		t.Error("it is written to disk")
	}
	s.fails()
	if _, err := NewHTTP(c, o); !component.Lacks(err) {
		t.Errorf("without its server: %v", err)
	}
}

func TestWithoutTheServerTheLastContentIsUsed(t *testing.T) {
	s := newServer(t, "one")
	o := component.Options{Dir: filepath.Join(t.TempDir(), "remote.http.x")}
	h := newHTTP(t, httpConfig(s.URL), o)
	if _, err := os.Stat(o.Dir); err == nil {
		t.Error("a file is made before it runs")
	}
	run(t, h)()
	s.fails()
	again := newHTTP(t, httpConfig(s.URL), o)
	again.exports(t, "one")
	if again.Health() == nil {
		t.Error("without its server, it is healthy")
	}
	s.gives("two")
	again.look(t.Context())
	again.exports(t, "two")
	s.fails()
	newHTTP(t, httpConfig(s.URL), o).exports(t, "two")
	if _, err := NewHTTP(httpConfig(s.URL+"/other"), o); err == nil {
		t.Error("the content of another URL serves")
	}
	if _, err := NewHTTP(httpConfig(s.URL), component.Options{}); !component.Lacks(err) || !strings.Contains(err.Error(), "url: fetch the content: the server answers 503") {
		t.Errorf("without a content on disk: %v", err)
	}
}

func TestPasswordsAreNotShown(t *testing.T) {
	s := newServer(t, "x")
	h := newHTTP(t, httpConfig(strings.Replace(s.URL, "//", "//me:s3cretpass@", 1)), component.Options{})
	s.Close()
	h.look(t.Context())
	if shown := fmt.Sprint(h.Health(), h.Status()); !strings.Contains(shown, "refused") || strings.Contains(shown, "s3cretpass") {
		t.Error(shown)
	}
}

func TestARequestThatCannotWorkIsRejected(t *testing.T) {
	for name, change := range map[string]func(*HTTPConfig){
		"poll_frequency": func(c *HTTPConfig) { c.PollFrequency = 0 },
		"poll_timeout":   func(c *HTTPConfig) { c.PollTimeout = time.Minute },
		"url":            func(c *HTTPConfig) { c.URL = "h/m" },
		"method":         func(c *HTTPConfig) { c.Method = "A B" },
	} {
		c := httpConfig("http://h/m")
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := httpConfig("http://h/m")
	c.PollTimeout = 0
	if err := c.Validate(); err == nil {
		t.Error("a timeout of 0 is accepted")
	}
}

func TestTheKeptContentIsOfARequestWithTheSameHeaders(t *testing.T) {
	c := httpConfig("http://h")
	c.Headers = map[string]string{"X-Tenant": "a", "X-B": "b"}
	other := c
	other.Headers = map[string]string{"X-Tenant": "b", "X-B": "b"}
	if c.key() == other.key() {
		t.Error("the content of another tenant serves")
	}
}
