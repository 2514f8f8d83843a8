package prometheus

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

// histograms is a request of so many points of a histogram, each of its own time and with
// an attribute of that many bytes, which differs, and so many bounds.
func histograms(t testing.TB, points, attribute, bounds int) pipeline.OTLP {
	t.Helper()
	return request(t, func(all pmetric.MetricSlice) {
		m := all.AppendEmpty()
		m.SetName("h")
		m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		for i := range points {
			dp := m.Histogram().DataPoints().AppendEmpty()
			dp.SetTimestamp(at(i + 1))
			dp.Attributes().PutStr("large", strings.Repeat("x", attribute))
			dp.Attributes().PutInt("i", int64(i))
			for n := range bounds {
				dp.ExplicitBounds().Append(float64(n))
				dp.BucketCounts().Append(1)
			}
			dp.BucketCounts().Append(1)
		}
	})
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// measuring is a sink that keeps nothing but how much it was given.
type measuring struct {
	writes, samples atomic.Int64
	largest         atomic.Int64 // the labels of one batch
	fail            func(write int64) error
}

func (s *measuring) WriteMetrics(_ context.Context, m pipeline.Metrics) error {
	if n := s.writes.Add(1); s.fail != nil {
		if err := s.fail(n); err != nil {
			return err
		}
	}
	size := int64(0)
	for i := range m.Samples {
		m.Samples[i].Series.Labels.Range(func(l labels.Label) { size += int64(len(l.Name) + len(l.Value)) })
	}
	s.samples.Add(int64(len(m.Samples)))
	s.largest.Store(max(s.largest.Load(), size))
	return nil
}

func TestAPointWhoseSeriesAreTooLargeIsDroppedAndCounted(t *testing.T) {
	to := &measuring{}
	e, reg := exporter(t, nil, to)
	r := histograms(t, 1, 200<<10, 1000)
	if n := allocated(func() { write(t, e, r) }); n > 16<<20 {
		t.Errorf("a request of %d bytes has taken %d", len(r.Data), n)
	}
	write(t, e, counter(t, 1, 1))
	counts(t, reg, 2, 1, map[reason]float64{tooLarge: 1})
	if n := to.samples.Load(); n != 1 {
		t.Errorf("%d samples are forwarded", n)
	}
}

// The attributes of the resource count, too, where they become labels.
func TestAResourceThatIsTooLargeForItsPointsDropsThem(t *testing.T) {
	to := &measuring{}
	e, reg := exporter(t, func(c *Config) { c.ResourceToTelemetryConversion = true }, to)
	r := request(t, func(all pmetric.MetricSlice) {
		s := all.AppendEmpty().SetEmptySummary().DataPoints().AppendEmpty()
		for range 100 {
			s.QuantileValues().AppendEmpty()
		}
		all.AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty()
	})
	md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(r.Data)
	if err != nil {
		t.Fatal(err)
	}
	md.ResourceMetrics().At(0).Resource().Attributes().PutStr("large", strings.Repeat("x", 100<<10))
	write(t, e, pipeline.OTLP{}.With(pipeline.SignalMetrics, pipeline.Decoded{Metrics: md}))
	counts(t, reg, 2, 1, map[reason]float64{tooLarge: 1})
}

func TestARequestWithLargeSeriesIsForwardedInPieces(t *testing.T) {
	to := &measuring{}
	e, reg := exporter(t, nil, to)
	write(t, e, histograms(t, 40, 20<<10, 100)) // 80 MiB of labels
	counts(t, reg, 40, 40, nil)
	if n := to.samples.Load(); n != 40*102 {
		t.Errorf("%d samples are forwarded", n)
	}
	if n := to.largest.Load(); n > maxPiece+maxPoint {
		t.Errorf("%d bytes of labels are forwarded at once", n)
	}
}

// The part of a request that was accepted is forwarded again with the rest, and counted
// once.
func TestARequestWithAnUnacceptedPieceIsSentAgain(t *testing.T) {
	refuse := func(n int64) error {
		if n == 2 {
			return pipeline.ErrFull
		}
		return nil
	}
	to := &measuring{fail: refuse}
	e, reg := exporter(t, nil, to)
	r := histograms(t, 40, 20<<10, 100)
	if err := e.WriteOTLP(t.Context(), r); !errors.Is(err, pipeline.ErrFull) {
		t.Fatalf("got %v", err)
	}
	counts(t, reg, 0, 0, nil)
	first := to.samples.Load()
	if first == 0 || first >= 40*102 || to.writes.Load() != 2 {
		t.Errorf("%d samples are forwarded in %d pieces", first, to.writes.Load())
	}
	write(t, e, r)
	counts(t, reg, 40, 40, nil)
	if n := to.samples.Load() - first; n != 40*102 {
		t.Errorf("%d samples are forwarded when the request comes again", n)
	}
}

func TestARequestStopsBetweenPiecesWhenItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	to := &measuring{fail: func(int64) error { cancel(); return nil }}
	e, _ := exporter(t, nil, to)
	if err := e.WriteOTLP(ctx, histograms(t, 40, 20<<10, 100)); !errors.Is(err, context.Canceled) || to.writes.Load() != 1 {
		t.Errorf("got %v after %d pieces", err, to.writes.Load())
	}
}

func TestARequestThatMakesTooMuchLosesItsLastPoints(t *testing.T) {
	to := &measuring{}
	e, reg := exporter(t, nil, to)
	e.cache.bounds.piece, e.cache.bounds.request = 100<<10, 1<<20
	write(t, e, histograms(t, 40, 1<<10, 100)) // 100 KiB each
	received, lost := otlptest.Counter(t, reg, prefix+"received_points_total", ""), otlptest.Counter(t, reg, prefix+"dropped_points_total", tooLarge.String())
	if received != 40 || lost < 25 || lost > 35 {
		t.Errorf("of %v points, %v are dropped", received, lost)
	}
}

func TestExemplarsOfARefusedRequestAreSentAgain(t *testing.T) {
	to := &sink{err: pipeline.ErrFull}
	e, reg := exporter(t, nil, to)
	r := request(t, func(all pmetric.MetricSlice) {
		m := all.AppendEmpty()
		m.SetName("orders")
		m.SetEmptySum().SetIsMonotonic(true)
		m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		dp := m.Sum().DataPoints().AppendEmpty()
		dp.SetTimestamp(at(9))
		for second := range 3 {
			dp.Exemplars().AppendEmpty().SetTimestamp(at(second))
		}
	})
	if err := e.WriteOTLP(t.Context(), r); !errors.Is(err, pipeline.ErrFull) {
		t.Fatalf("got %v", err)
	}
	to.err = nil
	write(t, e, r)
	if n := len(to.last(t).Exemplars); n != 3 {
		t.Errorf("%d exemplars are forwarded, want 3", n)
	}
	if n := otlptest.Counter(t, reg, prefix+"dropped_exemplars_total", ""); n != 0 {
		t.Errorf("%v exemplars are dropped", n)
	}
}
