package prometheus

import (
	"context"
	"fmt"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"collector/pkg/pipeline"
)

type nowhere struct{}

func (nowhere) WriteMetrics(context.Context, pipeline.Metrics) error { return nil }

// shop is a request of 100 counters and 20 histograms as an SDK sends them again and
// again.
func shop(tb testing.TB) pipeline.OTLP {
	return request(tb, func(all pmetric.MetricSlice) {
		requests := all.AppendEmpty()
		requests.SetName("http.server.requests")
		requests.SetEmptySum().SetIsMonotonic(true)
		requests.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		for i := range 100 {
			dp := requests.Sum().DataPoints().AppendEmpty()
			dp.SetTimestamp(at(1))
			dp.SetIntValue(int64(i))
			dp.Attributes().PutStr("http.route", fmt.Sprintf("/items/%d", i))
			dp.Attributes().PutStr("http.request.method", "GET")
			dp.Attributes().PutInt("http.response.status_code", 200)
		}
		durations := all.AppendEmpty()
		durations.SetName("http.server.request.duration")
		durations.SetUnit("s")
		durations.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		for i := range 20 {
			dp := durations.Histogram().DataPoints().AppendEmpty()
			dp.SetTimestamp(at(1))
			dp.SetCount(150)
			dp.SetSum(75)
			dp.ExplicitBounds().FromRaw([]float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10})
			dp.BucketCounts().FromRaw([]uint64{10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10})
			dp.Attributes().PutStr("http.route", fmt.Sprintf("/items/%d", i))
			dp.Attributes().PutStr("http.request.method", "GET")
		}
	})
}

const shopSamples = 100 + 20*17

// BenchmarkWrite is a request of known series that becomes samples, with what decoding
// it costs; BenchmarkConvert is without that.
func BenchmarkWrite(b *testing.B) {
	e, _ := exporter(b, nil, nowhere{})
	r := shop(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := e.WriteOTLP(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/shopSamples, "ns/sample")
}

func BenchmarkConvert(b *testing.B) {
	e, _ := exporter(b, nil, nowhere{})
	r := shop(b)
	if _, err := r.Read(); err != nil { // decoded once for all that follow
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := e.WriteOTLP(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/shopSamples, "ns/sample")
}

func TestKnownSeriesCostFewAllocations(t *testing.T) {
	e, _ := exporter(t, nil, nowhere{})
	r := shop(t)
	if _, err := r.Read(); err != nil {
		t.Fatal(err)
	}
	write := func() {
		if err := e.WriteOTLP(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	write()
	if n := testing.AllocsPerRun(100, write); n > 20 {
		t.Errorf("%v allocations for %d samples", n, shopSamples)
	}
}
