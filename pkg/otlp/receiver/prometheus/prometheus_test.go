package prometheus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

// keeping is a sink for metrics, or refuses them with err.
type keeping struct {
	mu  sync.Mutex
	got []pmetric.Metrics
	err error
}

func (k *keeping) WriteOTLP(_ context.Context, r pipeline.OTLP) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return k.err
	}
	d, err := r.Read()
	k.got = append(k.got, d.Metrics)
	return err
}

func receiver(t *testing.T, to ...pipeline.OTLPSink) (*Receiver, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	r, err := New(Config{Output: flow.Output{Metrics: to}}, component.Options{Metrics: reg})
	if err != nil {
		t.Fatal(err)
	}
	return r, reg
}

// scraped is a scrape: what the target says of its families, and series with their values.
type scraped struct {
	types   map[string]model.MetricType
	samples []pipeline.Sample
	natives []pipeline.HistogramSample
	marks   []pipeline.Exemplar
}

// add adds a series in the notation of metric pages, at a second.
func (p *scraped) add(t *testing.T, second int, v float64, series ...string) {
	t.Helper()
	p.samples = append(p.samples, pipeline.Sample{Series: series1(series...), T: int64(second) * 1000, V: v})
}

// series1 is a series by its name and its other labels.
func series1(series ...string) *pipeline.Series {
	return pipeline.NewSeries(labels.FromStrings(append([]string{labels.MetricName, series[0]}, series[1:]...)...))
}

func (p *scraped) metrics() pipeline.Metrics {
	return pipeline.Metrics{Samples: p.samples, Histograms: p.natives, Exemplars: p.marks, Origin: &pipeline.Origin{
		Job: "j", Instance: "host:80", Scheme: "https",
		Describe: func(family string) (pipeline.Metadata, bool) {
			t, ok := p.types[family]
			return pipeline.Metadata{Family: family, Type: t, Help: "About " + family + ".", Unit: "seconds"}, ok
		},
	}}
}

// write writes a page and returns the metrics of its one resource and scope, by name.
func write(t *testing.T, r *Receiver, to *keeping, p *scraped) (byName map[string]pmetric.Metric, rm pmetric.ResourceMetrics) {
	t.Helper()
	to.got = nil
	if err := r.WriteMetrics(t.Context(), p.metrics()); err != nil {
		t.Fatal(err)
	}
	if len(to.got) != 1 {
		t.Fatalf("%d requests have arrived", len(to.got))
	}
	byName = map[string]pmetric.Metric{}
	rm = to.got[0].ResourceMetrics().At(0)
	for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
		byName[m.Name()] = m
	}
	return byName, rm
}

func dropped(t *testing.T, reg *prometheus.Registry, reason string) float64 {
	t.Helper()
	return otlptest.Counter(t, reg, "otelcol_receiver_prometheus_dropped_samples_total", reason)
}

func TestTheResourceIsTheLabelsOrTheTarget(t *testing.T) {
	to := &keeping{}
	r, _ := receiver(t, to)
	p := &scraped{}
	p.add(t, 1, 1, "own", "job", "federated", "instance", "10.0.0.1:9090")
	p.add(t, 1, 1, "plain")
	if err := r.WriteMetrics(t.Context(), p.metrics()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, rm := range to.got[0].ResourceMetrics().All() {
		got = append(got, fmt.Sprint(rm.Resource().Attributes().AsRaw()))
	}
	want := "map[http.scheme:https net.host.name:10.0.0.1 net.host.port:9090 server.address:10.0.0.1 server.port:9090 service.instance.id:10.0.0.1:9090 service.name:federated url.scheme:https]\n" +
		"map[http.scheme:https net.host.name:host net.host.port:80 server.address:host server.port:80 service.instance.id:host:80 service.name:j url.scheme:https]"
	if strings.Join(got, "\n") != want {
		t.Errorf("got %s", strings.Join(got, "\n"))
	}
	for host, want := range map[string]bool{"localhost": false, "127.0.0.1": false, "::1": false, "0.0.0.0": false, "10.1.1.1": true, "web": true} {
		if tellsApart(host) != want {
			t.Errorf("%s: %t", host, !want)
		}
	}
}

func TestSamplesOfNoTargetAreAcceptedToo(t *testing.T) {
	to := &keeping{}
	r, _ := receiver(t, to)
	err := r.WriteMetrics(t.Context(), pipeline.Metrics{Samples: []pipeline.Sample{{Series: series1("g"), T: 1000, V: 2}}})
	if err != nil || len(to.got) != 1 || to.got[0].DataPointCount() != 1 {
		t.Errorf("%d requests, %v", len(to.got), err)
	}
}

func TestLabelsOfTheScopeAreTheScope(t *testing.T) {
	to := &keeping{}
	r, _ := receiver(t, to)
	p := &scraped{}
	scope := []string{"otel_scope_name", "lib", "otel_scope_version", "2", "otel_scope_schema_url", "http://schema"}
	p.add(t, 1, 1, append([]string{"g", "a", "b", "empty", ""}, scope...)...)
	p.add(t, 1, 1, append([]string{"otel_scope_info", "team", "red"}, scope...)...)
	byName, rm := write(t, r, to, p)
	sm := rm.ScopeMetrics().At(0)
	got := fmt.Sprint(sm.Scope().Name(), sm.Scope().Version(), sm.SchemaUrl(), sm.Scope().Attributes().AsRaw(), byName["g"].Gauge().DataPoints().At(0).Attributes().AsRaw())
	if want := "lib2http://schemamap[team:red]map[a:b]"; strings.ReplaceAll(got, " ", "") != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestStartsAreTheFirstSampleOrTheFirstAfterAReset(t *testing.T) {
	to := &keeping{}
	r, _ := receiver(t, to)
	for i, c := range []struct{ count, sum, start float64 }{{5, 50, 1}, {7, 60, 1}, {3, 65, 3}, {4, 65, 3}, {4, 64, 5}} {
		p := &scraped{types: map[string]model.MetricType{"c_total": model.MetricTypeCounter, "h": model.MetricTypeHistogram, "s": model.MetricTypeSummary}}
		p.add(t, i+1, c.count, "c_total")
		for _, family := range []string{"h", "s"} {
			p.add(t, i+1, c.count, family+"_count")
			p.add(t, i+1, c.sum, family+"_sum")
		}
		p.natives = []pipeline.HistogramSample{{Series: series1("n"), T: int64(i+1) * 1000, H: &histogram.Histogram{Count: uint64(c.count), ZeroCount: uint64(c.count), Sum: c.sum}}}
		byName, _ := write(t, r, to, p)
		want := at(c.start)
		counterStart := want
		if i == 4 {
			counterStart = at(3) // its value has not fallen
		}
		if got := byName["c_total"].Sum().DataPoints().At(0).StartTimestamp(); got != counterStart {
			t.Errorf("scrape %d: the counter has begun at %d", i, got)
		}
		if got := byName["h"].Histogram().DataPoints().At(0).StartTimestamp(); got != want {
			t.Errorf("scrape %d: the histogram has begun at %d", i, got)
		}
		if got := byName["s"].Summary().DataPoints().At(0).StartTimestamp(); got != want {
			t.Errorf("scrape %d: the summary has begun at %d", i, got)
		}
		if got := byName["n"].ExponentialHistogram().DataPoints().At(0).StartTimestamp(); got != want {
			t.Errorf("scrape %d: the native histogram has begun at %d", i, got)
		}
	}
}

func TestACreatedSeriesIsTheStart(t *testing.T) {
	to := &keeping{}
	r, reg := receiver(t, to)
	p := &scraped{types: map[string]model.MetricType{"c": model.MetricTypeCounter, "h": model.MetricTypeHistogram, "lone": model.MetricTypeCounter}}
	p.add(t, 9, 5, "c_total")
	p.add(t, 9, 2, "c_created")
	p.add(t, 9, 5, "h_count")
	p.add(t, 9, math.NaN(), "h_created")
	p.add(t, 9, 2, "lone_created")
	byName, _ := write(t, r, to, p)
	if got := byName["c_total"].Sum().DataPoints().At(0).StartTimestamp(); got != at(2) {
		t.Errorf("the counter has begun at %d", got)
	}
	if got := byName["h"].Histogram().DataPoints().At(0).StartTimestamp(); got != at(9) {
		t.Errorf("the histogram has begun at %d", got)
	}
	if len(byName) != 2 || dropped(t, reg, incomplete) != 1 {
		t.Errorf("got %v", byName)
	}
}

func TestAStaleMarkerIsAPointWithoutAValue(t *testing.T) {
	to := &keeping{}
	r, _ := receiver(t, to)
	stale := math.Float64frombits(value.StaleNaN)
	p := &scraped{types: map[string]model.MetricType{"c_total": model.MetricTypeCounter, "h": model.MetricTypeHistogram, "s": model.MetricTypeSummary, "n": model.MetricTypeHistogram}}
	p.add(t, 1, stale, "g")
	p.add(t, 1, stale, "c_total")
	p.add(t, 1, stale, "h_bucket", "le", "1")
	p.add(t, 1, stale, "h_count")
	p.add(t, 1, stale, "s", "quantile", "0.5")
	p.add(t, 1, stale, "s_count")
	p.add(t, 1, stale, "n")
	byName, _ := write(t, r, to, p)
	classic, summary, native := byName["h"].Histogram().DataPoints().At(0), byName["s"].Summary().DataPoints().At(0), byName["n"].ExponentialHistogram().DataPoints().At(0)
	for name, flags := range map[string]pmetric.DataPointFlags{
		"gauge": byName["g"].Gauge().DataPoints().At(0).Flags(), "counter": byName["c_total"].Sum().DataPoints().At(0).Flags(),
		"histogram": classic.Flags(), "summary": summary.Flags(), "native histogram": native.Flags(),
	} {
		if !flags.NoRecordedValue() {
			t.Errorf("the %s has a value", name)
		}
	}
	if classic.BucketCounts().At(0) != 0 || summary.QuantileValues().At(0).Value() != 0 {
		t.Error("the marker is a value")
	}
}

func TestWhatIsNoPointIsDroppedAndCounted(t *testing.T) {
	to := &keeping{}
	r, reg := receiver(t, to)
	p := &scraped{types: map[string]model.MetricType{"h": model.MetricTypeHistogram, "two": model.MetricTypeHistogram}}
	p.add(t, 1, 1, "g")
	p.add(t, 1, 1, "")
	p.add(t, 1, 1, "h_bucket", "le", "x")
	p.add(t, 1, 1, "h_bucket")
	p.add(t, 1, 1, "h_bucket", "le", "1")
	p.add(t, 1, 1, "h_sum")
	p.add(t, 1, 1, "two_sum")
	p.add(t, 2, 1, "two_count")
	p.natives = []pipeline.HistogramSample{
		{Series: series1("custom"), T: 1000, FH: &histogram.FloatHistogram{Schema: histogram.CustomBucketsSchema}},
		{Series: series1("wrong"), T: 1000, FH: &histogram.FloatHistogram{PositiveBuckets: []float64{1}}},
		{Series: series1("sparse"), T: 1000, FH: &histogram.FloatHistogram{Count: 2, PositiveSpans: []histogram.Span{{Length: 1}, {Offset: math.MaxInt32, Length: 1}}, PositiveBuckets: []float64{1, 1}}},
		{Series: series1(""), T: 1000, FH: &histogram.FloatHistogram{}},
	}
	byName, _ := write(t, r, to, p)
	if len(byName) != 2 {
		t.Errorf("got %v", byName)
	}
	if dp := byName["two"].Histogram().DataPoints(); dp.Len() != 1 || dp.At(0).HasSum() || dp.At(0).Timestamp() != at(2) {
		t.Errorf("of a histogram whose sum has another time than its count there are %d points", dp.Len())
	}
	for reason, want := range map[string]float64{noName: 2, badBucket: 2, incomplete: 3, badBuckets: 3} {
		if got := dropped(t, reg, reason); got != want {
			t.Errorf("%s: %v, want %v", reason, got, want)
		}
	}
	if n := otlptest.Counter(t, reg, "otelcol_receiver_prometheus_samples_total", ""); n != 12 {
		t.Errorf("%v samples are counted", n)
	}
}

func TestNativeHistogramsAreExponential(t *testing.T) {
	to := &keeping{}
	r, _ := receiver(t, to)
	h := &histogram.Histogram{
		Schema: 1, Count: 13, Sum: 30.5, ZeroThreshold: 0.5, ZeroCount: 2,
		PositiveSpans: []histogram.Span{{Offset: 2, Length: 2}, {Offset: 1, Length: 1}}, PositiveBuckets: []int64{1, 1, 3},
		NegativeSpans: []histogram.Span{{Offset: 0, Length: 1}}, NegativeBuckets: []int64{3},
	}
	p := &scraped{natives: []pipeline.HistogramSample{{Series: series1("n"), T: 1000, H: h}, {Series: series1("f"), T: 1000, FH: h.ToFloat(nil)}}}
	byName, _ := write(t, r, to, p)
	for _, name := range []string{"n", "f"} {
		dp := byName[name].ExponentialHistogram().DataPoints().At(0)
		got := fmt.Sprint(dp.Scale(), dp.Count(), dp.Sum(), dp.ZeroThreshold(), dp.ZeroCount(), dp.Positive().Offset(), dp.Positive().BucketCounts().AsRaw(), dp.Negative().Offset(), dp.Negative().BucketCounts().AsRaw())
		if want := "1 13 30.5 0.5 2 1 [1 2 0 5] -1 [3]"; got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestTypesThatOTLPLacksAreGaugesOfTheirOwn(t *testing.T) {
	to := &keeping{}
	r, _ := receiver(t, to)
	p := &scraped{types: map[string]model.MetricType{"g": model.MetricTypeGaugeHistogram, "h": model.MetricTypeHistogram, "b": model.MetricTypeInfo, "st": model.MetricTypeStateset}}
	p.add(t, 1, 1, "g_gcount")
	p.add(t, 1, 2, "g_bucket", "le", "1")
	p.add(t, 1, 3, "h_total") // of no histogram
	p.add(t, 1, 4, "h")
	p.add(t, 1, 1, "b_info", "v", "1")
	p.add(t, 1, 1, "st", "st", "on")
	byName, _ := write(t, r, to, p)
	for name, want := range map[string]pmetric.MetricType{
		"g_gcount": pmetric.MetricTypeGauge, "g_bucket": pmetric.MetricTypeGauge, "h_total": pmetric.MetricTypeGauge, "h": pmetric.MetricTypeGauge,
		"b": pmetric.MetricTypeSum, "st": pmetric.MetricTypeSum,
	} {
		if m, ok := byName[name]; !ok || m.Type() != want {
			t.Errorf("%s: %v", name, m.Type())
		}
	}
	if b := byName["b"]; b.Sum().IsMonotonic() || b.Description() != "About b." || b.Unit() != "s" {
		t.Errorf("the info is %v, %q in %q", b.Sum().IsMonotonic(), b.Description(), b.Unit())
	}
	if v, _ := byName["b"].Metadata().Get("prometheus.type"); v.Str() != "info" {
		t.Errorf("its type is %q", v.Str())
	}
}

func TestExemplarsHaveTheIDsOfTheirTraces(t *testing.T) {
	to := &keeping{}
	r, _ := receiver(t, to)
	p := &scraped{types: map[string]model.MetricType{"h": model.MetricTypeHistogram}}
	p.add(t, 1, 1, "h_bucket", "le", "1")
	p.add(t, 1, 1, "h_count")
	for _, lset := range []labels.Labels{
		labels.FromStrings("trace_id", "0102030405060708090a0b0c0d0e0f10", "Span_ID", "abcd", "user", "ann"),
		labels.FromStrings("trace_id", "not hexadecimal", "span_id", "abc"),
		labels.FromStrings("trace_id", "0102030405060708090a0b0c0d0e0f10ff"),
	} {
		p.marks = append(p.marks, pipeline.Exemplar{Series: series1("h_bucket", "le", "1"), Exemplar: exemplar.Exemplar{Labels: lset, Value: 0.5, Ts: 7}})
	}
	p.marks = append(p.marks, pipeline.Exemplar{Series: series1("absent"), Exemplar: exemplar.Exemplar{}})
	byName, _ := write(t, r, to, p)
	var got []string
	for _, x := range byName["h"].Histogram().DataPoints().At(0).Exemplars().All() {
		got = append(got, fmt.Sprint(int64(x.Timestamp()), " ", x.DoubleValue(), " ", x.TraceID(), " ", x.SpanID(), " ", x.FilteredAttributes().AsRaw()))
	}
	want := []string{
		"7000000 0.5 0102030405060708090a0b0c0d0e0f10 000000000000abcd map[user:ann]",
		"7000000 0.5   map[span_id:abc trace_id:not hexadecimal]",
		"7000000 0.5 0102030405060708090a0b0c0d0e0f10  map[]",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestSeriesThatGetNoSamplesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &keeping{}
		r, _ := receiver(t, to)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		p := &scraped{types: map[string]model.MetricType{"c_total": model.MetricTypeCounter}}
		p.add(t, 1, 1, "c_total")
		write(t, r, to, p)
		time.Sleep(forgetEvery + time.Second) // synctest's clock
		if n := r.starts.size(); n != 1 {
			t.Errorf("%d series are remembered, want 1", n)
		}
		time.Sleep(forgetEvery)
		if n := r.starts.size(); n != 0 {
			t.Errorf("%d series are remembered, want none", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestSamplesWithoutAnOutputAreCounted(t *testing.T) {
	r, reg := receiver(t)
	p := &scraped{}
	p.add(t, 1, 1, "g")
	if err := r.WriteMetrics(t.Context(), p.metrics()); err != nil {
		t.Fatal(err)
	}
	if n := otlptest.Counter(t, reg, "otelcol_receiver_lost_items_total", "no_output"); n != 1 {
		t.Errorf("%v samples are counted", n)
	}
}

func TestItKeepsTheContractOfSinks(t *testing.T) {
	to := &keeping{}
	pipelinetest.Sink{
		New: func(t *testing.T, _ string) pipelinetest.Runner {
			r, _ := receiver(t, to)
			return r
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			m := pipeline.Metrics{Samples: []pipeline.Sample{{Series: series1("n" + strconv.Itoa(number)), T: 1, V: float64(number)}}}
			err := r.(*Receiver).WriteMetrics(ctx, m)
			clear(m.Samples)
			return err
		},
		Serve: func(up bool) {
			to.mu.Lock()
			defer to.mu.Unlock()
			if to.err = errors.New("down"); up {
				to.err = nil
			}
		},
		Arrived: func() map[int]int {
			to.mu.Lock()
			defer to.mu.Unlock()
			out := map[int]int{}
			for _, md := range to.got {
				m := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
				n, err := strconv.Atoi(strings.TrimPrefix(m.Name(), "n"))
				if err == nil && m.Gauge().DataPoints().At(0).DoubleValue() == float64(n) {
					out[n]++
				}
			}
			return out
		},
	}.TestPassing(t)
}

func at(second float64) pcommon.Timestamp {
	return pcommon.Timestamp(second * float64(time.Second))
}
