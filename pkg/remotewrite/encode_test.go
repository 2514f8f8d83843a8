package remotewrite

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"

	"collector/pkg/pipeline"
)

// bitwise compares floats by their bits, so that one NaN is not another.
func bitwise() cmp.Option {
	return cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) })
}

func unmarshal(t testing.TB, raw []byte) prompb.WriteRequest {
	t.Helper()
	var w prompb.WriteRequest
	if err := w.Unmarshal(raw); err != nil {
		t.Fatalf("prompb cannot read what was encoded: %v", err)
	}
	return w
}

func TestSampleDecodesAsWritten(t *testing.T) {
	lset := labels.FromStrings("__name__", "up", "job", "a", "text", strings.Repeat("ü", 300))
	times := []int64{0, 1, -1, 1_700_000_000_000, math.MaxInt64, math.MinInt64}
	values := []float64{0, math.Copysign(0, -1), 1.5, math.Inf(1), math.Inf(-1), math.NaN(),
		math.Float64frombits(value.StaleNaN), math.Float64frombits(value.NormalNaN)}
	encoded := appendLabels(nil, lset)
	var raw []byte
	var want prompb.WriteRequest
	for _, at := range times {
		for _, v := range values {
			raw = appendSample(raw, encoded, at, v)
			want.Timeseries = append(want.Timeseries, prompb.TimeSeries{
				Labels: prompb.FromLabels(lset, nil), Samples: []prompb.Sample{{Timestamp: at, Value: v}},
			})
		}
	}
	if diff := cmp.Diff(want, unmarshal(t, raw), bitwise()); diff != "" {
		t.Errorf("the decoded request differs (-want +got):\n%s", diff)
	}
}

func TestStaleMarkerKeepsItsBits(t *testing.T) {
	raw := appendSample(nil, appendLabels(nil, labels.FromStrings("__name__", "up")), 5, math.Float64frombits(value.StaleNaN))
	w := unmarshal(t, raw)
	if got := w.Timeseries[0].Samples[0].Value; !value.IsStaleNaN(got) {
		t.Errorf("the marker arrived as %x", math.Float64bits(got))
	}
}

func TestHistogramsDecodeAsPrometheusEncodesThem(t *testing.T) {
	spans := []histogram.Span{{Offset: -3, Length: 2}, {Offset: 0, Length: 0}, {Offset: 5, Length: 1}}
	ints := []*histogram.Histogram{
		{},
		{Sum: math.Float64frombits(value.StaleNaN)},
		{
			CounterResetHint: histogram.GaugeType, Schema: -4, ZeroThreshold: 1e-9, ZeroCount: 7, Count: math.MaxUint64, Sum: -1.5,
			PositiveSpans: spans, PositiveBuckets: []int64{1, -1, math.MinInt64}, NegativeSpans: spans[:1], NegativeBuckets: []int64{9, 0},
		},
	}
	encoded := appendLabels(nil, labels.FromStrings("__name__", "h"))
	for _, h := range ints {
		for _, at := range []int64{0, 1_700_000_000_000, -9} {
			raw := appendSeries(nil, encoded, tagHistograms, appendHistogram(nil, at, h))
			got := unmarshal(t, raw).Timeseries[0].Histograms[0]
			compareHistogram(t, prompb.FromIntHistogram(at, h), got)

			f := h.ToFloat(nil)
			f.Count, f.ZeroCount = 0.5, math.Copysign(0, -1)
			raw = appendSeries(nil, encoded, tagHistograms, appendFloatHistogram(nil, at, f))
			compareHistogram(t, prompb.FromFloatHistogram(at, f), unmarshal(t, raw).Timeseries[0].Histograms[0])
		}
	}
}

// compareHistogram compares after a round through prompb's own encoding, in
// which an empty list is a missing one.
func compareHistogram(t *testing.T, want, got prompb.Histogram) {
	t.Helper()
	raw, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var again prompb.Histogram
	if err := again.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(again, got, bitwise()); diff != "" {
		t.Errorf("the histogram differs (-want +got):\n%s", diff)
	}
}

func TestExemplarDecodesAsWritten(t *testing.T) {
	encoded := appendLabels(nil, labels.FromStrings("__name__", "c_total"))
	for _, x := range []exemplar.Exemplar{
		{Labels: labels.FromStrings("trace_id", "abc"), Value: 3, Ts: 17, HasTs: true},
		{},
	} {
		raw := appendSeries(nil, encoded, tagExemplars, appendExemplar(nil, x))
		want := prompb.Exemplar{Value: x.Value, Timestamp: x.Ts}
		if !x.Labels.IsEmpty() {
			want.Labels = prompb.FromLabels(x.Labels, nil)
		}
		if diff := cmp.Diff(want, unmarshal(t, raw).Timeseries[0].Exemplars[0]); diff != "" {
			t.Errorf("the exemplar differs (-want +got):\n%s", diff)
		}
	}
}

func TestMetadataDecodesAsWritten(t *testing.T) {
	types := []model.MetricType{model.MetricTypeCounter, model.MetricTypeGauge, model.MetricTypeHistogram, model.MetricTypeGaugeHistogram,
		model.MetricTypeSummary, model.MetricTypeInfo, model.MetricTypeStateset, model.MetricTypeUnknown, "nonsense", ""}
	var raw []byte
	var want prompb.WriteRequest
	for _, kind := range types {
		m := pipeline.Metadata{Family: "f_" + string(kind), Type: kind, Help: strings.Repeat("help ", 40), Unit: "seconds"}
		raw = appendMetadata(raw, m)
		want.Metadata = append(want.Metadata, prompb.MetricMetadata{
			Type: prompb.FromMetadataType(kind), MetricFamilyName: m.Family, Help: m.Help, Unit: m.Unit,
		})
	}
	if diff := cmp.Diff(want, unmarshal(t, raw)); diff != "" {
		t.Errorf("the decoded metadata differs (-want +got):\n%s", diff)
	}
}

// FuzzSample checks that prompb reads any series and sample as they were, and
// that the walk over what was encoded finds the same.
func FuzzSample(f *testing.F) {
	f.Add("up", "job", "a", int64(1), uint64(0))
	f.Add("", "", "", int64(-1), value.StaleNaN)
	f.Add("x", "long", strings.Repeat("v", 20_000), int64(math.MaxInt64), uint64(1<<63))
	f.Fuzz(func(t *testing.T, name, label, text string, at int64, bits uint64) {
		lset := labels.FromStrings("__name__", name, "a"+label, text)
		encoded := appendLabels(nil, lset)
		raw := appendSample(nil, encoded, at, math.Float64frombits(bits))
		got := unmarshal(t, raw).Timeseries[0]
		if diff := cmp.Diff(prompb.FromLabels(lset, nil), got.Labels); diff != "" {
			t.Errorf("labels differ (-want +got):\n%s", diff)
		}
		if got.Samples[0].Timestamp != at || math.Float64bits(got.Samples[0].Value) != bits {
			t.Errorf("sample %d, %x arrived as %v", at, bits, got.Samples[0])
		}
		e, tail, err := nextEntry(raw)
		if err != nil || len(tail) != 0 || e.minTime != at || e.maxTime != at || e.items() != 1 || string(e.labels) != string(encoded) {
			t.Errorf("the walk found %+v, %d bytes more, %v", e, len(tail), err)
		}
		back, err := decodeLabels(e.labels)
		if err != nil || !labels.Equal(back, lset) {
			t.Errorf("labels %v were read back as %v, %v", lset, back, err)
		}
	})
}

// FuzzWalk checks that the walk accepts nothing that prompb rejects, for any bytes, and
// that entries are all of what was read.
func FuzzWalk(f *testing.F) {
	f.Add(appendSample(nil, appendLabels(nil, labels.FromStrings("__name__", "up")), 1, 2))
	f.Add(appendMetadata(nil, pipeline.Metadata{Family: "a", Help: "b"}))
	f.Add([]byte{tagTimeseries, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var joined []byte
		for tail := raw; len(tail) > 0; {
			e, next, err := nextEntry(tail)
			if err != nil {
				return
			}
			joined = append(joined, e.field...)
			tail = next
		}
		if string(joined) != string(raw) {
			t.Errorf("entries are %x of %x", joined, raw)
		}
	})
}

// scrape is n series of a usual look, and one sample of each.
func scrape(n int) pipeline.Metrics {
	random := rand.New(rand.NewPCG(1, 2))
	var m pipeline.Metrics
	for i := range n {
		lset := labels.FromStrings("__name__", "http_request_duration_seconds_bucket", "container", "shop-api-1",
			"container_id", "4f1ad0b58d0fbe8ad4a55d4a3d8f3be0a3b3b2b0b7d3c6a1f0e9d8c7b6a59483", "host", "docker-host-1",
			"instance", "172.18.0.5:8080", "job", "prometheus.scrape.app", "le", model.SampleValue(i).String(),
			"path", "/api/v1/items", "project", "shop", "service", "api")
		m.Samples = append(m.Samples, pipeline.Sample{Series: pipeline.NewSeries(lset), T: 1_700_000_000_000, V: float64(random.IntN(100000))})
	}
	return m
}
