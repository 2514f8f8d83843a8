package prometheus

import (
	"encoding/hex"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"collector/pkg/otlp/promname"
	"collector/pkg/pipeline"
)

// batch is the result of one request, or of a piece of one whose series are large. Its
// slices are used again.
type batch struct {
	options *Config
	cache   *cache

	now       int64
	forward   func() error // out
	stop      func() error // says why the request is not continued
	err       error        // of a piece: nothing follows it
	forwarded int64        // bytes that the pieces before have made

	out       pipeline.Metrics
	points    int // of the request
	dropped   [reasons]int
	exemplars int // that are dropped
	marks     []mark
	told      []told
	sorted    []pmetric.Exemplar
	buckets   []bucket
}

// mark is a sample or an exemplar that has moved a time of its series.
type mark struct {
	of       *int64
	from, to int64
}

// told is metadata to send to receivers.
type told struct {
	of   *family
	what pipeline.Metadata
}

// bucket of a histogram, with the count of its own alone.
type bucket struct {
	bound float64
	count uint64
}

// maxKept bounds the samples of a batch that waits for reuse.
const maxKept = 100_000

func (b *batch) reset() {
	if cap(b.out.Samples) > maxKept {
		*b = batch{options: b.options, cache: b.cache}
		return
	}
	b.empty()
	clear(b.sorted)
	*b = batch{
		options: b.options, cache: b.cache, out: b.out,
		marks: b.marks, told: b.told, sorted: b.sorted[:0], buckets: b.buckets[:0],
	}
}

// empty removes what was forwarded.
func (b *batch) empty() {
	clear(b.out.Samples)
	clear(b.out.Histograms)
	clear(b.out.Exemplars)
	clear(b.out.Metadata)
	clear(b.marks)
	clear(b.told)
	b.out = pipeline.Metrics{
		Samples: b.out.Samples[:0], Histograms: b.out.Histograms[:0],
		Exemplars: b.out.Exemplars[:0], Metadata: b.out.Metadata[:0],
	}
	b.marks, b.told = b.marks[:0], b.told[:0]
}

// write converts a request and forwards it: at once, unless its series are so large that
// it goes in pieces. If one is not accepted, the sender sends the whole request again, so
// that the samples of the pieces before it may be forwarded twice, with the same values
// and times. full reports whether the cache had no room.
func (b *batch) write(md pmetric.Metrics, now time.Time) (full bool, err error) {
	b.cache.mu.Lock()
	defer b.cache.mu.Unlock()
	b.cache.made = 0
	b.convert(md, now)
	if b.err == nil {
		b.flush()
	}
	return b.cache.wasFull(), b.err
}

// pause forwards what there is if it is a whole piece. The caller holds cache.mu and has
// no key in the cache.
func (b *batch) pause() {
	if b.err != nil || b.cache.made < b.cache.bounds.piece {
		return
	}
	b.flush()
	if b.err == nil {
		b.err = b.stop()
	}
}

// flush forwards the samples, without cache.mu, which the caller holds.
func (b *batch) flush() {
	b.forwarded += b.cache.made
	func() {
		b.cache.mu.Unlock()
		defer b.cache.mu.Lock()
		b.err = b.forward()
	}()
	b.settle(b.err == nil)
	b.empty()
	b.cache.made = 0
}

// settle records whether the samples were accepted: the times of series go back if they
// were not, as the sender sends the same points again. The caller holds cache.mu.
func (b *batch) settle(accepted bool) {
	if accepted {
		for _, t := range b.told {
			t.of.told = t.what
		}
		return
	}
	for _, m := range slices.Backward(b.marks) {
		if *m.of == m.to {
			*m.of = m.from
		}
	}
}

// convert fills the batch, and forwards it where it is full. The caller holds cache.mu.
func (b *batch) convert(md pmetric.Metrics, now time.Time) {
	b.now = now.UnixNano()
	for _, rm := range md.ResourceMetrics().All() {
		if b.pause(); b.err != nil {
			return
		}
		r := b.cache.resource(rm.Resource().Attributes(), b.now)
		if b.options.IncludeTargetInfo {
			b.describe(b.cache.family("target_info", "", promname.Other, false, b.now), model.MetricTypeGauge, "", "Target metadata")
			b.info(r.info)
		}
		for _, sm := range rm.ScopeMetrics().All() {
			if b.pause(); b.err != nil {
				return
			}
			if b.options.IncludeScopeInfo {
				b.describe(b.cache.family("otel_scope_info", "", promname.Other, false, b.now), model.MetricTypeGauge, "", "")
				b.info(b.cache.scopeInfo(r, sm.Scope(), b.now))
			}
			for _, m := range sm.Metrics().All() {
				b.metric(r, m)
			}
		}
	}
}

// info adds a series that is 1 now, once.
func (b *batch) info(e *entry) {
	e.seen = b.now
	if e.last != b.now {
		b.add(e, b.now, 1)
	}
}

func (b *batch) metric(r *resource, m pmetric.Metric) {
	p := &point{resource: r, convert: b.options.ResourceToTelemetryConversion}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		p.family = b.family(m, promname.Gauge, model.MetricTypeGauge)
		b.numbers(p, m.Gauge().DataPoints(), false)
	case pmetric.MetricTypeSum:
		if !b.cumulative(m.Sum().AggregationTemporality(), m.Sum().DataPoints().Len()) {
			return
		}
		if m.Sum().IsMonotonic() {
			p.family = b.family(m, promname.Counter, model.MetricTypeCounter)
		} else {
			p.family = b.family(m, promname.Other, model.MetricTypeGauge)
		}
		b.numbers(p, m.Sum().DataPoints(), m.Sum().IsMonotonic())
	case pmetric.MetricTypeHistogram:
		if !b.cumulative(m.Histogram().AggregationTemporality(), m.Histogram().DataPoints().Len()) {
			return
		}
		p.family = b.family(m, promname.Other, model.MetricTypeHistogram)
		b.histograms(p, m.Histogram().DataPoints())
	case pmetric.MetricTypeExponentialHistogram:
		if !b.cumulative(m.ExponentialHistogram().AggregationTemporality(), m.ExponentialHistogram().DataPoints().Len()) {
			return
		}
		p.family = b.family(m, promname.Other, model.MetricTypeHistogram)
		b.natives(p, m.ExponentialHistogram().DataPoints())
	case pmetric.MetricTypeSummary:
		p.family = b.family(m, promname.Other, model.MetricTypeSummary)
		b.summaries(p, m.Summary().DataPoints())
	}
}

// cumulative drops points that are none.
func (b *batch) cumulative(t pmetric.AggregationTemporality, points int) bool {
	switch t {
	case pmetric.AggregationTemporalityCumulative:
		return true
	case pmetric.AggregationTemporalityDelta:
		b.dropped[deltaTemporality] += points
	default:
		b.dropped[noTemporality] += points
	}
	b.points += points
	return false
}

func (b *batch) family(m pmetric.Metric, kind promname.Kind, t model.MetricType) *family {
	f := b.cache.family(m.Name(), m.Unit(), kind, b.options.AddMetricSuffixes, b.now)
	b.describe(f, t, m.Unit(), m.Description())
	return f
}

// describe adds the metadata of a metric that receivers do not know yet.
func (b *batch) describe(f *family, t model.MetricType, unit, help string) {
	what := pipeline.Metadata{Family: f.name, Type: t, Help: help, Unit: unit}
	if f.told == what {
		return
	}
	b.out.Metadata = append(b.out.Metadata, what)
	b.told = append(b.told, told{f, what})
}

// begin takes the next point, which has so many series. It reports false for one whose
// series would be too large, and for one that is older than the last of its series, of
// which first is one; and for all that follow a piece that was not accepted.
func (b *batch) begin(p *point, attributes pcommon.Map, first which, series int, t pcommon.Timestamp) (*entry, bool) {
	if b.pause(); b.err != nil {
		return nil, false
	}
	b.points++
	p.attributes = attributes
	b.cache.begin(p)
	if p.cost(series) > b.cache.bounds.point || b.forwarded+b.cache.made > b.cache.bounds.request {
		b.dropped[tooLarge]++
		return nil, false
	}
	e := b.cache.of(p, first, 0, b.now)
	if int64(t) < e.last {
		b.dropped[outOfOrder]++
		return e, false
	}
	return e, true
}

// add adds a sample. Times are in nanoseconds.
func (b *batch) add(e *entry, t int64, v float64) {
	b.mark(e, t)
	b.out.Samples = append(b.out.Samples, pipeline.Sample{Series: e.series, T: t / int64(time.Millisecond), V: v})
}

func (b *batch) mark(e *entry, t int64) { b.move(&e.last, t) }

// move sets a time of a series, until settle.
func (b *batch) move(of *int64, t int64) {
	b.marks = append(b.marks, mark{of, *of, t})
	*of = t
}

// recorded is v, or the stale marker if the point says that there is no value.
func recorded(flags pmetric.DataPointFlags, v float64) float64 {
	if flags.NoRecordedValue() {
		return math.Float64frombits(value.StaleNaN)
	}
	return v
}

func (b *batch) numbers(p *point, points pmetric.NumberDataPointSlice, exemplars bool) {
	for _, dp := range points.All() {
		e, ok := b.begin(p, dp.Attributes(), valueOf, 1, dp.Timestamp())
		if !ok {
			continue
		}
		v := dp.DoubleValue()
		if dp.ValueType() == pmetric.NumberDataPointValueTypeInt {
			v = float64(dp.IntValue())
		}
		b.add(e, int64(dp.Timestamp()), recorded(dp.Flags(), v))
		if exemplars {
			for _, x := range dp.Exemplars().All() {
				b.exemplar(e, x)
			}
		}
	}
}

func (b *batch) summaries(p *point, points pmetric.SummaryDataPointSlice) {
	for _, dp := range points.All() {
		count, ok := b.begin(p, dp.Attributes(), countOf, 2+dp.QuantileValues().Len(), dp.Timestamp())
		if !ok {
			continue
		}
		t := int64(dp.Timestamp())
		b.add(b.cache.of(p, sumOf, 0, b.now), t, recorded(dp.Flags(), dp.Sum()))
		b.add(count, t, recorded(dp.Flags(), float64(dp.Count())))
		for _, q := range dp.QuantileValues().All() {
			b.add(b.cache.of(p, quantileOf, q.Quantile(), b.now), t, recorded(dp.Flags(), q.Value()))
		}
	}
}

func (b *batch) histograms(p *point, points pmetric.HistogramDataPointSlice) {
	for _, dp := range points.All() {
		count, ok := b.begin(p, dp.Attributes(), countOf, 3+dp.ExplicitBounds().Len(), dp.Timestamp())
		if !ok {
			continue
		}
		t := int64(dp.Timestamp())
		if dp.HasSum() {
			b.add(b.cache.of(p, sumOf, 0, b.now), t, recorded(dp.Flags(), dp.Sum()))
		}
		b.add(count, t, recorded(dp.Flags(), float64(dp.Count())))
		b.bucketsOf(dp)
		exemplars := b.exemplarsByValue(dp.Exemplars())
		total := uint64(0)
		for _, bucket := range b.buckets {
			total += bucket.count
			e := b.cache.of(p, bucketOf, bucket.bound, b.now)
			b.add(e, t, recorded(dp.Flags(), float64(total)))
			for len(exemplars) > 0 && exemplarValue(exemplars[0]) < bucket.bound {
				b.exemplar(e, exemplars[0])
				exemplars = exemplars[1:]
			}
		}
		e := b.cache.of(p, bucketOf, math.Inf(1), b.now)
		b.add(e, t, recorded(dp.Flags(), float64(dp.Count())))
		for _, x := range exemplars {
			b.exemplar(e, x)
		}
	}
}

// bucketsOf has the finite buckets of a point in the order of their bounds.
func (b *batch) bucketsOf(dp pmetric.HistogramDataPoint) {
	bounds, counts := dp.ExplicitBounds(), dp.BucketCounts()
	b.buckets = b.buckets[:0]
	ordered := true
	for i := range min(bounds.Len(), counts.Len()) {
		if math.IsInf(bounds.At(i), 1) {
			continue // that bucket has the count of all
		}
		b.buckets = append(b.buckets, bucket{bounds.At(i), counts.At(i)})
		ordered = ordered && (i == 0 || bounds.At(i-1) <= bounds.At(i))
	}
	if !ordered {
		sort.SliceStable(b.buckets, func(i, j int) bool { return b.buckets[i].bound < b.buckets[j].bound })
	}
}

func (b *batch) exemplarsByValue(exemplars pmetric.ExemplarSlice) []pmetric.Exemplar {
	b.sorted = b.sorted[:0]
	for _, x := range exemplars.All() {
		b.sorted = append(b.sorted, x)
	}
	if len(b.sorted) > 1 {
		sort.SliceStable(b.sorted, func(i, j int) bool { return exemplarValue(b.sorted[i]) < exemplarValue(b.sorted[j]) })
	}
	return b.sorted
}

func exemplarValue(x pmetric.Exemplar) float64 {
	if x.ValueType() == pmetric.ExemplarValueTypeInt {
		return float64(x.IntValue())
	}
	return x.DoubleValue()
}

// exemplar adds an exemplar, unless it is older than the last one of the series.
func (b *batch) exemplar(e *entry, x pmetric.Exemplar) {
	t := int64(x.Timestamp())
	if t < e.exemplar {
		b.exemplars++
		return
	}
	b.move(&e.exemplar, t)
	var lset []string
	if id := x.SpanID(); !id.IsEmpty() {
		lset = append(lset, "span_id", hex.EncodeToString(id[:]))
	}
	if id := x.TraceID(); !id.IsEmpty() {
		lset = append(lset, "trace_id", hex.EncodeToString(id[:]))
	}
	b.out.Exemplars = append(b.out.Exemplars, pipeline.Exemplar{Series: e.series, Exemplar: exemplar.Exemplar{
		Labels: labels.FromStrings(lset...), Value: exemplarValue(x), Ts: t / int64(time.Millisecond), HasTs: true,
	}})
}

// The schemas of native histograms.
const (
	minScale = -4
	maxScale = 8
)

func (b *batch) natives(p *point, points pmetric.ExponentialHistogramDataPointSlice) {
	for _, dp := range points.All() {
		e, ok := b.begin(p, dp.Attributes(), valueOf, 1, dp.Timestamp())
		if !ok {
			continue
		}
		if dp.Scale() < minScale {
			b.dropped[coarseScale]++
			continue
		}
		t := int64(dp.Timestamp())
		b.mark(e, t)
		b.out.Histograms = append(b.out.Histograms, pipeline.HistogramSample{Series: e.series, T: t / int64(time.Millisecond), H: native(dp)})
		for _, x := range dp.Exemplars().All() {
			b.exemplar(e, x)
		}
	}
}

// zeroThreshold is Alloy's: that of the point is not looked at.
const zeroThreshold = 1e-128

// native is a point as a native histogram.
func native(dp pmetric.ExponentialHistogramDataPoint) *histogram.Histogram {
	down := max(0, dp.Scale()-maxScale)
	h := &histogram.Histogram{Schema: dp.Scale() - down, ZeroCount: dp.ZeroCount(), ZeroThreshold: zeroThreshold}
	h.PositiveSpans, h.PositiveBuckets = spans(dp.Positive(), down)
	h.NegativeSpans, h.NegativeBuckets = spans(dp.Negative(), down)
	if dp.Flags().NoRecordedValue() {
		h.Sum, h.Count = math.Float64frombits(value.StaleNaN), value.StaleNaN
		return h
	}
	h.Count = dp.Count()
	if dp.HasSum() {
		h.Sum = dp.Sum()
	}
	return h
}

// maxGap is how many empty buckets are written rather than a new span begun.
const maxGap = 2

// spans are buckets as a native histogram has them: runs of buckets, each with its
// difference to the one before. down is by how many scales they are made coarser. The
// bucket that OpenTelemetry gives the index 0 has the index 1.
func spans(from pmetric.ExponentialHistogramDataPointBuckets, down int32) (out []histogram.Span, deltas []int64) {
	counts := from.BucketCounts()
	n := counts.Len()
	if n == 0 {
		return nil, nil
	}
	index := func(i int) int32 { return (from.Offset()+int32(i))>>down + 1 }
	next := index(0) // of the bucket that would follow those that are written
	out = append(out, histogram.Span{Offset: next})
	before := int64(0)
	write := func(count int64) {
		out[len(out)-1].Length++
		deltas = append(deltas, count-before)
		before = count
		next++
	}
	for i := 0; i < n; {
		at, count := index(i), int64(0)
		for ; i < n && index(i) == at; i++ {
			count += int64(counts.At(i))
		}
		if count == 0 && i < n {
			continue // the last one is always written
		}
		if at-next > maxGap {
			out = append(out, histogram.Span{Offset: at - next})
			next = at
		}
		for next < at {
			write(0)
		}
		write(count)
	}
	return out, deltas
}
