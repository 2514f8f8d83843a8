package prometheus

import (
	"encoding/hex"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"collector/pkg/otlp/promname"
)

// typeKey is where a metric says which type it had in Prometheus.
const typeKey = "prometheus.type"

// appendTo adds the metric, unless it has no points. It returns, by reason, how many
// samples have become none.
func (f *family) appendTo(to pmetric.MetricSlice) (dropped map[string]int) {
	m := pmetric.NewMetric()
	m.SetName(text(f.name))
	m.SetDescription(text(f.about.Help))
	m.SetUnit(promname.Unit(text(f.about.Unit)))
	m.Metadata().PutStr(typeKey, string(f.about.Type))
	for _, g := range f.order {
		if why := f.point(m, g); why != "" {
			if dropped == nil {
				dropped = make(map[string]int)
			}
			dropped[why] += g.samples
		}
	}
	if m.Type() != pmetric.MetricTypeEmpty {
		m.MoveTo(to.AppendEmpty())
	}
	return dropped
}

// point adds the point of a group, or returns why there is none.
func (f *family) point(m pmetric.Metric, g *group) (why string) {
	switch {
	case f.kind == pmetric.MetricTypeExponentialHistogram:
		return f.native(m, g)
	case !g.hasCount:
		return incomplete
	}
	switch f.kind {
	case pmetric.MetricTypeSum:
		if m.Type() == pmetric.MetricTypeEmpty {
			m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			m.Sum().SetIsMonotonic(f.rises)
		}
		dp := m.Sum().DataPoints().AppendEmpty()
		dp.SetStartTimestamp(g.start())
		f.number(dp, g)
	case pmetric.MetricTypeHistogram:
		f.classic(m, g)
	case pmetric.MetricTypeSummary:
		f.summary(m, g)
	default:
		if m.Type() == pmetric.MetricTypeEmpty {
			m.SetEmptyGauge()
		}
		f.number(m.Gauge().DataPoints().AppendEmpty(), g)
	}
	return ""
}

func (g *group) time() pcommon.Timestamp { return pcommon.Timestamp(g.t * int64(time.Millisecond)) }

// start is when the series began, as far as the target says; else the time of the
// point, which starts.set may replace.
func (g *group) start() pcommon.Timestamp {
	if g.created > 0 && g.created < math.MaxInt64/float64(time.Second) {
		return pcommon.Timestamp(g.created * float64(time.Second))
	}
	return g.time()
}

// stale are the flags of a point that ends its series.
func stale() pmetric.DataPointFlags { return pmetric.DefaultDataPointFlags.WithNoRecordedValue(true) }

func (f *family) number(dp pmetric.NumberDataPoint, g *group) {
	dp.SetTimestamp(g.time())
	if value.IsStaleNaN(g.value) {
		dp.SetFlags(stale())
	} else {
		dp.SetDoubleValue(g.value)
	}
	f.attributes(g, dp.Attributes())
	g.addExemplars(dp.Exemplars())
}

func (g *group) ends() bool { return value.IsStaleNaN(g.count) || g.hasSum && value.IsStaleNaN(g.sum) }

func (g *group) sortPoints() {
	sort.SliceStable(g.points, func(i, j int) bool { return g.points[i].at < g.points[j].at })
}

// classic adds the point of a histogram with explicit bounds. The bucket without a bound
// has the rest of the count.
func (f *family) classic(m pmetric.Metric, g *group) {
	if m.Type() == pmetric.MetricTypeEmpty {
		m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	}
	dp := m.Histogram().DataPoints().AppendEmpty()
	dp.SetStartTimestamp(g.start())
	dp.SetTimestamp(g.time())
	g.sortPoints()
	if n := len(g.points); n > 0 && math.IsInf(g.points[n-1].at, 1) {
		g.points = g.points[:n-1]
	}
	if g.ends() {
		dp.SetFlags(stale())
	} else {
		dp.SetCount(uint64(max(0, g.count)))
		if g.hasSum {
			dp.SetSum(g.sum)
		}
	}
	before := 0.0
	for _, p := range g.points {
		dp.ExplicitBounds().Append(p.at)
		dp.BucketCounts().Append(g.bucket(p.value - before))
		before = p.value
	}
	dp.BucketCounts().Append(g.bucket(g.count - before))
	f.attributes(g, dp.Attributes())
	g.addExemplars(dp.Exemplars())
}

// bucket is the count of a bucket, of which a point that ends its series has none.
func (g *group) bucket(count float64) uint64 {
	if g.ends() || !(count > 0) {
		return 0
	}
	return uint64(count)
}

func (f *family) summary(m pmetric.Metric, g *group) {
	if m.Type() == pmetric.MetricTypeEmpty {
		m.SetEmptySummary()
	}
	dp := m.Summary().DataPoints().AppendEmpty()
	dp.SetStartTimestamp(g.start())
	dp.SetTimestamp(g.time())
	ends := g.ends()
	if ends {
		dp.SetFlags(stale())
	} else {
		dp.SetCount(uint64(max(0, g.count)))
		if g.hasSum {
			dp.SetSum(g.sum)
		}
	}
	g.sortPoints()
	for _, p := range g.points {
		q := dp.QuantileValues().AppendEmpty()
		q.SetQuantile(p.at)
		if !ends {
			q.SetValue(p.value)
		}
	}
	f.attributes(g, dp.Attributes())
}

// native adds the point of a native histogram.
func (f *family) native(m pmetric.Metric, g *group) (why string) {
	h := g.native.FH
	if g.native.H != nil {
		h = g.native.H.ToFloat(nil)
	}
	ends := value.IsStaleNaN(h.Sum)
	if !ends && (histogram.IsCustomBucketsSchema(h.Schema) || h.Validate() != nil || sparse(h.PositiveSpans) || sparse(h.NegativeSpans)) {
		return badBuckets
	}
	if m.Type() == pmetric.MetricTypeEmpty {
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	}
	dp := m.ExponentialHistogram().DataPoints().AppendEmpty()
	dp.SetStartTimestamp(g.start())
	dp.SetTimestamp(g.time())
	if ends {
		dp.SetFlags(stale())
	} else {
		dp.SetScale(h.Schema)
		dp.SetCount(uint64(h.Count))
		dp.SetSum(h.Sum)
		dp.SetZeroThreshold(h.ZeroThreshold)
		dp.SetZeroCount(uint64(h.ZeroCount))
		dense(h.PositiveSpans, h.PositiveBuckets, dp.Positive())
		dense(h.NegativeSpans, h.NegativeBuckets, dp.Negative())
	}
	f.attributes(g, dp.Attributes())
	g.addExemplars(dp.Exemplars())
	return ""
}

// maxGap bounds how many empty buckets may lie between two that are not.
const maxGap = 10_000

// sparse reports whether there are too many buckets between those of spans.
func sparse(spans []histogram.Span) bool {
	gaps := int64(0)
	for i, span := range spans {
		if i > 0 {
			gaps += int64(span.Offset)
		}
	}
	return gaps > maxGap
}

// dense writes the buckets of spans, with the empty ones between them. The bucket
// that a native histogram gives the index 1 has the index 0.
func dense(spans []histogram.Span, counts []float64, to pmetric.ExponentialHistogramDataPointBuckets) {
	for i, span := range spans {
		if i == 0 {
			to.SetOffset(span.Offset - 1)
		} else {
			for range span.Offset {
				to.BucketCounts().Append(0)
			}
		}
		for _, count := range counts[:span.Length] {
			to.BucketCounts().Append(uint64(max(0, count)))
		}
		counts = counts[span.Length:]
	}
}

// attributes are the labels that distinguish the points of the metric.
func (f *family) attributes(g *group, to pcommon.Map) {
	to.EnsureCapacity(g.series.Len())
	g.series.Range(func(l labels.Label) {
		if _, without := slices.BinarySearch(f.without, l.Name); !without && l.Value != "" {
			to.PutStr(text(l.Name), text(l.Value))
		}
	})
}

func (g *group) addExemplars(to pmetric.ExemplarSlice) {
	for _, x := range g.exemplars {
		addExemplar(to.AppendEmpty(), x)
	}
}

func addExemplar(to pmetric.Exemplar, x *exemplar.Exemplar) {
	to.SetTimestamp(pcommon.Timestamp(x.Ts * int64(time.Millisecond)))
	to.SetDoubleValue(x.Value)
	x.Labels.Range(func(l labels.Label) {
		switch strings.ToLower(l.Name) {
		case "trace_id":
			var id pcommon.TraceID
			if lowerBytes(id[:], l.Value) {
				to.SetTraceID(id)
				return
			}
		case "span_id":
			var id pcommon.SpanID
			if lowerBytes(id[:], l.Value) {
				to.SetSpanID(id)
				return
			}
		}
		to.FilteredAttributes().PutStr(text(l.Name), text(l.Value))
	})
}

// lowerBytes decodes an id in hexadecimal digits: one that is too short begins with
// zeros, and of one that is too long the beginning counts. It reports false for
// what is none.
func lowerBytes(id []byte, digits string) bool {
	n := min(len(digits)/2, len(id))
	if n < len(id) && len(digits)%2 != 0 {
		return false
	}
	_, err := hex.Decode(id[len(id)-n:], []byte(digits[:2*n]))
	return err == nil
}
