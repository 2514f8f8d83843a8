package scrape

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
	"collector/pkg/pipeline"
)

// sink keeps what it is given as text, as it may keep nothing else.
type sink struct {
	mu      sync.Mutex
	batches [][]string // guarded by mu
	meta    []string   // guarded by mu
	err     error
	block   bool
}

func newSink() *sink { return new(sink) }

func (s *sink) WriteMetrics(ctx context.Context, m pipeline.Metrics) error {
	if s.block {
		<-ctx.Done()
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var batch []string
	for _, sample := range m.Samples {
		v := fmt.Sprint(sample.V)
		if value.IsStaleNaN(sample.V) {
			v = "stale"
		}
		batch = append(batch, sample.Series.Labels.String()+" "+v)
	}
	for _, h := range m.Histograms {
		batch = append(batch, h.Series.Labels.String()+" histogram")
	}
	for _, d := range m.Metadata {
		s.meta = append(s.meta, fmt.Sprintf("%s %s %s", d.Family, d.Type, d.Help))
	}
	s.batches = append(s.batches, batch)
	return s.err
}

// last is the samples of the last batch whose text contains part.
func (s *sink) last(part string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	if len(s.batches) > 0 {
		for _, line := range s.batches[len(s.batches)-1] {
			if strings.Contains(line, part) {
				out = append(out, line)
			}
		}
	}
	return out
}

func (s *sink) count(part string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, b := range s.batches {
		for _, line := range b {
			if strings.Contains(line, part) {
				n++
			}
		}
	}
	return n
}

func config(set *discovery.Set, to ...pipeline.MetricsSink) Config {
	var c Config
	c.SetToDefault()
	c.Targets, c.ForwardTo = set, to
	return c
}

func at(address string, more ...string) discovery.Target {
	return labels.FromStrings(append(more, "__address__", address)...)
}

// pass lets fake time pass, until all is quiet.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(page string) *http.Response {
	return &http.Response{
		StatusCode: 200, Status: "200 OK", Header: http.Header{"Content-Type": {textType}},
		Body: io.NopCloser(strings.NewReader(page)), ContentLength: int64(len(page)),
	}
}

// run runs a scraper until the test ends or the function returned is called.
func run(t *testing.T, cfg Config, o component.Options, transport http.RoundTripper) (*Scraper, func()) {
	t.Helper()
	if o.ID == "" {
		o.ID = "prometheus.scrape.test"
	}
	s, err := NewBudget().New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	if transport != nil {
		s.fetcher.client = &http.Client{Transport: transport}
	}
	return s, start(t, s)
}

// start runs a scraper until the test ends or the function returned is called.
func start(t *testing.T, s *Scraper) func() {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// once scrapes one target of cfg once, from a server.
func once(t *testing.T, cfg Config, o component.Options, h http.Handler) *sink {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return onceAt(t, cfg, o, server)
}

func onceAt(t *testing.T, cfg Config, o component.Options, server *httptest.Server) *sink {
	t.Helper()
	to := newSink()
	cfg.Targets = discovery.NewSet()
	cfg.ForwardTo = []pipeline.MetricsSink{to}
	o.ID = "prometheus.scrape.test"
	s, err := NewBudget().New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.failures.close()
	defer s.fetcher.client.CloseIdleConnections()
	e, err := newEndpoint(&s.cfg, s.job, at(server.Listener.Addr().String(), "instance", "i"))
	if err != nil {
		t.Fatal(err)
	}
	running := &target{ctx: t.Context()}
	running.state.endpoint = e
	s.scrape(running, e, time.Now(), nil)
	return to
}

func page(contentType, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	})
}

func TestScrapeSendsSamplesAndReport(t *testing.T) {
	to := once(t, config(nil), component.Options{}, page(textType, "# HELP a Help.\n# TYPE a counter\na 1\n"))
	var names []string
	for _, line := range to.last("") {
		if !strings.Contains(line, `instance="i", job="prometheus.scrape.test"`) {
			t.Errorf("labels of %s", line)
		}
		names = append(names, strings.Split(line, `"`)[1])
	}
	want := []string{"a", "up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(to.meta, "a counter Help.") {
		t.Errorf("metadata: %q", to.meta)
	}
}

func TestExtraMetrics(t *testing.T) {
	cfg := config(nil)
	cfg.ExtraMetrics, cfg.SampleLimit = true, 7
	to := once(t, cfg, component.Options{}, page(textType, "a 1\n"))
	for name, want := range map[string]string{"scrape_timeout_seconds": "10", "scrape_sample_limit": "7", "scrape_body_size_bytes": "4"} {
		if got := to.last(`"` + name + `"`); len(got) != 1 || !strings.HasSuffix(got[0], " "+want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestRequestSaysWhatIsUnderstood(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   map[string]string
	}{
		{"default", func(*Config) {}, map[string]string{
			"Accept": "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5," +
				"text/plain;version=1.0.0;escaping=underscores;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
			"Accept-Encoding": "gzip", "X-Prometheus-Scrape-Timeout-Seconds": "10", "User-Agent": "test/1",
		}},
		{"native histograms, UTF-8, no compression", func(c *Config) {
			c.ScrapeNativeHistograms, c.MetricNameValidationScheme, c.EnableCompression = true, "utf8", false
			c.ScrapeTimeout = 1500 * time.Millisecond
		}, map[string]string{
			"Accept": "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6," +
				"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4," +
				"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
			"Accept-Encoding": "identity", "X-Prometheus-Scrape-Timeout-Seconds": "1.5", "User-Agent": "test/1",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config(nil)
			c.change(&cfg)
			once(t, cfg, component.Options{UserAgent: "test/1"}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				for name, want := range c.want {
					if diff := cmp.Diff(want, r.Header.Get(name)); diff != "" {
						t.Errorf("%s: %s", name, diff)
					}
				}
			}))
		})
	}
}

func gzipped(body string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, body)
	_ = z.Close()
	return b.Bytes()
}

func compressed(body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", textType)
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(body)
	})
}

func TestGzip(t *testing.T) {
	to := once(t, config(nil), component.Options{}, compressed(gzipped(bigPage(1000, 1))))
	if got := len(to.last("http_requests")); got != 1000 {
		t.Errorf("%d samples", got)
	}
}

// Each of these makes its target fail: all samples are dropped, and its metric counts.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*Config)
		handler http.Handler
		metric  string
		scraped string
	}{
		{"sample_limit", func(c *Config) { c.SampleLimit = 2 }, page(textType, "a 1\nb 1\nc 1\nd 1\n"), "prometheus_target_scrapes_exceeded_sample_limit_total", "4"},
		{"label_limit", func(c *Config) { c.LabelLimit = 3 }, page(textType, "a 1\nb{x=\"y\"} 1\n"), "prometheus_target_scrape_pool_exceeded_label_limits_total", "2"},
		{"label_name_length_limit", func(c *Config) { c.LabelNameLengthLimit = 8 }, page(textType, "b{longername=\"y\"} 1\n"), "prometheus_target_scrape_pool_exceeded_label_limits_total", "1"},
		{"label_value_length_limit", func(c *Config) { c.LabelValueLengthLimit = 30 }, page(textType, "b{x=\"1234567890123456789012345678901\"} 1\n"), "prometheus_target_scrape_pool_exceeded_label_limits_total", "1"},
		{"body_size_limit", func(c *Config) { c.BodySizeLimit = 100 }, page(textType, bigPage(100, 1)), "prometheus_target_scrapes_exceeded_body_size_limit_total", "0"},
		{"body_size_limit, gzip", func(c *Config) { c.BodySizeLimit = 100 << 10 }, compressed(gzipped(strings.Repeat("\n", 1<<20))), "prometheus_target_scrapes_exceeded_body_size_limit_total", "0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config(nil)
			c.change(&cfg)
			reg := prometheus.NewRegistry()
			to := once(t, cfg, component.Options{Metrics: reg}, c.handler)
			if got := to.last(`"up"`); len(got) != 1 || !strings.HasSuffix(got[0], " 0") {
				t.Errorf("up: %q", got)
			}
			if got := to.last(`"scrape_samples_scraped"`); len(got) != 1 || !strings.HasSuffix(got[0], " "+c.scraped) {
				t.Errorf("scraped: %q, want %s", got, c.scraped)
			}
			if got := to.last(""); len(got) != plainReports {
				t.Errorf("%d samples, want only the report: %q", len(got), got)
			}
			if got := metric(t, reg, c.metric); got != 1 {
				t.Errorf("%s = %v", c.metric, got)
			}
		})
	}
}

func metric(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func TestBrokenPagesFailTheirTarget(t *testing.T) {
	for name, h := range map[string]http.Handler{
		"status":          http.NotFoundHandler(),
		"syntax":          page(textType, "a 1\nb{ 1\n"),
		"no EOF":          page(openMetricsType, "a 1\n"),
		"protobuf":        page(protobufType, "\x05abc"),
		"broken gzip":     compressed([]byte("not gzip")),
		"cut gzip":        compressed(gzipped(bigPage(100, 1))[:200]),
		"no name":         page(textType, "{A} 0\n"), // textparse panics
		"a label twice":   page(textType, "a{x=\"1\",x=\"2\"} 1\n"),
		"a dotted name":   page(textType, "{\"a.b\"} 1\n"),
		"a label as UTF8": page(textType, "a{\"x.y\"=\"1\"} 1\n"),
	} {
		t.Run(name, func(t *testing.T) {
			to := once(t, config(nil), component.Options{}, h)
			if got := to.last(""); len(got) != plainReports || !strings.HasSuffix(to.last(`"up"`)[0], " 0") {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestUTF8Names(t *testing.T) {
	cfg := config(nil)
	cfg.MetricNameValidationScheme = "utf8"
	to := once(t, cfg, component.Options{}, page(textType, "{\"a.b\",\"x.y\"=\"1\"} 1\n"))
	if got := to.last("a.b"); len(got) != 1 || !strings.Contains(got[0], `"x.y"="1"`) {
		t.Errorf("%q", to.last(""))
	}
}

func TestFallbackProtocol(t *testing.T) {
	for _, c := range []struct{ fallback, body, up string }{
		{protoText004, "a 1\n", "1"}, {protoOpenMet10, "a 1\n# EOF\n", "1"}, {"", "a 1\n", "0"},
	} {
		cfg := config(nil)
		cfg.ScrapeFallbackProtocol = c.fallback
		to := once(t, cfg, component.Options{}, page("text/nonsense", c.body))
		if got := to.last(`"up"`); !strings.HasSuffix(got[0], " "+c.up) {
			t.Errorf("fallback %q: %q", c.fallback, got)
		}
	}
}

func TestTLSAndBasicAuth(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		page(textType, "a 1\n").ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	cfg := config(nil)
	cfg.Scheme = "https"
	cfg.HTTPClient.BasicAuth = &httpclient.BasicAuth{Username: "me", Password: "secret"}
	cfg.HTTPClient.TLS = &httpclient.TLS{InsecureSkipVerify: true}
	if to := onceAt(t, cfg, component.Options{}, server); len(to.last(`"a"`)) != 1 {
		t.Errorf("%q", to.last(""))
	}
}

func TestScrapeFailureLogFile(t *testing.T) {
	cfg := config(nil)
	cfg.ScrapeFailureLogFile = filepath.Join(t.TempDir(), "failures.json")
	once(t, cfg, component.Options{}, http.NotFoundHandler())
	text, err := os.ReadFile(cfg.ScrapeFailureLogFile)
	if err != nil {
		t.Fatal(err)
	}
	var line struct{ Msg, Job_name, Target string }
	if err := json.Unmarshal(text, &line); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if !strings.Contains(line.Msg, "404") || line.Job_name != "prometheus.scrape.test" || !strings.HasPrefix(line.Target, "http://127.") {
		t.Errorf("%q", text)
	}
}

func TestEndpoint(t *testing.T) {
	cfg := config(nil)
	cfg.Params = map[string][]string{"q": {"1", "2"}, "m": {"x"}}
	for _, c := range []struct {
		target              discovery.Target
		url, labels, timing string
		err                 string
	}{
		{target: at("a:1"), url: "http://a:1/metrics?m=x&q=1&q=2", labels: `{instance="a:1", job="j"}`},
		{target: at("a", "__scheme__", "https", "__metrics_path__", "/p", "__param_q", "3", "__param_z", "4"),
			url: "https://a/p?m=x&q=3&q=2&z=4", labels: `{instance="a", job="j"}`},
		{target: at("a:1", "job", "k", "instance", "i", "__meta_x", "y", "__tmp", "z", "env", "prod", "empty", ""),
			url: "http://a:1/metrics?m=x&q=1&q=2", labels: `{env="prod", instance="i", job="k"}`},
		{target: at("a:1", "__scrape_interval__", "30s", "__scrape_timeout__", "20s"), timing: "30s 20s"},
		{target: at("a:1", "__scrape_interval__", "5s"), err: "greater than its interval"},
		{target: at("a:1", "__scrape_interval__", "soon"), err: "__scrape_interval__"},
		{target: at("a:1", "__scrape_timeout__", "0s"), err: "must not be 0"},
		{target: at(""), err: "no __address__"},
		{target: at("http://a:1"), err: "not host:port"},
		{target: at("a:1", "x", "\xff"), err: "not UTF-8"},
		{target: at("a:1", discovery.EndedLabel, "true"), err: "has exited"},
	} {
		e, err := newEndpoint(&cfg, "j", c.target)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", c.target, err, c.err)
			continue
		}
		if c.url != "" && e.url != c.url {
			t.Errorf("%s: URL %s, want %s", c.target, e.url, c.url)
		}
		if c.labels != "" && e.labels.String() != c.labels {
			t.Errorf("%s: labels %s, want %s", c.target, e.labels, c.labels)
		}
		if got := e.interval.String() + " " + e.timeout.String(); c.timing != "" && got != c.timing {
			t.Errorf("%s: timing %s, want %s", c.target, got, c.timing)
		}
	}
}

// Targets are spread over the interval.
func TestOffsetsAreSpread(t *testing.T) {
	cfg := config(nil)
	var buckets [6]int
	for i := range 600 {
		e, err := newEndpoint(&cfg, "j", at(fmt.Sprintf("10.0.0.%d:80", i)))
		if err != nil {
			t.Fatal(err)
		}
		buckets[e.offset()/(10*time.Second)]++
	}
	for i, n := range buckets {
		if n < 60 || n > 140 {
			t.Errorf("sixth %d of the interval has %d of 600 targets", i, n)
		}
	}
}

// In Alloy the block has no effect unless the program was told to form a cluster.
func TestClusteringIsAcceptedWithoutEffect(t *testing.T) {
	for _, enabled := range []bool{false, true} {
		cfg := config(discovery.NewSet())
		cfg.Clustering.Enabled = enabled
		var warned []string
		if _, err := NewBudget().New(cfg, component.Options{Warn: func(name, _ string) { warned = append(warned, name) }}); err != nil {
			t.Fatal(err)
		}
		if want := map[bool][]string{true: {"clustering/enabled"}}[enabled]; !slices.Equal(warned, want) {
			t.Errorf("enabled = %t: warnings about %v, want %v", enabled, warned, want)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.ScrapeInterval = 5 * time.Second }, "scrape_timeout: 10s is longer than scrape_interval, 5s"},
		{func(c *Config) { c.ScrapeTimeout = 0 }, "scrape_timeout: 0s is too short"},
		{func(c *Config) { c.ScrapeInterval, c.ScrapeTimeout = 0, 0 }, "scrape_interval: 0s is too short"},
		{func(c *Config) { c.Scheme = "ftp" }, `scheme: "ftp"`},
		{func(c *Config) { c.ScrapeProtocols = []string{"X"} }, `"X" is unknown`},
		{func(c *Config) { c.ScrapeProtocols = []string{protoText004, protoText004} }, "twice"},
		{func(c *Config) {
			c.ScrapeProtocols, c.ScrapeNativeHistograms = []string{protoText004}, true
		}, "needs PrometheusProto"},
		{func(c *Config) {
			c.ScrapeProtocols, c.EnableProtobufNegotiation = []string{protoText004}, true
		}, "scrape_protocols is also set"},
		{func(c *Config) { c.ScrapeFallbackProtocol = "X" }, "scrape_fallback_protocol"},
		{func(c *Config) { c.MetricNameValidationScheme = "x" }, "metric_name_validation_scheme"},
		{func(c *Config) { c.MetricNameEscapingScheme = "x" }, "metric_name_escaping_scheme"},
		{func(c *Config) { c.MetricNameEscapingScheme = "allow-utf-8" }, "needs metric_name_validation_scheme"},
		{func(c *Config) { c.NativeHistogramMinBucketFactor = -1 }, "min_bucket_factor"},
		{func(c *Config) { c.Clustering.Enabled = true }, ""},
		{func(c *Config) { c.HTTPClient.BearerToken, c.HTTPClient.BasicAuth = "x", &httpclient.BasicAuth{} }, "at most one"},
		{func(*Config) {}, ""},
		{func(c *Config) { c.ScrapeNativeHistograms = true }, ""},
	} {
		cfg := config(discovery.NewSet())
		c.change(&cfg)
		// A configuration may be validated more than once.
		err := errors.Join(cfg.Validate(), cfg.Validate())
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}
