package remotewrite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/pipeline"
	"collector/pkg/remotewrite/remotewritetest"
)

// quick makes batches go out at once.
func quick(c *Config) {
	for i := range c.Endpoints {
		c.Endpoints[i].Queue.BatchSendDeadline = 0
		c.Endpoints[i].Queue.MinBackoff = time.Millisecond
		c.Endpoints[i].Queue.MaxBackoff = 20 * time.Millisecond
	}
}

// start runs a component until stop is called or the test ends.
func start(t *testing.T, cfg Config, o component.Options) (c *Component, stop func()) {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	c, err := New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	t.Cleanup(stop)
	return c, stop
}

func write(t *testing.T, c *Component, m pipeline.Metrics) {
	t.Helper()
	if err := c.WriteMetrics(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// numbered is n samples, each of a series of its own, numbered from first.
func numbered(first, n int) pipeline.Metrics {
	var m pipeline.Metrics
	for i := first; i < first+n; i++ {
		lset := labels.FromStrings("__name__", "numbered", "n", fmt.Sprint(i))
		m.Samples = append(m.Samples, pipeline.Sample{Series: pipeline.NewSeries(lset), T: int64(i), V: float64(i)})
	}
	return m
}

// arrived counts how often each number arrived.
func arrived(got []remotewritetest.Sample) map[int]int {
	counts := make(map[int]int)
	for _, s := range got {
		counts[int(s.Value())]++
	}
	return counts
}

// checkOnce checks that each of n numbers but those in without arrived once.
func checkOnce(t *testing.T, got []remotewritetest.Sample, n int, without ...int) {
	t.Helper()
	counts := arrived(got)
	for i := range n {
		want := 1
		if slices.Contains(without, i) {
			want = 0
		}
		if counts[i] != want {
			t.Errorf("sample %d arrived %d times, want %d", i, counts[i], want)
		}
	}
}

// balance waits until nothing is queued and returns the account of an endpoint.
func balance(t *testing.T, c *Component, endpoint int) EndpointStatus {
	t.Helper()
	for {
		s := c.Status().(Status).Endpoints[endpoint]
		dropped := uint64(0)
		for _, n := range s.Dropped {
			dropped += n
		}
		if s.Received != s.Delivered+s.Queued+dropped {
			t.Fatalf("the account does not balance: %+v", s)
		}
		if s.Queued == 0 {
			return s
		}
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
			t.Fatalf("the test ended with %d queued", s.Queued)
		}
	}
}

func TestSamplesArriveAsWritten(t *testing.T) {
	r := remotewritetest.New(t, nil)
	cfg := testConfig(r.URL)
	cfg.ExternalLabels = map[string]string{"host": "h"}
	quick(&cfg)
	c, _ := start(t, cfg, component.Options{})
	m := numbered(0, 3)
	m.Samples[1].V = math.Float64frombits(value.StaleNaN)
	write(t, c, m)
	want := []remotewritetest.Sample{
		{Series: `{__name__="numbered", host="h", n="0"}`, T: 0, Bits: 0},
		{Series: `{__name__="numbered", host="h", n="1"}`, T: 1, Bits: value.StaleNaN},
		{Series: `{__name__="numbered", host="h", n="2"}`, T: 2, Bits: math.Float64bits(2)},
	}
	if diff := cmp.Diff(want, r.WaitSamples(3)); diff != "" {
		t.Errorf("samples differ (-want +got):\n%s", diff)
	}
	if s := balance(t, c, 0); s.Delivered != 3 || s.Encoding != "zstd" {
		t.Errorf("status: %+v", s)
	}
}

func TestHistogramsExemplarsAndMetadataArrive(t *testing.T) {
	r := remotewritetest.New(t, nil)
	cfg := testConfig(r.URL)
	cfg.Endpoints[0].SendNativeHistograms = true
	quick(&cfg)
	c, _ := start(t, cfg, component.Options{})
	series := pipeline.NewSeries(labels.FromStrings("__name__", "h"))
	h := &histogram.Histogram{Schema: 3, Count: 3, Sum: 2.5, ZeroThreshold: 1e-128, ZeroCount: 1,
		PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}}, PositiveBuckets: []int64{1, 0}}
	write(t, c, pipeline.Metrics{
		Histograms: []pipeline.HistogramSample{{Series: series, T: 5, H: h}, {Series: series, T: 6, FH: h.ToFloat(nil)}},
		Exemplars:  []pipeline.Exemplar{{Series: series, Exemplar: exemplar.Exemplar{Labels: labels.FromStrings("trace_id", "x"), Value: 1, Ts: 7, HasTs: true}}},
		Metadata:   []pipeline.Metadata{{Family: "h", Type: "histogram", Help: "Help.", Unit: "seconds"}},
	})
	r.Wait(func() bool { return len(r.Requests()) > 0 })
	w := r.Requests()[0].Write
	if got := w.Timeseries[0].Histograms[0].ToIntHistogram(); !got.Equals(h) {
		t.Errorf("the histogram arrived as %v", got)
	}
	if got := w.Timeseries[1].Histograms[0].ToFloatHistogram(); !got.Equals(h.ToFloat(nil)) {
		t.Errorf("the float histogram arrived as %v", got)
	}
	wantExemplar := prompb.Exemplar{Labels: []prompb.Label{{Name: "trace_id", Value: "x"}}, Value: 1, Timestamp: 7}
	wantMetadata := prompb.MetricMetadata{Type: prompb.MetricMetadata_HISTOGRAM, MetricFamilyName: "h", Help: "Help.", Unit: "seconds"}
	if diff := cmp.Diff(wantExemplar, w.Timeseries[2].Exemplars[0]) + cmp.Diff(wantMetadata, w.Metadata[0]); diff != "" {
		t.Errorf("exemplar or metadata differ (-want +got):\n%s", diff)
	}
}

func TestExemplarsThatBackendsRejectAreDroppedAndTheirSamplesAreSent(t *testing.T) {
	r := remotewritetest.New(t, nil)
	cfg := testConfig(r.URL, r.URL)
	cfg.Endpoints[0].Name, cfg.Endpoints[1].Name = "with", "without"
	cfg.Endpoints[1].SendExemplars = false
	quick(&cfg)
	metrics := prometheus.NewRegistry()
	c, _ := start(t, cfg, component.Options{Metrics: metrics})
	series := pipeline.NewSeries(labels.FromStrings("__name__", "m"))
	x := func(name, value string) pipeline.Exemplar {
		return pipeline.Exemplar{Series: series, Exemplar: exemplar.Exemplar{Labels: labels.FromStrings(name, value, "b", "c"), Value: 1, Ts: 7, HasTs: true}}
	}
	write(t, c, pipeline.Metrics{
		Samples: []pipeline.Sample{{Series: series, T: 5, V: 1}},
		Exemplars: []pipeline.Exemplar{
			x("trace_id", strings.Repeat("x", 118)), x("trace_id", strings.Repeat("\u00e4", 118)), // 128 characters, also in more bytes
			x("trace_id", strings.Repeat("x", 119)), x(strings.Repeat("n", 119), "\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4"),
		},
	})
	r.WaitSamples(2)
	exemplars := 0
	for _, request := range r.Requests() {
		for _, s := range request.Write.Timeseries {
			exemplars += len(s.Exemplars)
		}
	}
	for i := range cfg.Endpoints {
		if s := balance(t, c, i); s.Delivered != 1 || len(s.Dropped) != 0 {
			t.Errorf("status: %+v", s)
		}
	}
	if exemplars != 2 {
		t.Errorf("%d exemplars arrived, want 2", exemplars)
	}
	var got strings.Builder
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if n := m.GetCounter().GetValue(); f.GetName() == "prometheus_remote_storage_exemplars_dropped_total" && n > 0 {
				fmt.Fprint(&got, m.GetLabel()[1].GetValue(), " ", m.GetLabel()[0].GetValue(), " ", n, "\n")
			}
		}
	}
	if got.String() != "with labels_too_long 2\n" && got.String() != "labels_too_long with 2\n" {
		t.Errorf("counted: %s", got.String())
	}
}

func TestAnOutageLosesNothing(t *testing.T) {
	var down atomic.Bool
	var failures atomic.Int64
	r := remotewritetest.New(t, func(remotewritetest.Request) remotewritetest.Answer {
		if down.Load() {
			return remotewritetest.Answer{Status: []int{500, 503, 429, 401, 404}[failures.Add(1)%5]}
		}
		return remotewritetest.Answer{}
	})
	cfg := testConfig(r.URL)
	quick(&cfg)
	c, _ := start(t, cfg, component.Options{})
	down.Store(true)
	for i := range 20 {
		write(t, c, numbered(10*i, 10))
	}
	r.Wait(func() bool { return failures.Load() > 10 })
	down.Store(false)
	checkOnce(t, r.WaitSamples(200), 200)
	if s := balance(t, c, 0); s.Delivered != 200 || len(s.Dropped) != 0 {
		t.Errorf("status: %+v", s)
	}
}

func TestWhatIsQueuedSurvivesARestart(t *testing.T) {
	var up atomic.Bool
	r := remotewritetest.New(t, func(remotewritetest.Request) remotewritetest.Answer {
		if !up.Load() {
			return remotewritetest.Answer{Status: http.StatusServiceUnavailable}
		}
		return remotewritetest.Answer{}
	})
	cfg := testConfig(r.URL)
	quick(&cfg)
	dir := t.TempDir()
	c, stop := start(t, cfg, component.Options{Dir: dir})
	for i := range 10 {
		write(t, c, numbered(10*i, 10))
	}
	stop()
	if err := c.WriteMetrics(t.Context(), numbered(0, 1)); !errors.Is(err, pipeline.ErrClosed) || pipeline.IsPermanent(err) {
		t.Errorf("a stopped component answered %v", err)
	}
	up.Store(true)
	start(t, cfg, component.Options{Dir: dir})
	checkOnce(t, r.WaitSamples(100), 100)
}

func TestRejectedSamplesAffectNoOthers(t *testing.T) {
	bad := []int{3, 77, 250}
	r := remotewritetest.New(t, func(req remotewritetest.Request) remotewritetest.Answer {
		for n := range arrived(remotewritetest.Samples(&req.Write)) {
			if slices.Contains(bad, n) {
				return remotewritetest.Answer{Status: http.StatusBadRequest, Body: "out of bounds"}
			}
		}
		return remotewritetest.Answer{}
	})
	cfg := testConfig(r.URL)
	quick(&cfg)
	c, _ := start(t, cfg, component.Options{})
	write(t, c, numbered(0, 200))
	write(t, c, numbered(200, 100))
	checkOnce(t, r.WaitSamples(297), 300, bad...)
	s := balance(t, c, 0)
	if s.Delivered != 297 || s.Dropped["rejected"] != 3 {
		t.Errorf("status: %+v", s)
	}
	if s.Encoding != "zstd" {
		t.Error("zstd was given up because of a bad sample")
	}
}

func TestTooLargeRequestsAreCut(t *testing.T) {
	r := remotewritetest.New(t, func(req remotewritetest.Request) remotewritetest.Answer {
		if len(req.Write.Timeseries) > 7 {
			return remotewritetest.Answer{Status: http.StatusRequestEntityTooLarge}
		}
		return remotewritetest.Answer{}
	})
	cfg := testConfig(r.URL)
	quick(&cfg)
	c, _ := start(t, cfg, component.Options{})
	write(t, c, numbered(0, 100))
	checkOnce(t, r.WaitSamples(100), 100)
	if s := balance(t, c, 0); s.Delivered != 100 {
		t.Errorf("status: %+v", s)
	}
}

func TestQueuedZstdIsSentAsSnappyAfterTheFallback(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusUnsupportedMediaType} {
		var up atomic.Bool
		onlySnappy := remotewritetest.OnlySnappy(status)
		r := remotewritetest.New(t, func(req remotewritetest.Request) remotewritetest.Answer {
			if !up.Load() {
				return remotewritetest.Answer{Status: http.StatusServiceUnavailable}
			}
			return onlySnappy(req)
		})
		cfg := testConfig(r.URL)
		cfg.Endpoints[0].Queue.MaxSamplesPerSend = 20
		quick(&cfg)
		c, _ := start(t, cfg, component.Options{})
		for i := range 10 {
			write(t, c, numbered(10*i, 10))
		}
		up.Store(true)
		r.WaitSamples(100)
		for i := range 3 { // these are queued in snappy
			write(t, c, numbered(100+10*i, 10))
		}
		checkOnce(t, r.WaitSamples(130), 130)
		if s := balance(t, c, 0); s.Delivered != 130 || s.Encoding != "snappy" || len(s.Dropped) != 0 {
			t.Errorf("status %d: %+v", status, s)
		}
	}
}

func TestNewBlocksAreSnappyOnceNoEndpointAcceptsZstd(t *testing.T) {
	a, b := remotewritetest.New(t, remotewritetest.OnlySnappy(400)), remotewritetest.New(t, nil)
	one, both := testConfig(a.URL), testConfig(a.URL, b.URL)
	for want, cfg := range map[encoding]Config{encodingSnappy: one, encodingZstd: both} {
		quick(&cfg)
		c, _ := start(t, cfg, component.Options{})
		if c.encoding() != encodingZstd {
			t.Errorf("at the start, blocks are %s", c.encoding())
		}
		write(t, c, numbered(0, 3))
		balance(t, c, 0)
		if got := c.encoding(); got != want {
			t.Errorf("with %d endpoints blocks are %s after the fallback of one, want %s", len(cfg.Endpoints), got, want)
		}
	}
}

func TestADeadEndpointDelaysNoOther(t *testing.T) {
	dead := remotewritetest.New(t, func(remotewritetest.Request) remotewritetest.Answer {
		return remotewritetest.Answer{Status: http.StatusServiceUnavailable}
	})
	live := remotewritetest.New(t, nil)
	cfg := testConfig(dead.URL, live.URL)
	quick(&cfg)
	c, _ := start(t, cfg, component.Options{})
	for i := range 10 {
		write(t, c, numbered(10*i, 10))
	}
	checkOnce(t, live.WaitSamples(100), 100)
	if s := c.Status().(Status).Endpoints[0]; s.Delivered != 0 || s.Queued != 100 {
		t.Errorf("the dead endpoint: %+v", s)
	}
}

func TestEndpointsOfOneURLDoNotCollide(t *testing.T) {
	r := remotewritetest.New(t, nil)
	cfg := testConfig(r.URL, r.URL, strings.Replace(r.URL, "http://", "http://user:hunter2@", 1))
	for i, user := range []string{"a", "b"} {
		cfg.Endpoints[i].Headers = map[string]string{"X-Scope-OrgID": user}
	}
	quick(&cfg)
	registry := prometheus.NewRegistry()
	c, _ := start(t, cfg, component.Options{Metrics: registry})
	write(t, c, numbered(0, 1))
	r.WaitSamples(3)
	tenants := make(map[string]int)
	for _, req := range r.Requests() {
		tenants[req.Header.Get("X-Scope-OrgID")]++
	}
	if diff := cmp.Diff(map[string]int{"a": 1, "b": 1, "": 1}, tenants); diff != "" {
		t.Errorf("requests by tenant differ (-want +got):\n%s", diff)
	}
	if _, err := registry.Gather(); err != nil {
		t.Errorf("metrics collide: %v", err)
	}
}

func TestEndpointsWithDifferentRulesGetTheirOwnSeries(t *testing.T) {
	all, some := remotewritetest.New(t, nil), remotewritetest.New(t, nil)
	cfg := testConfig(all.URL, some.URL)
	var rule discovery.Rule
	rule.SetToDefault()
	rule.SourceLabels, rule.Regex, rule.Action = []string{"n"}, "1.*", "drop"
	cfg.Endpoints[1].WriteRelabel = []discovery.Rule{rule}
	cfg.Endpoints[1].Metadata.Send = false
	quick(&cfg)
	c, _ := start(t, cfg, component.Options{})
	m := numbered(0, 12)
	m.Metadata = []pipeline.Metadata{{Family: "numbered", Help: "Help."}}
	write(t, c, m)
	checkOnce(t, all.WaitSamples(12), 12)
	checkOnce(t, some.WaitSamples(9), 12, 1, 10, 11)
	if !all.Contains("Help.") || some.Contains("Help.") {
		t.Error("metadata went to the wrong endpoint")
	}
	if s := balance(t, c, 1); s.Delivered != 9 || s.Dropped[reasonRelabeled] != 3 {
		t.Errorf("status: %+v", s)
	}
	if s := balance(t, c, 0); s.Delivered != 12 {
		t.Errorf("status: %+v", s)
	}
}

func TestSamplesThatAreOmittedOnAppendAreAccounted(t *testing.T) {
	r := remotewritetest.New(t, nil)
	cfg := testConfig(r.URL)
	var rule discovery.Rule
	rule.SetToDefault()
	rule.SourceLabels, rule.Regex, rule.Action = []string{"n"}, "0", "drop"
	cfg.Endpoints[0].WriteRelabel = []discovery.Rule{rule}
	quick(&cfg)
	c, _ := start(t, cfg, component.Options{})
	m := numbered(0, 3)
	m.Histograms = []pipeline.HistogramSample{{Series: m.Samples[2].Series, T: 1, H: &histogram.Histogram{}}}
	write(t, c, m)
	r.WaitSamples(2)
	s := balance(t, c, 0)
	if s.Received != 4 || s.Delivered != 2 || s.Dropped[reasonRelabeled] != 1 || s.Dropped[reasonHistograms] != 1 {
		t.Errorf("status: %+v", s)
	}
}

func TestWithoutEndpointsSamplesAreAccepted(t *testing.T) {
	c, _ := start(t, testConfig(), component.Options{})
	write(t, c, numbered(0, 3))
	if s := c.Status().(Status); len(s.Endpoints) != 0 {
		t.Errorf("status: %+v", s)
	}
}

func TestConcurrentWritersLoseNothing(t *testing.T) {
	r := remotewritetest.New(t, nil)
	cfg := testConfig(r.URL)
	quick(&cfg)
	c, _ := start(t, cfg, component.Options{})
	m := numbered(0, 50)
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 5 { // the same series, as two scrape loops never have
				if err := c.WriteMetrics(t.Context(), m); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	for n, count := range arrived(r.WaitSamples(2000)) {
		if count != 40 {
			t.Errorf("sample %d arrived %d times, want 40", n, count)
		}
	}
}

func TestStatusAndMetricsHoldNoCredentials(t *testing.T) {
	registry := prometheus.NewRegistry()
	cfg := testConfig("http://user:hunter2@127.0.0.1:1/write?token=hunter3")
	quick(&cfg)
	c, _ := start(t, cfg, component.Options{Metrics: registry})
	write(t, c, numbered(0, 1))
	for c.Status().(Status).Endpoints[0].LastError == "" {
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("no request failed")
		}
	}
	status, err := json.Marshal(c.Status())
	if err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if text := string(status) + fmt.Sprint(families); strings.Contains(text, "hunter") {
		t.Errorf("credentials show in %s", text)
	}
	if !strings.Contains(string(status), url.PathEscape("127.0.0.1:1")) {
		t.Errorf("the status does not say where: %s", status)
	}
}

func TestMetricsHaveTheNamesOfAlloysDashboards(t *testing.T) {
	r := remotewritetest.New(t, nil)
	registry := prometheus.NewRegistry()
	cfg := testConfig(r.URL)
	cfg.Endpoints[0].Name = "vm"
	quick(&cfg)
	c, _ := start(t, cfg, component.Options{Metrics: registry})
	write(t, c, numbered(1000, 3))
	r.WaitSamples(3)
	balance(t, c, 0)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]bool)
	for _, f := range families {
		got[f.GetName()] = true
		for _, l := range f.GetMetric()[0].GetLabel() {
			if l.GetName() == "remote_name" && l.GetValue() != "vm" || l.GetName() == "url" && l.GetValue() != r.URL {
				t.Errorf("%s has the label %s", f.GetName(), l)
			}
		}
	}
	for _, name := range []string{
		"samples_total", "samples_failed_total", "samples_retried_total", "sent_batch_duration_seconds", "bytes_total", "metadata_bytes_total",
		"highest_timestamp_in_seconds", "queue_highest_sent_timestamp_seconds", "shards", "shards_min", "shards_max", "samples_pending",
	} {
		if !got["prometheus_remote_storage_"+name] {
			t.Errorf("prometheus_remote_storage_%s is missing", name)
		}
	}
	for _, name := range []string{"prometheus_remote_write_wal_samples_appended_total", "prometheus_remote_write_wal_storage_active_series"} {
		if !got[name] {
			t.Errorf("%s is missing", name)
		}
	}
}
