package scrape

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/prometheus/model/labels"
)

// exposition is what an instrumented program answers to a request with the
// Accept header of cfg.
func exposition(t *testing.T, cfg *Config) (page, contentType string) {
	t.Helper()
	reg := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "c_total", Help: "A counter."})
	native := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "n", Help: "Both kinds.", NativeHistogramBucketFactor: 1.1, Buckets: []float64{1, 2}})
	classic := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Help: "Classic only.", Buckets: []float64{1, 2}})
	summary := prometheus.NewSummary(prometheus.SummaryOpts{Name: "s", Help: "A summary.", Objectives: map[float64]float64{0.5: 0.1, 1: 0}})
	reg.MustRegister(counter, native, classic, summary)
	counter.(prometheus.ExemplarAdder).AddWithExemplar(3, prometheus.Labels{"trace": "x"})
	for _, v := range []float64{0.5, 1.5, 2.5, 7} {
		native.Observe(v)
		classic.(prometheus.ExemplarObserver).ObserveWithExemplar(v, prometheus.Labels{"trace": "y"})
		summary.Observe(v)
	}
	request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	request.Header.Set("Accept", cfg.accept())
	recorder := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(recorder, request)
	return recorder.Body.String(), recorder.Header().Get("Content-Type")
}

func pagesOf(cfg *Config) *pages {
	p := newPages()
	p.settings.nativeHists, p.settings.classicHists = cfg.ScrapeNativeHistograms, cfg.ScrapeClassicHistograms
	p.settings.toNHCB, p.settings.bucketLimit = cfg.ConvertClassicHistogramsToNHCB, int(cfg.NativeHistogramBucketLimit)
	p.settings.maxSchema = cfg.maxSchema()
	return p
}

func names(lines []string) string {
	var out []string
	for _, l := range lines {
		name := strings.Split(l, `"`)[1]
		if len(out) == 0 || out[len(out)-1] != name {
			out = append(out, name)
		}
	}
	return strings.Join(out, " ")
}

// Each format of the same metrics gives the same series, and the second scrape
// no new ones.
func TestFormats(t *testing.T) {
	const all = "c_total h_bucket h_sum h_count n_bucket n_sum n_count s s_sum s_count"
	for _, c := range []struct {
		name          string
		change        func(*Config)
		contentType   string
		samples       string
		histograms    string
		exemplars     string
		secondUpdates bool
	}{
		{"OpenMetrics", func(*Config) {}, "application/openmetrics-text", all, "", "c_total h_bucket", true},
		{"text", func(c *Config) { c.ScrapeProtocols = []string{protoText004} }, "text/plain", all, "", "", true},
		{"protobuf, classic", func(c *Config) { c.ScrapeProtocols = []string{protoProtobuf} }, "application/vnd.google.protobuf",
			"c_total h_count h_sum h_bucket n_count n_sum n_bucket s_count s_sum s", "", "c_total h_bucket", true},
		{"protobuf, native", func(c *Config) { c.ScrapeNativeHistograms = true }, "application/vnd.google.protobuf",
			"c_total h_count h_sum h_bucket s_count s_sum s", "n", "c_total h_bucket", true},
		{"protobuf, both", func(c *Config) { c.ScrapeNativeHistograms, c.ScrapeClassicHistograms = true, true }, "application/vnd.google.protobuf",
			"c_total h_count h_sum h_bucket n_count n_sum n_bucket s_count s_sum s", "n", "c_total h_bucket", true},
		{"custom buckets from text", func(c *Config) { c.ConvertClassicHistogramsToNHCB, c.ScrapeProtocols = true, []string{protoText004} }, "text/plain",
			"c_total s s_sum s_count", "h n", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config(nil)
			c.change(&cfg)
			if err := cfg.Validate(); err != nil {
				t.Fatal(err)
			}
			page, contentType := exposition(t, &cfg)
			if !strings.HasPrefix(contentType, c.contentType) {
				t.Fatalf("Content-Type %q", contentType)
			}
			p := pagesOf(&cfg)
			got := p.read(page, contentType)
			want := [...]string{c.samples, c.histograms, c.exemplars, ""}
			if diff := cmp.Diff(want, [...]string{names(got.Samples), names(got.Histograms), names(got.Exemplars), got.Err}); diff != "" {
				t.Error(diff)
			}
			if len(got.Metadata) != 4 {
				t.Errorf("metadata: %q", got.Metadata)
			}
			again := p.read(page, contentType)
			if again.Fresh != 0 || again.Added != got.Added || len(again.Metadata)+len(again.Exemplars) != 0 {
				t.Errorf("the same page again: %+v", again)
			}
			end := p.read("", contentType)
			if len(end.Samples) != got.Added {
				t.Errorf("%d stale markers for %d series: %q", len(end.Samples), got.Added, end.Samples)
			}
		})
	}
}

func TestNativeHistogramLimits(t *testing.T) {
	for _, c := range []struct {
		limit  uint
		factor float64
		want   string // a bucket
		most   int
		err    string
	}{
		{limit: 0, factor: 0, want: "(1.414213562373095,1.5422108254079407]:1", most: 4},
		{limit: 0, factor: 2, want: "(1,2]:1", most: 4},
		{limit: 3, factor: 0, want: "(1,4]:2", most: 3},
		// Even at the lowest resolution there is one bucket on each side of 1.
		{limit: 1, factor: 0, err: "more buckets"},
	} {
		cfg := config(nil)
		cfg.ScrapeNativeHistograms, cfg.NativeHistogramBucketLimit, cfg.NativeHistogramMinBucketFactor = true, c.limit, c.factor
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		page, contentType := exposition(t, &cfg)
		got := pagesOf(&cfg).read(page, contentType)
		if c.err != "" {
			if !strings.Contains(got.Err, c.err) || len(got.Samples)+len(got.Histograms) != 0 {
				t.Errorf("limit %d: %+v", c.limit, got)
			}
			continue
		}
		if got.Err != "" || len(got.Histograms) != 1 {
			t.Fatalf("limit %d, factor %v: %+v", c.limit, c.factor, got)
		}
		if h := got.Histograms[0]; !strings.Contains(h, c.want) || strings.Count(h, "]:") > c.most {
			t.Errorf("limit %d, factor %v: %s", c.limit, c.factor, h)
		}
	}
}

func TestMaxSchema(t *testing.T) {
	for factor, want := range map[float64]int32{0: 8, 1: 8, 1.0001: 8, 1.1: 2, 1.5: 0, 2: 0, 4: -1, 1e9: -4, 1e300: -4} {
		if got := (&Config{NativeHistogramMinBucketFactor: factor}).maxSchema(); got != want {
			t.Errorf("factor %v: schema %d, want %d", factor, got, want)
		}
	}
}

func TestLabelConflicts(t *testing.T) {
	for _, c := range []struct {
		line   string
		honor  bool
		labels string
	}{
		{`a{x="1"}`, false, `{instance="host:80", job="test", x="1"}`},
		{`a{job="mine"}`, false, `{exported_job="mine", instance="host:80", job="test"}`},
		{`a{job="mine",exported_job="old"}`, false, `{exported_exported_job="mine", exported_job="old", instance="host:80", job="test"}`},
		{`a{job="mine"}`, true, `{instance="host:80", job="mine"}`},
		{`a{job=""}`, false, `{instance="host:80", job="test"}`},
		{`a{job=""}`, true, `{instance="host:80"}`},
	} {
		p := newPages()
		p.rules.honorLabels = c.honor
		p.read(c.line+" 1\n", textType)
		got := labels.NewBuilder(p.history.slots[0].series.Labels).Del("__name__").Labels().String()
		if diff := cmp.Diff(c.labels, got); diff != "" {
			t.Errorf("%s, honor_labels = %v: %s", c.line, c.honor, diff)
		}
	}
}

func TestStaleness(t *testing.T) {
	p := newPages()
	for _, step := range []struct {
		page string
		want []string
	}{
		{"a 1\nb 1\nc 1\n", []string{`{"a"} 1`, `{"b"} 1`, `{"c"} 1`}},
		{"a 1\nc 1\n", []string{`{"a"} 1`, `{"c"} 1`, `{"b"} stale`}},
		{"c 1\nd 1\na 1\n", []string{`{"c"} 1`, `{"d"} 1`, `{"a"} 1`}},
		{"", []string{`{"c"} stale`, `{"d"} stale`, `{"a"} stale`}},
		{"nonsense nonsense\n", nil},
		{"c 2\n", []string{`{"c"} 2`}},
		{"nonsense nonsense\n", []string{`{"c"} stale`}},
	} {
		if diff := cmp.Diff(step.want, p.read(step.page, textType).short()); diff != "" {
			t.Errorf("%q: %s", step.page, diff)
		}
	}
}

// A series with timestamps of its own is not ended, unless configured, and a sample that
// was sent before is not sent again.
func TestTimestamps(t *testing.T) {
	for _, c := range []struct {
		name         string
		honor, track bool
		pages        []string
		want         [][]string
	}{
		{"honored", true, false, []string{"a 1 1500\n", "a 1 1500\n", "a 2 1600\n", "a 3 1000\n", "b 1\n"},
			[][]string{{`{"a"} 1 @-500`}, nil, {`{"a"} 2 @-2400`}, nil, {`{"b"} 1`}}},
		{"tracked", true, true, []string{"a 1 1500\n", "b 1\n"}, [][]string{{`{"a"} 1 @-500`}, {`{"b"} 1`, `{"a"} stale`}}},
		{"not honored", false, false, []string{"a 1 1500\n", "a 1 1500\n", "b 1\n"},
			[][]string{{`{"a"} 1`}, {`{"a"} 1`}, {`{"b"} 1`, `{"a"} stale`}}},
		{"several", true, false, []string{"a 1 100\na 2 200\na 2 200\na 3\n"}, [][]string{{`{"a"} 1 @-1900`, `{"a"} 2 @-1800`}}},
		{"far in the future", true, false, []string{"a 1 99999999\nb 1\n"}, [][]string{{`{"b"} 1`}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPages()
			p.settings.honorTimestamps, p.track = c.honor, c.track
			for i, page := range c.pages {
				if diff := cmp.Diff(c.want[i], p.read(page, textType).short()); diff != "" {
					t.Errorf("page %d: %s", i, diff)
				}
			}
		})
	}
}

func TestDuplicateLinesAreCountedAndDropped(t *testing.T) {
	p := newPages()
	for range 3 {
		got := p.read("a 1\na 2\nb{x=\"1\",y=\"2\"} 3\nb{y=\"2\",x=\"1\"} 4\n", textType)
		if diff := cmp.Diff([]string{`{"a"} 1`, `{"b", x="1", y="2"} 3`}, got.short()); diff != "" {
			t.Error(diff)
		}
		if got.Added != 4 || got.Repeated != 2 {
			t.Errorf("%d added, %d repeated", got.Added, got.Repeated)
		}
	}
	// When the first line disappears, the second one counts.
	got := p.read("a 2\nb{y=\"2\",x=\"1\"} 4\n", textType)
	if got.Repeated != 0 || len(got.Samples) != 2 || got.Fresh != 0 {
		t.Errorf("%+v", got)
	}
}

func TestMetadataIsForwardedWhenNewOrChanged(t *testing.T) {
	p := newPages()
	for _, step := range []struct {
		page string
		want []string
	}{
		{"# HELP a One.\n# TYPE a counter\na 1\n", []string{`a counter "One." ""`}},
		{"# HELP a One.\n# TYPE a counter\na 2\n", nil},
		{"# HELP a Two.\n# TYPE a counter\na 2\n", []string{`a counter "Two." ""`}},
		{"# HELP b B.\nb 1\n# HELP a Two.\n# TYPE a counter\na 2\n", []string{`b unknown "B." ""`}},
		{"# HELP a Two.\n# TYPE a gauge\na 2\n", []string{`a gauge "Two." ""`}},
	} {
		if diff := cmp.Diff(step.want, p.read(step.page, textType).Metadata); diff != "" {
			t.Errorf("%q: %s", step.page, diff)
		}
	}
}

// Series that come and go leave nothing behind.
func TestChurnDoesNotGrowMemory(t *testing.T) {
	p := newPages()
	size := 0
	for i := range 200 {
		page := strings.ReplaceAll(bigPage(200, i), "requests_1", "requests_"+strings.Repeat("x", i%50)+"1")
		page = strings.ReplaceAll(page, "GET", "GET"+string(rune('a'+i%26)))
		if got := p.read(page, textType); got.Err != "" {
			t.Fatal(got.Err)
		}
		now := cap(p.history.text) + 16*cap(p.history.slots)
		if i == 10 {
			size = now
		}
		if i > 10 && now > 2*size {
			t.Fatalf("page %d: %d bytes, %d at the beginning", i, now, size)
		}
		if n := len(p.history.families); n > 2*len(p.history.slots)+64 {
			t.Fatalf("page %d: %d families remembered", i, n)
		}
	}
}
