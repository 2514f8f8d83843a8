package receive

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"google.golang.org/protobuf/encoding/protowire"

	"collector/pkg/pipeline"
	"collector/pkg/protofield"
)

// What the parts of a native histogram are made into, in bytes.
const (
	histogramCost = 400
	bucketCost    = 8
	spanCost      = 8
)

// read is a native histogram as it comes: of whole numbers, or with fractions.
type read struct {
	t, sumBits       uint64
	schema           int32
	hint             uint64
	float            bool
	count, zeroCount uint64 // or their bits
	zeroThreshold    float64
	spans            [2][]histogram.Span // negative and positive, as what follows
	deltas           [2][]int64
	counts           [2][]float64
	bounds           []float64
}

// histogram decodes a Histogram, which is the same in both versions.
func (d *decoder) histogram(series *pipeline.Series, message []byte) error {
	if err := d.spend(histogramCost); err != nil {
		return err
	}
	var h read
	if err := protofield.Each(message, func(f protofield.Field) error { return h.field(d, f) }); err != nil {
		return err
	}
	if series == nil {
		d.invalid++
		return nil
	}
	s := pipeline.HistogramSample{Series: series, T: int64(h.t)}
	var err error
	if h.float {
		s.FH = h.fractions()
		err = s.FH.Validate()
	} else {
		s.H = h.whole()
		err = s.H.Validate()
	}
	if err != nil {
		d.invalid++
		d.why = err
		return nil
	}
	d.out.Histograms = append(d.out.Histograms, s)
	return nil
}

// field notes a field of a histogram.
func (h *read) field(d *decoder, f protofield.Field) error {
	switch f.Number {
	case 1, 2:
		h.count, h.float = f.Value, f.Number == 2
	case 3:
		h.sumBits = f.Value
	case 4:
		h.schema = int32(protowire.DecodeZigZag(f.Value))
	case 5:
		h.zeroThreshold = math.Float64frombits(f.Value)
	case 6, 7:
		h.zeroCount = f.Value
	case 8, 11:
		return h.span(d, side(f.Number, 8), f.Content)
	case 9, 12:
		return f.Varints(func(v uint64) error {
			to := &h.deltas[side(f.Number, 9)]
			*to = append(*to, protowire.DecodeZigZag(v))
			return d.spend(bucketCost)
		})
	case 10, 13:
		return f.Fixed64s(func(v uint64) error {
			to := &h.counts[side(f.Number, 10)]
			*to = append(*to, math.Float64frombits(v))
			return d.spend(bucketCost)
		})
	case 14:
		h.hint = f.Value
	case 15:
		h.t = f.Value
	case 16:
		return f.Fixed64s(func(v uint64) error {
			h.bounds = append(h.bounds, math.Float64frombits(v))
			return d.spend(bucketCost)
		})
	}
	return nil
}

// side is 0 for the field of the negative buckets, and 1 for the positive ones'.
func side(number, negative protowire.Number) int {
	if number == negative {
		return 0
	}
	return 1
}

// span decodes a BucketSpan: offset and length.
func (h *read) span(d *decoder, side int, message []byte) error {
	var s histogram.Span
	err := protofield.Each(message, func(f protofield.Field) error {
		switch f.Number {
		case 1:
			s.Offset = int32(protowire.DecodeZigZag(f.Value))
		case 2:
			s.Length = uint32(f.Value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	h.spans[side] = append(h.spans[side], s)
	return d.spend(spanCost)
}

// resetHint is what is known of a counter that has been reset.
func (h *read) resetHint() histogram.CounterResetHint {
	switch h.hint {
	case 1:
		return histogram.CounterReset
	case 2:
		return histogram.NotCounterReset
	case 3:
		return histogram.GaugeType
	}
	return histogram.UnknownCounterReset
}

func (h *read) whole() *histogram.Histogram {
	return &histogram.Histogram{
		CounterResetHint: h.resetHint(), Schema: h.schema, ZeroThreshold: h.zeroThreshold, ZeroCount: h.zeroCount, Count: h.count,
		Sum:           math.Float64frombits(h.sumBits),
		NegativeSpans: h.spans[0], NegativeBuckets: h.deltas[0], PositiveSpans: h.spans[1], PositiveBuckets: h.deltas[1],
		CustomValues: h.bounds,
	}
}

func (h *read) fractions() *histogram.FloatHistogram {
	return &histogram.FloatHistogram{
		CounterResetHint: h.resetHint(), Schema: h.schema, ZeroThreshold: h.zeroThreshold,
		ZeroCount: math.Float64frombits(h.zeroCount), Count: math.Float64frombits(h.count),
		Sum:           math.Float64frombits(h.sumBits),
		NegativeSpans: h.spans[0], NegativeBuckets: h.counts[0], PositiveSpans: h.spans[1], PositiveBuckets: h.counts[1],
		CustomValues: h.bounds,
	}
}
