package prometheus

import (
	"fmt"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

// A batch that was buffered has several samples of a series.
func TestEachTimeOfASeriesIsAPoint(t *testing.T) {
	to := &keeping{}
	r, reg := receiver(t, to)
	p := &scraped{types: map[string]model.MetricType{"c_total": model.MetricTypeCounter, "h": model.MetricTypeHistogram, "s": model.MetricTypeSummary}}
	for second := 1; second <= 3; second++ {
		v := float64(second)
		p.add(t, second, v, "g")
		p.add(t, second, v, "c_total")
	}
	for _, series := range [][]string{{"h_sum"}, {"h_count"}, {"h_bucket", "le", "1"}, {"s_sum"}, {"s_count"}, {"s", "quantile", "0.5"}} {
		for second := 1; second <= 3; second++ { // the times of one series follow each other
			p.add(t, second, float64(second), series...)
		}
	}
	for second := 1; second <= 3; second++ {
		p.natives = append(p.natives, pipeline.HistogramSample{Series: series1("n"), T: int64(second) * 1000, H: &histogram.Histogram{Count: uint64(second), ZeroCount: uint64(second)}})
	}
	byName, _ := write(t, r, to, p)
	got := map[string]string{}
	for name, m := range byName {
		switch m.Type() {
		case pmetric.MetricTypeGauge:
			for _, dp := range m.Gauge().DataPoints().All() {
				got[name] += fmt.Sprint(int64(dp.Timestamp())/1e9, "=", dp.DoubleValue(), " ")
			}
		case pmetric.MetricTypeSum:
			for _, dp := range m.Sum().DataPoints().All() {
				got[name] += fmt.Sprint(int64(dp.Timestamp())/1e9, "=", dp.DoubleValue(), " since ", int64(dp.StartTimestamp())/1e9, " ")
			}
		case pmetric.MetricTypeHistogram:
			for _, dp := range m.Histogram().DataPoints().All() {
				got[name] += fmt.Sprint(int64(dp.Timestamp())/1e9, "=", dp.Count(), dp.Sum(), dp.BucketCounts().AsRaw(), " ")
			}
		case pmetric.MetricTypeSummary:
			for _, dp := range m.Summary().DataPoints().All() {
				got[name] += fmt.Sprint(int64(dp.Timestamp())/1e9, "=", dp.Count(), dp.Sum(), dp.QuantileValues().At(0).Value(), " ")
			}
		case pmetric.MetricTypeExponentialHistogram:
			for _, dp := range m.ExponentialHistogram().DataPoints().All() {
				got[name] += fmt.Sprint(int64(dp.Timestamp())/1e9, "=", dp.Count(), " ")
			}
		}
	}
	for name, want := range map[string]string{
		"g": "1=1 2=2 3=3 ", "c_total": "1=1 since 1 2=2 since 1 3=3 since 1 ",
		"h": "1=1 1 [1 0] 2=2 2 [2 0] 3=3 3 [3 0] ", "s": "1=1 1 1 2=2 2 2 3=3 3 3 ", "n": "1=1 2=2 3=3 ",
	} {
		if got[name] != want {
			t.Errorf("%s: got %q, want %q", name, got[name], want)
		}
	}
	if n := otlptest.Counter(t, reg, "otelcol_receiver_prometheus_dropped_samples_total", ""); n != 0 {
		t.Errorf("%v samples are dropped", n)
	}
}

func TestAnExemplarGoesToThePointOfItsTimeOrTheLatest(t *testing.T) {
	to := &keeping{}
	r, _ := receiver(t, to)
	p := &scraped{}
	p.add(t, 1, 1, "g")
	p.add(t, 2, 2, "g")
	for _, ms := range []int64{1000, 2000, 1999} {
		p.marks = append(p.marks, pipeline.Exemplar{Series: series1("g"), Exemplar: exemplar.Exemplar{Labels: labels.EmptyLabels(), Ts: ms}})
	}
	byName, _ := write(t, r, to, p)
	points := byName["g"].Gauge().DataPoints()
	if points.Len() != 2 || points.At(0).Exemplars().Len() != 1 || points.At(1).Exemplars().Len() != 2 {
		t.Errorf("%d points", points.Len())
	}
}
