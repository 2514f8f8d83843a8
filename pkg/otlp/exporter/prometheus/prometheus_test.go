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
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"collector/pkg/component"
	"collector/pkg/metrics/relabel"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/recordedtest"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

func TestPointsBecomeTheSamplesThatAlloyMakes(t *testing.T) {
	recordedtest.Run(t, "otelcol.exporter.prometheus", nil, Definition(), relabel.Definition())
}

// sink keeps the batches that it receives, or fails with err.
type sink struct {
	mu      sync.Mutex
	batches []pipeline.Metrics
	err     error
}

func (s *sink) WriteMetrics(_ context.Context, m pipeline.Metrics) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.batches = append(s.batches, pipeline.Metrics{
		Samples: append([]pipeline.Sample{}, m.Samples...), Histograms: append([]pipeline.HistogramSample{}, m.Histograms...),
		Exemplars: append([]pipeline.Exemplar{}, m.Exemplars...), Metadata: append([]pipeline.Metadata{}, m.Metadata...),
	})
	return nil
}

// last is the batch that came last.
func (s *sink) last(t *testing.T) pipeline.Metrics {
	t.Helper()
	if len(s.batches) == 0 {
		t.Fatal("nothing has arrived")
	}
	return s.batches[len(s.batches)-1]
}

// exporter is one without target_info, whose metrics are in the registry.
func exporter(t testing.TB, change func(*Config), to ...pipeline.MetricsSink) (*Exporter, *prometheus.Registry) {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.IncludeTargetInfo, c.ForwardTo = false, to
	if change != nil {
		change(&c)
	}
	reg := prometheus.NewRegistry()
	e, err := New(c, component.Options{Metrics: reg})
	if err != nil {
		t.Fatal(err)
	}
	return e, reg
}

// request is a request of one resource and scope, whose metrics add adds.
func request(t testing.TB, add func(pmetric.MetricSlice)) pipeline.OTLP {
	t.Helper()
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "shop")
	add(rm.ScopeMetrics().AppendEmpty().Metrics())
	data, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.OTLP{Signal: pipeline.SignalMetrics, Data: data, Items: md.DataPointCount()}
}

// counter is a request of one point of a counter, at a second.
func counter(t testing.TB, second int, v float64) pipeline.OTLP {
	t.Helper()
	return request(t, func(all pmetric.MetricSlice) {
		m := all.AppendEmpty()
		m.SetName("orders")
		m.SetDescription("Orders.")
		m.SetEmptySum().SetIsMonotonic(true)
		m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		dp := m.Sum().DataPoints().AppendEmpty()
		dp.SetTimestamp(at(second))
		dp.SetDoubleValue(v)
	})
}

func at(second int) pcommon.Timestamp { return pcommon.Timestamp(second * int(time.Second)) }

func write(t *testing.T, e *Exporter, r pipeline.OTLP) {
	t.Helper()
	if err := e.WriteOTLP(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// counts checks that what was received is converted or dropped.
func counts(t *testing.T, reg *prometheus.Registry, received, converted float64, dropped map[reason]float64) {
	t.Helper()
	for name, want := range map[string]float64{"received_points_total": received, "converted_points_total": converted} {
		if got := otlptest.Counter(t, reg, prefix+name, ""); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for r := range reasons {
		if got := otlptest.Counter(t, reg, prefix+"dropped_points_total", r.String()); got != dropped[r] {
			t.Errorf("%v points are dropped as %s, want %v", got, r, dropped[r])
		}
	}
}

func TestAnOlderPointIsDroppedAndCounted(t *testing.T) {
	to := &sink{}
	e, reg := exporter(t, nil, to)
	for _, second := range []int{5, 4, 5, 6} {
		write(t, e, counter(t, second, float64(second)))
	}
	var got []float64
	for _, b := range to.batches {
		for _, s := range b.Samples {
			got = append(got, s.V)
		}
	}
	if fmt.Sprint(got) != "[5 5 6]" {
		t.Errorf("forwarded %v", got)
	}
	counts(t, reg, 4, 3, map[reason]float64{outOfOrder: 1})
}

func TestARefusedPointIsAcceptedWhenRepeated(t *testing.T) {
	to := &sink{err: pipeline.ErrFull}
	e, reg := exporter(t, nil, to)
	if err := e.WriteOTLP(t.Context(), counter(t, 5, 5)); !errors.Is(err, pipeline.ErrFull) {
		t.Fatalf("got %v", err)
	}
	counts(t, reg, 0, 0, nil)
	to.err = nil
	write(t, e, counter(t, 4, 4)) // the first one has left no trace
	write(t, e, counter(t, 5, 5))
	counts(t, reg, 2, 2, nil)
	if n := otlptest.Counter(t, reg, prefix+"forward_errors_total", ""); n != 1 {
		t.Errorf("%v errors are counted", n)
	}
	if len(to.batches[0].Metadata) != 1 || len(to.batches[1].Metadata) != 0 {
		t.Errorf("metadata is sent %d times, and then %d", len(to.batches[0].Metadata), len(to.batches[1].Metadata))
	}
}

func TestWhatIsNotCumulativeIsDroppedAndCounted(t *testing.T) {
	to := &sink{}
	e, reg := exporter(t, nil, to)
	write(t, e, request(t, func(all pmetric.MetricSlice) {
		for _, temporality := range []pmetric.AggregationTemporality{pmetric.AggregationTemporalityDelta, pmetric.AggregationTemporalityUnspecified} {
			sum := all.AppendEmpty().SetEmptySum()
			sum.SetAggregationTemporality(temporality)
			sum.DataPoints().AppendEmpty()
			sum.DataPoints().AppendEmpty()
			classic := all.AppendEmpty().SetEmptyHistogram()
			classic.SetAggregationTemporality(temporality)
			classic.DataPoints().AppendEmpty()
			native := all.AppendEmpty().SetEmptyExponentialHistogram()
			native.SetAggregationTemporality(temporality)
			native.DataPoints().AppendEmpty()
		}
	}))
	counts(t, reg, 8, 0, map[reason]float64{deltaTemporality: 4, noTemporality: 4})
	if len(to.batches) != 0 {
		t.Errorf("%v has arrived", to.batches)
	}
}

func TestEachReceiverThatAcceptsNoSamplesIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := &sink{}
		e, reg := exporter(t, nil, good, &sink{err: pipeline.Permanent(errors.New("bad"))})
		write(t, e, counter(t, 5, 5))
		if n := otlptest.Counter(t, reg, prefix+"lost_samples_total", ""); n != 1 || len(good.batches) != 1 {
			t.Errorf("%v samples are lost, %d batches have arrived", n, len(good.batches))
		}
		if n := otlptest.Counter(t, reg, "prometheus_forwarded_samples_total", ""); n != 1 {
			t.Errorf("%v samples are forwarded", n)
		}
	})
}

func TestOtherSignalsAreRejectedPermanently(t *testing.T) {
	e, _ := exporter(t, nil, &sink{})
	for _, s := range []pipeline.Signal{pipeline.SignalTraces, pipeline.SignalLogs} {
		if err := e.WriteOTLP(t.Context(), pipeline.OTLP{Signal: s}); !pipeline.IsPermanent(err) || e.ReadsOTLP(s) {
			t.Errorf("%s: %v", s, err)
		}
	}
	if !e.ReadsOTLP(pipeline.SignalMetrics) {
		t.Error("metrics are not decoded")
	}
}

func TestAPointWithoutAValueEndsItsSeries(t *testing.T) {
	to := &sink{}
	e, _ := exporter(t, nil, to)
	none := pmetric.DefaultDataPointFlags.WithNoRecordedValue(true)
	write(t, e, request(t, func(all pmetric.MetricSlice) {
		all.AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty().SetFlags(none)
		classic := all.AppendEmpty().SetEmptyHistogram()
		classic.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		dp := classic.DataPoints().AppendEmpty()
		dp.SetFlags(none)
		dp.SetSum(3)
		dp.ExplicitBounds().FromRaw([]float64{1})
		dp.BucketCounts().FromRaw([]uint64{1, 2})
		summary := all.AppendEmpty().SetEmptySummary().DataPoints().AppendEmpty()
		summary.SetFlags(none)
		summary.QuantileValues().AppendEmpty().SetQuantile(0.5)
		native := all.AppendEmpty().SetEmptyExponentialHistogram()
		native.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		native.DataPoints().AppendEmpty().SetFlags(none)
	}))
	got := to.last(t)
	if len(got.Samples) != 1+4+3 || len(got.Histograms) != 1 {
		t.Fatalf("%d samples and %d histograms", len(got.Samples), len(got.Histograms))
	}
	for _, s := range got.Samples {
		if !value.IsStaleNaN(s.V) {
			t.Errorf("%s is %v", s.Series.Labels, s.V)
		}
	}
	if h := got.Histograms[0].H; !value.IsStaleNaN(h.Sum) {
		t.Errorf("the histogram is %v", h)
	}
}

func TestASeriesIsTheSameOneUntilItIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &sink{}
		e, _ := exporter(t, func(c *Config) { c.GCFrequency = time.Minute }, to)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		series := func(second int) *pipeline.Series {
			write(t, e, counter(t, second, 1))
			return to.last(t).Samples[0].Series
		}
		first := series(1)
		time.Sleep(staleAfter - time.Minute) // synctest's clock
		if series(2) != first {
			t.Error("a series that is in use was created again")
		}
		time.Sleep(staleAfter + time.Minute + time.Second)
		if n := e.Status().(Status).Series; n != 0 {
			t.Errorf("%d series are remembered", n)
		}
		if series(1) == first {
			t.Error("a series that is not in use is remembered")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestSeriesBeyondTheMemoryAreMadeAgainAndForwarded(t *testing.T) {
	to := &sink{}
	e, reg := exporter(t, nil, to)
	e.cache.max = 100 * seriesCost
	many := func(second int) pipeline.OTLP {
		return request(t, func(all pmetric.MetricSlice) {
			m := all.AppendEmpty()
			m.SetName("g")
			m.SetEmptyGauge()
			for i := range 1000 {
				dp := m.Gauge().DataPoints().AppendEmpty()
				dp.SetTimestamp(at(second))
				dp.Attributes().PutInt("i", int64(i))
			}
		})
	}
	for second := range 3 {
		write(t, e, many(second+1))
	}
	counts(t, reg, 3000, 3000, nil)
	n := e.cache.size()
	if n == 0 || n > 100 || e.cache.used > e.cache.max {
		t.Errorf("%d series are remembered, which take %d of %d bytes", n, e.cache.used, e.cache.max)
	}
	first, last := to.batches[0].Samples, to.batches[2].Samples
	if first[0].Series != last[0].Series || first[999].Series == last[999].Series || !labels.Equal(first[999].Series.Labels, last[999].Series.Labels) {
		t.Error("what is remembered are not the first series")
	}
	e.cache.forget(time.Now().Add(time.Hour))
	if n := e.cache.size(); n != 0 || e.cache.used != 0 {
		t.Errorf("of nothing, %d series and %d bytes are left", n, e.cache.used)
	}
}

func TestAttributesInAnotherOrderAreTheSameSeries(t *testing.T) {
	to := &sink{}
	e, _ := exporter(t, nil, to)
	write(t, e, request(t, func(all pmetric.MetricSlice) {
		gauge := all.AppendEmpty()
		gauge.SetName("g")
		gauge.SetEmptyGauge()
		for _, names := range [][]string{{"a", "b"}, {"b", "a"}} {
			dp := gauge.Gauge().DataPoints().AppendEmpty()
			for _, name := range names {
				dp.Attributes().PutStr(name, name)
			}
		}
	}))
	if s := to.last(t).Samples; len(s) != 2 || s[0].Series != s[1].Series {
		t.Errorf("got %v", s)
	}
}

func TestBucketsAreCumulativeWhateverTheirOrder(t *testing.T) {
	to := &sink{}
	e, _ := exporter(t, nil, to)
	write(t, e, request(t, func(all pmetric.MetricSlice) {
		m := all.AppendEmpty()
		m.SetName("h")
		m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		dp := m.Histogram().DataPoints().AppendEmpty()
		dp.ExplicitBounds().FromRaw([]float64{5, 1, 2.5, math.Inf(1)})
		dp.BucketCounts().FromRaw([]uint64{4, 1, 2, 8})
		dp.SetCount(15)
	}))
	got := map[string]float64{}
	for _, s := range to.last(t).Samples {
		got[s.Series.Labels.Get("le")] = s.V
	}
	if n := len(to.last(t).Samples); n != 5 {
		t.Errorf("%d samples", n)
	}
	for le, want := range map[string]float64{"": 15, "1": 1, "2.5": 3, "5": 7, "+Inf": 15} {
		if got[le] != want {
			t.Errorf("le %q: %v, want %v", le, got[le], want)
		}
	}
}

func TestAnExemplarGoesToItsBucket(t *testing.T) {
	to := &sink{}
	e, reg := exporter(t, nil, to)
	r := request(t, func(all pmetric.MetricSlice) {
		m := all.AppendEmpty()
		m.SetName("h")
		m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		dp := m.Histogram().DataPoints().AppendEmpty()
		dp.SetTimestamp(at(9))
		dp.ExplicitBounds().FromRaw([]float64{10, 20})
		dp.BucketCounts().FromRaw([]uint64{1, 1, 1})
		for i, v := range []int64{25, 15, 3} {
			x := dp.Exemplars().AppendEmpty()
			x.SetIntValue(v)
			x.SetTimestamp(at(9 - i))
			x.SetTraceID(pcommon.TraceID{15: byte(v)})
		}
	})
	write(t, e, r)
	got := map[string]string{}
	for _, x := range to.last(t).Exemplars {
		got[x.Series.Labels.Get("le")] = fmt.Sprint(x.Exemplar.Value, x.Exemplar.Ts, x.Exemplar.Labels.Get("trace_id")[30:])
	}
	if want := "map[+Inf:25 900019 10:3 700003 20:15 80000f]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	write(t, e, request(t, func(all pmetric.MetricSlice) {
		m := all.AppendEmpty()
		m.SetName("h")
		m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		dp := m.Histogram().DataPoints().AppendEmpty()
		dp.SetTimestamp(at(10))
		x := dp.Exemplars().AppendEmpty()
		x.SetDoubleValue(99)
		x.SetTimestamp(at(1))
	}))
	if n := otlptest.Counter(t, reg, prefix+"dropped_exemplars_total", ""); n != 1 || len(to.last(t).Exemplars) != 0 {
		t.Errorf("%v exemplars are dropped", n)
	}
}

func TestAScaleThatNativeHistogramsLackIsDroppedOrMadeCoarser(t *testing.T) {
	to := &sink{}
	e, reg := exporter(t, nil, to)
	write(t, e, request(t, func(all pmetric.MetricSlice) {
		m := all.AppendEmpty()
		m.SetName("h")
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		for i, scale := range []int32{-5, 9, 8} {
			dp := m.ExponentialHistogram().DataPoints().AppendEmpty()
			dp.Attributes().PutInt("i", int64(i))
			dp.SetScale(scale)
			dp.SetCount(10)
			dp.Positive().SetOffset(1)
			dp.Positive().BucketCounts().FromRaw([]uint64{1, 2, 3, 4})
		}
	}))
	counts(t, reg, 3, 2, map[reason]float64{coarseScale: 1})
	for i, want := range []string{"8 [{1 3}] [1 4 -1]", "8 [{2 4}] [1 1 1 1]"} {
		h := to.last(t).Histograms[i].H
		if got := fmt.Sprint(h.Schema, h.PositiveSpans, h.PositiveBuckets); got != want {
			t.Errorf("histogram %d is %s, want %s", i, got, want)
		}
	}
}

func TestScopeLabelsHaveNoEffectAndSaySo(t *testing.T) {
	var warned []string
	_, err := New(Config{GCFrequency: 1}, component.Options{Warn: func(path, _ string) { warned = append(warned, path) }})
	if err != nil || fmt.Sprint(warned) != "[include_scope_labels]" {
		t.Errorf("warned of %v, %v", warned, err)
	}
}

func TestGCFrequencyMustBePositive(t *testing.T) {
	otlptest.Says(t, "", func(*Config) {})
	otlptest.Says(t, "gc_frequency: ", func(c *Config) { c.GCFrequency = 0 })
}

func TestItKeepsTheContractOfSinks(t *testing.T) {
	to := &sink{}
	pipelinetest.Sink{
		New: func(t *testing.T, _ string) pipelinetest.Runner {
			e, _ := exporter(t, nil, to)
			return e
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			request := request(t, func(all pmetric.MetricSlice) {
				m := all.AppendEmpty()
				m.SetName("n" + strconv.Itoa(number))
				m.SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(int64(number))
			})
			err := r.(*Exporter).WriteOTLP(ctx, request)
			clear(request.Data)
			return err
		},
		Serve: func(up bool) {
			to.mu.Lock()
			defer to.mu.Unlock()
			if to.err = pipeline.ErrFull; up {
				to.err = nil
			}
		},
		Arrived: func() map[int]int {
			to.mu.Lock()
			defer to.mu.Unlock()
			out := map[int]int{}
			for _, b := range to.batches {
				for _, s := range b.Samples {
					name := strings.TrimPrefix(s.Series.Labels.Get(labels.MetricName), "n")
					if n, err := strconv.Atoi(name); err == nil && float64(n) == s.V {
						out[n]++
					}
				}
			}
			return out
		},
		Bad: func(ctx context.Context, r pipelinetest.Runner) error {
			return r.(*Exporter).WriteOTLP(ctx, pipeline.OTLP{Signal: pipeline.SignalMetrics, Data: []byte{0x0a, 0xff}})
		},
	}.TestPassing(t)
}

// Spans have the counts of the buckets that they are made of.
func FuzzSpans(f *testing.F) {
	f.Add(int32(-3), uint8(0), []byte{1, 0, 0, 0, 0, 3, 0})
	f.Add(int32(7), uint8(2), []byte{0, 0, 1, 2, 0, 0, 0, 0, 0, 9})
	f.Add(int32(math.MinInt32), uint8(12), []byte{1, 1})
	f.Fuzz(func(t *testing.T, offset int32, down uint8, counts []byte) {
		scaleDown := int32(down % 13)
		if len(counts) > 1000 || int64(offset)+int64(len(counts)) > math.MaxInt32 {
			return
		}
		from := pmetric.NewExponentialHistogramDataPointBuckets()
		from.SetOffset(offset)
		want := map[int64]int64{}
		for i, c := range counts {
			from.BucketCounts().Append(uint64(c))
			want[(int64(offset)+int64(i))>>scaleDown+1] += int64(c)
		}
		spans, deltas := spans(from, scaleDown)
		got, at, n, count := map[int64]int64{}, int64(0), 0, int64(0)
		for _, s := range spans {
			at += int64(s.Offset)
			for range s.Length {
				count += deltas[n]
				got[at] += count
				at, n = at+1, n+1
			}
		}
		if n != len(deltas) {
			t.Fatalf("the spans have %d buckets, and there are %d", n, len(deltas))
		}
		for i, c := range want {
			if got[i] != c {
				t.Errorf("bucket %d has %d, want %d", i, got[i], c)
			}
		}
		for i, c := range got {
			if c != want[i] {
				t.Errorf("bucket %d has %d, want %d", i, c, want[i])
			}
		}
	})
}

// Whatever a request holds, each of its points is converted or dropped, and the series
// of its samples have sorted labels without empty values.
func FuzzConvert(f *testing.F) {
	f.Add(shop(f).Data)
	f.Add(counter(f, 1, 1).Data)
	f.Add(request(f, func(all pmetric.MetricSlice) {
		m := all.AppendEmpty()
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		dp := m.ExponentialHistogram().DataPoints().AppendEmpty()
		dp.SetScale(20)
		dp.Positive().BucketCounts().FromRaw([]uint64{1, 0, 0, 2})
		s := all.AppendEmpty().SetEmptySummary().DataPoints().AppendEmpty()
		s.QuantileValues().AppendEmpty().SetQuantile(math.NaN())
	}).Data)
	f.Fuzz(func(t *testing.T, data []byte) {
		md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(data)
		to := &sink{}
		e, reg := exporter(t, func(c *Config) {
			c.IncludeTargetInfo, c.IncludeScopeInfo, c.ResourceToTelemetryConversion = true, true, true
		}, to)
		written := e.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalMetrics, Data: data})
		if (err == nil) != (written == nil) {
			t.Fatalf("decoded: %v, written: %v", err, written)
		}
		if err != nil {
			return
		}
		points := float64(md.DataPointCount())
		received, converted := otlptest.Counter(t, reg, prefix+"received_points_total", ""), otlptest.Counter(t, reg, prefix+"converted_points_total", "")
		if dropped := otlptest.Counter(t, reg, prefix+"dropped_points_total", ""); received != points || converted+dropped != points {
			t.Errorf("of %v points, %v are received, %v converted and %v dropped", points, received, converted, dropped)
		}
		for _, b := range to.batches {
			for _, s := range b.Samples {
				before := ""
				s.Series.Labels.Range(func(l labels.Label) {
					if l.Name <= before && before != "" || l.Value == "" {
						t.Errorf("labels %s", s.Series.Labels)
					}
					before = l.Name
				})
			}
		}
	})
}
