package wire

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/prompb"
)

func series(name string, samples ...prompb.Sample) prompb.TimeSeries {
	return prompb.TimeSeries{
		Labels:    []prompb.Label{{Name: "__name__", Value: name}, {Name: "instance", Value: "a:1"}, {Name: "job", Value: "bench"}},
		Samples:   samples,
		Exemplars: []prompb.Exemplar{{Labels: []prompb.Label{{Name: "trace_id", Value: "x"}}, Value: 1, Timestamp: 2}},
	}
}

func TestSamplesAreReadAsPrompbWritesThem(t *testing.T) {
	request := prompb.WriteRequest{
		Timeseries: []prompb.TimeSeries{
			series("bench_a", prompb.Sample{Value: 1.5, Timestamp: 1700000000000}, prompb.Sample{Value: -2, Timestamp: 1700000001000}),
			series("bench_none"),
			series("up", prompb.Sample{Timestamp: 3}), // a value of 0 is not on the wire
		},
		Metadata: []prompb.MetricMetadata{{MetricFamilyName: "bench_a", Help: "help"}},
	}
	encoded, err := request.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	type read struct {
		Name   string
		Value  float64
		Millis int64
	}
	var got []read
	if err := Samples(encoded, func(s Sample) { got = append(got, read{string(s.Name), s.Value, s.Millis}) }); err != nil {
		t.Fatal(err)
	}
	want := []read{{"bench_a", 1.5, 1700000000000}, {"bench_a", -2, 1700000001000}, {"up", 0, 3}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOnlySamplesOfPagesCount(t *testing.T) {
	for _, c := range []struct {
		sample Sample
		counts bool
		number uint64
		failed bool
	}{
		{Sample{Name: []byte("bench_http_requests_total_0"), Value: 7}, true, 0, false},
		{Sample{Name: []byte(pagesName), Value: 7}, true, 7, false},
		{Sample{Name: []byte("up"), Value: 1}, false, 0, false},
		{Sample{Name: []byte("up"), Value: 0}, false, 0, true},
		{Sample{Name: []byte("scrape_duration_seconds"), Value: 0}, false, 0, false},
		{Sample{Name: []byte("bench_a"), Value: math.Float64frombits(staleBits)}, false, 0, false},
		{Sample{Name: []byte("bench_a"), Value: math.NaN()}, true, 0, false},
	} {
		if got := c.sample.Failed(); got != c.failed {
			t.Errorf("%s %v says that a scrape has failed: %v", c.sample.Name, c.sample.Value, got)
		}
		if got := c.sample.Counts(); got != c.counts {
			t.Errorf("%s %v counts: %v", c.sample.Name, c.sample.Value, got)
		}
		if got := c.sample.Number(); got != c.number {
			t.Errorf("%s %v has number %d, want %d", c.sample.Name, c.sample.Value, got, c.number)
		}
	}
}

// TestDamagedRequestsAreErrors cuts requests at every byte: each is either read
// without a panic, or an error.
func TestDamagedRequestsAreErrors(t *testing.T) {
	one := series("bench_a", prompb.Sample{Value: 1.5, Timestamp: 17})
	encoded, err := (&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{one}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for n := range encoded {
		err := Samples(encoded[:n], func(Sample) {})
		if n > 0 && err == nil {
			t.Errorf("the first %d of %d bytes are read without an error", n, len(encoded))
		}
	}
	for _, read := range []func([]byte) error{
		func(b []byte) error { return Samples(b, func(Sample) {}) },
		func(b []byte) error { return Spans(b, func(Span) {}) },
		func(b []byte) error { _, err := Lines(b, func(Line) {}); return err },
	} {
		if read([]byte{0x0a, 0x05, 0x0a}) == nil {
			t.Error("a message longer than its request is read without an error")
		}
	}
}

func TestPagesHaveTheirNumberAndSeries(t *testing.T) {
	page := NewPage(3, 100)
	first, second := string(page.Append(nil, 1)), string(page.Append(nil, 2))
	names := make(map[string]bool)
	samples := 0
	for line := range strings.Lines(first) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		samples++
		name, _, ok := strings.Cut(line, " ")
		if !ok || names[name] || !strings.HasPrefix(name, "bench_") {
			t.Errorf("line %q", line)
		}
		names[name] = true
	}
	if samples != 100 || page.Series() != 100 {
		t.Errorf("it has %d samples and says %d, want 100", samples, page.Series())
	}
	if !strings.Contains(first, "\n"+pagesName+" 1\n") || !strings.Contains(second, "\n"+pagesName+" 2\n") {
		t.Error("its number is not on the page")
	}
	changed := 0
	later := strings.Split(second, "\n")
	for i, line := range strings.Split(first, "\n") {
		if line != later[i] {
			changed++
		}
	}
	if changed < 20 || changed > 50 {
		t.Errorf("%d of 100 values change from scrape to scrape, want about a third", changed)
	}
}
