package receive

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"collector/pkg/listen"
	"collector/pkg/pipeline"
)

// texts is a batch as text, line by line.
func texts(m pipeline.Metrics) (out []string) {
	for _, s := range m.Samples {
		v := fmt.Sprint(s.V)
		if value.IsStaleNaN(s.V) {
			v = "stale"
		}
		out = append(out, fmt.Sprintf("%s %d %s", s.Series.Labels, s.T, v))
	}
	for _, h := range m.Histograms {
		text := ""
		if h.H != nil {
			text = h.H.String() + fmt.Sprint(h.H.CounterResetHint)
		} else {
			text = h.FH.String() + fmt.Sprint(h.FH.CounterResetHint)
		}
		out = append(out, fmt.Sprintf("%s %d %s", h.Series.Labels, h.T, text))
	}
	for _, e := range m.Exemplars {
		out = append(out, fmt.Sprintf("%s exemplar %s %v %d %v", e.Series.Labels, e.Exemplar.Labels, e.Exemplar.Value, e.Exemplar.Ts, e.Exemplar.HasTs))
	}
	for _, m := range m.Metadata {
		out = append(out, fmt.Sprintf("%s %s %s %s", m.Family, m.Type, m.Help, m.Unit))
	}
	return out
}

func whole() *histogram.Histogram {
	return &histogram.Histogram{
		CounterResetHint: histogram.NotCounterReset, Schema: 2, ZeroThreshold: 0.001, ZeroCount: 1, Count: 7, Sum: 3.5,
		PositiveSpans: []histogram.Span{{Offset: -1, Length: 2}}, PositiveBuckets: []int64{2, 1},
		NegativeSpans: []histogram.Span{{Offset: 0, Length: 1}}, NegativeBuckets: []int64{1},
	}
}

func fractions() *histogram.FloatHistogram {
	return &histogram.FloatHistogram{
		CounterResetHint: histogram.GaugeType, Schema: histogram.CustomBucketsSchema, Count: 4.5, Sum: 9,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []float64{2.5, 2}, CustomValues: []float64{1, 2},
	}
}

// request1 has all that there is.
func request1() *prompb.WriteRequest {
	float := prompb.FromFloatHistogram(4000, fractions())
	float.CustomValues = fractions().CustomValues // the library reads them, and does not write them
	return &prompb.WriteRequest{
		Timeseries: []prompb.TimeSeries{
			{
				Labels:    []prompb.Label{{Name: "__name__", Value: "a_total"}, {Name: "job", Value: "j"}, {Name: "zoné", Value: "z"}},
				Samples:   []prompb.Sample{{Value: 1.5, Timestamp: 1000}, {Value: math.Float64frombits(value.StaleNaN), Timestamp: 2000}},
				Exemplars: []prompb.Exemplar{{Labels: []prompb.Label{{Name: "trace_id", Value: "t"}}, Value: 0.5, Timestamp: 999}},
			},
			{
				Labels:     []prompb.Label{{Name: "job", Value: "j"}, {Name: "__name__", Value: "h"}, {Name: "empty", Value: ""}},
				Samples:    []prompb.Sample{{Value: -2, Timestamp: -5}},
				Histograms: []prompb.Histogram{prompb.FromIntHistogram(3000, whole()), float},
			},
		},
		Metadata: []prompb.MetricMetadata{{MetricFamilyName: "a", Type: prompb.MetricMetadata_COUNTER, Help: "how many", Unit: "apples"}},
	}
}

// request2 is the same in version 2, but that metadata is of series.
func request2() *writev2.Request {
	table := writev2.NewSymbolTable()
	of := func(pairs ...string) []uint32 { return table.SymbolizeLabels(labels.FromStrings(pairs...), nil) }
	r := &writev2.Request{Timeseries: []writev2.TimeSeries{
		{
			LabelsRefs: of("__name__", "a_total", "job", "j", "zoné", "z"),
			Samples:    []writev2.Sample{{Value: 1.5, Timestamp: 1000}, {Value: math.Float64frombits(value.StaleNaN), Timestamp: 2000}},
			Exemplars:  []writev2.Exemplar{{LabelsRefs: of("trace_id", "t"), Value: 0.5, Timestamp: 999}},
		},
		{
			LabelsRefs: of("__name__", "h", "job", "j"),
			Samples:    []writev2.Sample{{Value: -2, Timestamp: -5}},
			Histograms: []writev2.Histogram{writev2.FromIntHistogram(3000, whole()), writev2.FromFloatHistogram(4000, fractions())},
		},
	}}
	r.Timeseries[0].Metadata = writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_COUNTER, HelpRef: table.Symbolize("how many"), UnitRef: table.Symbolize("apples")}
	r.Symbols = table.Symbols()
	return r
}

// texts1 is what is in both.
func texts1() []string {
	const a, h = `{__name__="a_total", job="j", "zoné"="z"}`, `{__name__="h", job="j"}`
	return []string{
		a + " 1000 1.5", a + " 2000 stale", h + " -5 -2",
		h + " 3000 " + whole().String() + "2", h + " 4000 " + fractions().String() + "3",
		a + ` exemplar {trace_id="t"} 0.5 999 true`,
		"a counter how many apples",
	}
}

// texts2 is what is in version 2, whose metadata belongs to a series.
func texts2() []string {
	want := texts1()
	want[len(want)-1] = "a_total counter how many apples"
	return want
}

// decode decodes a message.
func decode(message []byte, two bool) (*decoder, error) {
	d := new(decoder)
	d.begin(listen.NewBudget(64<<20).Claim("test", nil), newInterned(largestInterned))
	if two {
		return d, d.version2(message)
	}
	return d, d.version1(message)
}

func TestBothVersionsAreDecoded(t *testing.T) {
	d, err := decode(encoded(t, request1()), false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(texts1(), texts(d.out)); diff != "" {
		t.Error(diff)
	}
	if d, err = decode(encoded(t, request2()), true); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(texts2(), texts(d.out)); diff != "" {
		t.Error(diff)
	}
}

func TestASeriesThatNobodyCanStoreIsDroppedAlone(t *testing.T) {
	bad := func(pairs ...string) prompb.TimeSeries {
		s := prompb.TimeSeries{Samples: []prompb.Sample{{Value: 1}, {Value: 2}}}
		for i := 0; i < len(pairs); i += 2 {
			s.Labels = append(s.Labels, prompb.Label{Name: pairs[i], Value: pairs[i+1]})
		}
		return s
	}
	for want, series := range map[string]prompb.TimeSeries{
		"a series has no name":        bad("job", "j"),
		`the label "a" appears twice`: bad("__name__", "m", "a", "1", "b", "2", "a", "3"),
		"is not valid":                bad("__name__", "m", "a", "\xff"),
		`the label ""="x" is not`:     bad("__name__", "m", "", "x"),
		"histogram": {
			Labels: []prompb.Label{{Name: "__name__", Value: "m"}},
			Histograms: []prompb.Histogram{
				{Count: &prompb.Histogram_CountInt{CountInt: 5}, PositiveSpans: []prompb.BucketSpan{{Length: 9}}, PositiveDeltas: []int64{1}},
				{Count: &prompb.Histogram_CountFloat{CountFloat: 5}, Schema: 99},
			},
		},
	} {
		r := request1()
		r.Timeseries = append([]prompb.TimeSeries{series}, r.Timeseries...)
		d, err := decode(encoded(t, r), false)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(texts1(), texts(d.out)); diff != "" {
			t.Errorf("%s: %s", want, diff)
		}
		if d.invalid != 2 || d.why == nil || !strings.Contains(d.why.Error(), want) && want != "histogram" {
			t.Errorf("%s: %d, %v", want, d.invalid, d.why)
		}
	}
}

func TestAReferenceToNothingIsAnError(t *testing.T) {
	for want, change := range map[string]func(*writev2.Request){
		"series 1: there is no symbol 77":   func(r *writev2.Request) { r.Timeseries[0].LabelsRefs[1] = 77 },
		"series 1: a label has no value":    func(r *writev2.Request) { r.Timeseries[0].LabelsRefs = r.Timeseries[0].LabelsRefs[:3] },
		"series 1: there is no symbol 78":   func(r *writev2.Request) { r.Timeseries[0].Exemplars[0].LabelsRefs[0] = 78 },
		"series 1: there is no symbol 79":   func(r *writev2.Request) { r.Timeseries[0].Metadata.HelpRef = 79 },
		"the first symbol is not empty":     func(r *writev2.Request) { r.Symbols[0] = "x" },
		"series 2: it has more than 1000 l": func(r *writev2.Request) { r.Timeseries[1].LabelsRefs = make([]uint32, 2002) },
	} {
		r := request2()
		change(r)
		if _, err := decode(encoded(t, r), true); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestTheFamilyOfAHistogramHasNoSuffix(t *testing.T) {
	for _, test := range []struct {
		name string
		kind writev2.Metadata_MetricType
		want string
	}{
		{"a_bucket", writev2.Metadata_METRIC_TYPE_HISTOGRAM, "a"}, {"a_sum", writev2.Metadata_METRIC_TYPE_SUMMARY, "a"},
		{"a_count", writev2.Metadata_METRIC_TYPE_COUNTER, "a_count"}, {"a", writev2.Metadata_METRIC_TYPE_HISTOGRAM, "a"},
	} {
		if got := family(test.name, uint64(test.kind)); got != test.want {
			t.Errorf("%s: %s", test.name, got)
		}
	}
}

// A few kilobytes may unpack to millions of elements.
func TestWhatDecodingMakesIsClaimed(t *testing.T) {
	for name, element := range map[string]string{
		"empty series": "\x0a\x00", "empty labels": "\x0a\x02\x0a\x00", "empty samples": "\x0a\x02\x12\x00",
		"empty exemplars": "\x0a\x02\x1a\x00", "empty histograms": "\x0a\x02\x22\x00", "empty metadata": "\x1a\x00",
	} {
		message := bytes.Repeat([]byte(element), 8<<20/len(element))
		claim := listen.NewBudget(1<<20).Claim("test", nil)
		d := new(decoder)
		d.begin(claim, newInterned(largestInterned))
		err := d.version1(message)
		if size := cap(d.out.Samples)*sampleCost + cap(d.out.Exemplars)*exemplarCost + cap(d.out.Histograms)*histogramCost; size > 16<<20 {
			t.Errorf("%s: %d bytes were made: %v", name, size, err)
		}
		claim.Release()
	}
}

func TestRepeatedSeriesAreKnown(t *testing.T) {
	n := newInterned(largestInterned)
	kept := pipeline.NewSeries(labels.FromStrings("__name__", "kept"))
	n.add([]byte("kept"), kept)
	const most = largestInterned / leastInterned
	for i := range 3 * most {
		key := fmt.Appendf(nil, "series %d", i)
		n.add(key, pipeline.NewSeries(labels.EmptyLabels()))
		if i%1000 == 0 && n.get([]byte("kept")) != kept {
			t.Fatalf("after %d others, a series that is used is forgotten", i)
		}
	}
	if len(n.young) > most || len(n.old) > most || n.get([]byte("series 0")) != nil {
		t.Errorf("%d and %d series are known", len(n.young), len(n.old))
	}
	n.add(make([]byte, longestInterned+1), kept)
	if n.get(make([]byte, longestInterned+1)) != nil {
		t.Error("a large one is kept")
	}
}

// FuzzDecode: what is decoded is what the library decodes, and nothing panics.
func FuzzDecode(f *testing.F) {
	f.Add(encoded(f, request1()), false)
	f.Add(encoded(f, request2()), true)
	f.Fuzz(func(t *testing.T, data []byte, two bool) {
		d, err := decode(data, two)
		if err != nil || two {
			return
		}
		var w prompb.WriteRequest
		if w.Unmarshal(data) != nil {
			return // it is stricter about fields of the wrong type
		}
		samples := 0
		for _, s := range w.Timeseries {
			samples += len(s.Samples) + len(s.Histograms)
		}
		if n := d.out.Items() + d.invalid; n != samples {
			t.Fatalf("%d samples of %d", n, samples)
		}
		for _, s := range d.out.Samples {
			if !slices.IsSortedFunc(strings.Split(s.Series.Labels.String(), "\x00"), strings.Compare) || s.Series.Labels.Get("__name__") == "" {
				t.Fatalf("%s", s.Series.Labels)
			}
		}
	})
}
