package scrape

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
	"collector/pkg/pipeline"
)

func TestTargetsAreRequestedAsConfigured(t *testing.T) {
	var asked, accepts string
	c := config(nil)
	c.JobName, c.MetricsPath, c.Params = "shop", "/own", map[string][]string{"q": {"1", "2"}}
	c.MetricNameEscapingScheme = "dots"
	to := once(t, c, component.Options{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, accepts = r.URL.String(), r.Header.Get("Accept")
		page(textType, "a 1\n").ServeHTTP(w, r)
	}))
	if asked != "/own?q=1&q=2" || !strings.Contains(accepts, "escaping=dots") {
		t.Errorf("asked for %s, accepting %s", asked, accepts)
	}
	if got := to.last(`"a"`); len(got) != 1 || !strings.Contains(got[0], `job="shop"`) {
		t.Errorf("got %q", got)
	}

	server := httptest.NewTLSServer(page(textType, "a 1\n"))
	t.Cleanup(server.Close)
	c = config(nil)
	c.Scheme, c.HTTPClient.TLS = "https", &httpclient.TLS{InsecureSkipVerify: true}
	if to := onceAt(t, c, component.Options{}, server); len(to.last(`"a"`)) != 1 {
		t.Errorf("by HTTPS: %q", to.last(""))
	}
}

func TestWhatPagesSayIsHonoredAsConfigured(t *testing.T) {
	read := func(change func(*Config)) []string {
		t.Helper()
		c := config(nil)
		change(&c)
		return once(t, c, component.Options{}, page(textType, `a{job="own"} 1`+"\n")).last(`"a"`)
	}
	if got := read(func(c *Config) { c.HonorLabels = true }); len(got) != 1 || !strings.Contains(got[0], `, job="own"`) {
		t.Errorf("with honor_labels: %q", got)
	}
	if got := read(func(*Config) {}); len(got) != 1 || !strings.Contains(got[0], `exported_job="own"`) {
		t.Errorf("without honor_labels: %q", got)
	}
}

func TestSeriesWithTimestampsBecomeStaleIfConfigured(t *testing.T) {
	for _, tracked := range []bool{false, true} {
		c := config(discovery.NewSet())
		to := newSink()
		c.ForwardTo, c.TrackTimestampsStaleness = []pipeline.MetricsSink{to}, tracked
		s, err := NewBudget().New(c, component.Options{ID: "prometheus.scrape.test"})
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("a 1 %d\n", time.Now().Add(-time.Minute).UnixMilli())
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			page(textType, text).ServeHTTP(w, r)
		}))
		t.Cleanup(server.Close)
		e, err := newEndpoint(&s.cfg, s.job, at(server.Listener.Addr().String()))
		if err != nil {
			t.Fatal(err)
		}
		running := &target{ctx: t.Context()}
		running.state.endpoint = e
		s.scrape(running, e, time.Now(), nil)
		text = "b 1\n"
		s.scrape(running, e, time.Now(), nil)
		s.fetcher.client.CloseIdleConnections()
		if got := to.count("stale"); (got == 1) != tracked {
			t.Errorf("track_timestamps_staleness %t: %d stale markers", tracked, got)
		}
	}
}

func TestHistogramsAreScrapedAsConfigured(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		c := config(nil)
		change(&c)
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		text, contentType := exposition(t, &c)
		var got []string
		to := once(t, c, component.Options{}, page(contentType, text))
		for _, line := range to.last("") {
			name := strings.Split(line, `"`)[1]
			if strings.HasSuffix(line, " histogram") {
				got = append(got, name)
			} else if name == "n_count" || name == "up" && strings.HasSuffix(line, " 0") {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(func(*Config) {}, "n_count")
	f(func(c *Config) { c.ScrapeNativeHistograms = true }, "n")
	f(func(c *Config) { c.ScrapeNativeHistograms, c.ScrapeClassicHistograms = true, true }, "n_count n")
	f(func(c *Config) { c.ConvertClassicHistogramsToNHCB, c.ScrapeProtocols = true, []string{protoText004} }, "h n")
	f(func(c *Config) { c.ScrapeNativeHistograms, c.NativeHistogramBucketLimit = true, 1 }, "up")
}
