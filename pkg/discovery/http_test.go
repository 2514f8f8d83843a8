package discovery

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/httpclient/httpclienttest"
)

// listing is a server that answers as the test tells it to.
type listing struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
}

func newListing(t *testing.T) *listing {
	l := &listing{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*l.answer.Load())(w, r) }))
	t.Cleanup(l.Close)
	return l
}

func (l *listing) answers(status int, kind, text string) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	})
	l.answer.Store(&h)
}

func newHTTP(t *testing.T, url string, o component.Options) *HTTP {
	t.Helper()
	var c HTTPConfig
	c.SetToDefault()
	c.URL = url
	h, err := NewHTTP(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.client.CloseIdleConnections)
	return h
}

func TestTargetsAreWhatTheServerLists(t *testing.T) {
	l := newListing(t)
	l.answers(200, "application/json; charset=UTF-8", `[{"targets": ["h1:1", "h2:2"], "labels": {"env": "dev", "__meta_url": "x"}}, {"targets": ["h3:3"]}]`)
	h := newHTTP(t, l.URL+"/list?a=b", component.Options{})
	h.poll.refresh(t.Context())
	targets, _ := h.poll.out.Targets()
	from := `__meta_url="` + l.URL + `/list?a=b"`
	want := []string{`{__address__="h1:1", ` + from + `, env="dev"}`, `{__address__="h2:2", ` + from + `, env="dev"}`, `{__address__="h3:3", ` + from + `}`}
	if d := cmp.Diff(want, texts(targets)); d != "" {
		t.Error(d)
	}
	if err := h.Health(); err != nil {
		t.Error(err)
	}
	l.answers(200, "application/json", `[]`)
	h.poll.refresh(t.Context())
	awaitTargets(t, h.poll.out)
}

func TestTheServerGetsTheInterval(t *testing.T) {
	l := newListing(t)
	var got http.Header
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, "[]")
	})
	l.answer.Store(&answer)
	h := newHTTP(t, l.URL, component.Options{UserAgent: "collector/1"})
	h.config.RefreshInterval = 1500 * time.Millisecond
	h.poll.refresh(t.Context())
	for name, want := range map[string]string{"Accept": "application/json", "X-Prometheus-Refresh-Interval-Seconds": "1.5", "User-Agent": "collector/1"} {
		if got.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Get(name), want)
		}
	}
}

func TestTheLastListIsKeptWhileTheServerFails(t *testing.T) {
	l := newListing(t)
	registry := prometheus.NewRegistry()
	dir := t.TempDir()
	h := newHTTP(t, l.URL, component.Options{Metrics: registry, Dir: dir})
	l.answers(200, "application/json", `[{"targets": ["h1:1"]}]`)
	h.poll.refresh(t.Context())
	faults := 0
	fails := func(want string) {
		t.Helper()
		faults++
		h.poll.refresh(t.Context())
		awaitTargets(t, h.poll.out, "h1:1")
		err := h.Health()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("health %v, want %q", err, want)
		}
		if s := h.Status().(HTTPStatus); s.Targets != 1 || !strings.Contains(s.Error, want) || s.LastRefresh == nil {
			t.Errorf("status %+v", s)
		}
	}
	l.answers(503, "application/json", `[]`)
	fails("503 Service Unavailable")
	l.answers(200, "text/html", `[]`)
	fails(`"text/html"`)
	l.answers(200, "application/json; charset=latin1", `[]`)
	fails("charset=latin1")
	l.answers(200, "application/json", "[\n{\"targets\": [1]}]")
	fails("line 2")
	l.answers(200, "application/json", `[null]`)
	fails("group 1 is null")
	l.answers(200, "application/json", strings.Repeat(" ", maxTargetFile+1))
	fails("larger than 16 MiB")
	l.Close()
	fails("refused")

	expected := fmt.Sprintf(`
# HELP prometheus_sd_http_failures_total Failed requests for the list of targets.
# TYPE prometheus_sd_http_failures_total counter
prometheus_sd_http_failures_total %d
# HELP prometheus_sd_refresh_failures_total Failed refreshes of the targets.
# TYPE prometheus_sd_refresh_failures_total counter
prometheus_sd_refresh_failures_total{mechanism="http"} %d
`, faults, faults)
	if err := testutil.GatherAndCompare(registry, strings.NewReader(expected), "prometheus_sd_http_failures_total", "prometheus_sd_refresh_failures_total"); err != nil {
		t.Error(err)
	}

	// After a restart the server still fails.
	awaitTargets(t, newHTTP(t, l.URL, component.Options{Dir: dir}).poll.out, "h1:1")
	awaitTargets(t, newHTTP(t, l.URL+"/other", component.Options{Dir: dir}).poll.out)
}

func TestAServerThatHangsIsGivenUp(t *testing.T) {
	l := newListing(t)
	hang := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	l.answer.Store(&hang)
	h := newHTTP(t, l.URL, component.Options{})
	h.config.RefreshInterval = 10 * time.Millisecond
	h.poll.refresh(t.Context())
	if err := h.Health(); err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Error(err)
	}
}

func TestPasswordsOfTheURLAreNotShown(t *testing.T) {
	l := newListing(t)
	l.Close()
	h := newHTTP(t, strings.Replace(l.URL, "//", "//me:s3cretpass@", 1), component.Options{})
	h.poll.refresh(t.Context())
	shown := fmt.Sprint(h.Health(), h.Status())
	if !strings.Contains(shown, "refused") || strings.Contains(shown, "s3cretpass") {
		t.Error(shown)
	}
}

func TestAURLThatIsNotSetIsAWarning(t *testing.T) {
	var warned []string
	h := newHTTP(t, "", component.Options{Warn: func(path, why string) { warned = append(warned, path+": "+why) }})
	h.poll.refresh(t.Context())
	if len(warned) != 1 || !strings.HasPrefix(warned[0], "url: ") || h.Health() == nil {
		t.Errorf("warnings %q, health %v", warned, h.Health())
	}
}

func TestListsThatCannotBeFetchedAreRejected(t *testing.T) {
	f := func(change func(*HTTPConfig), want string) {
		t.Helper()
		var c HTTPConfig
		c.SetToDefault()
		c.URL = "http://h"
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	f(func(c *HTTPConfig) { c.URL = "http://[" }, "not a valid URL")
	f(func(c *HTTPConfig) { c.RefreshInterval = 0 }, "not positive")
	f(func(c *HTTPConfig) { c.HTTPClient.BearerToken, c.HTTPClient.BearerTokenFile = "a", "b" }, "bearer_token")
}

func TestTheListIsFetchedWithTheClientsSettings(t *testing.T) {
	httpclienttest.User{Default: httpclient.Default(), Run: func(ctx context.Context, t *testing.T, url string, client httpclient.Config) {
		var c HTTPConfig
		c.SetToDefault()
		c.URL, c.HTTPClient, c.RefreshInterval = url, client, 20*time.Millisecond
		h, err := NewHTTP(c, component.Options{ID: "discovery.http.test"})
		if err != nil {
			t.Error(err)
			return
		}
		h.config.RefreshInterval = time.Minute // a request may take long where several tests run
		if err := h.Run(ctx); err != nil {
			t.Error(err)
		}
	}}.Test(t)
}

func TestTheListIsFetchedEachRefreshInterval(t *testing.T) {
	l := newListing(t)
	var n atomic.Int64
	count := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `[{"targets": ["h:%d"]}]`, n.Add(1))
	})
	l.answer.Store(&count)
	var c HTTPConfig
	c.SetToDefault()
	c.URL, c.RefreshInterval = l.URL, 5*time.Millisecond
	h, err := NewHTTP(c, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	run(t, h)
	deadline := time.After(time.Minute)
	for n.Load() < 3 {
		_, changed := h.poll.out.Targets()
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("fetched %d times", n.Load())
		}
	}
}
