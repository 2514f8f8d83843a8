package remotewrite

import (
	"math"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"

	"collector/pkg/pipeline"
)

// Tags of prometheus.WriteRequest and the messages in it, as they are on the
// wire: field number and wire type in one byte.
const (
	tagTimeseries = 1<<3 | 2 // WriteRequest.timeseries
	tagMetadata   = 3<<3 | 2 // WriteRequest.metadata

	tagLabels     = 1<<3 | 2 // TimeSeries.labels, Exemplar.labels
	tagSamples    = 2<<3 | 2 // TimeSeries.samples
	tagExemplars  = 3<<3 | 2 // TimeSeries.exemplars
	tagHistograms = 4<<3 | 2 // TimeSeries.histograms

	tagLabelName  = 1<<3 | 2
	tagLabelValue = 2<<3 | 2

	tagSampleValue = 1<<3 | 1
	tagSampleTime  = 2 << 3

	tagExemplarTime = 3 << 3
)

// appendLabels appends lset as the field labels of a TimeSeries or an Exemplar.
func appendLabels(dst []byte, lset labels.Labels) []byte {
	lset.Range(func(l labels.Label) {
		n := stringSize(l.Name) + stringSize(l.Value)
		dst = append(dst, tagLabels)
		dst = protowire.AppendVarint(dst, uint64(n))
		dst = append(dst, tagLabelName)
		dst = protowire.AppendString(dst, l.Name)
		dst = append(dst, tagLabelValue)
		dst = protowire.AppendString(dst, l.Value)
	})
	return dst
}

// stringSize is the size of a string field whose tag is one byte.
func stringSize(s string) int { return 1 + protowire.SizeBytes(len(s)) }

// appendSample appends a TimeSeries of encoded labels and one sample. The bits
// of v are kept: a stale marker is a NaN of certain bits.
func appendSample(dst, encodedLabels []byte, t int64, v float64) []byte {
	bits := math.Float64bits(v)
	n := 0
	if bits != 0 {
		n += 9
	}
	if t != 0 {
		n += 1 + protowire.SizeVarint(uint64(t))
	}
	dst = append(dst, tagTimeseries)
	dst = protowire.AppendVarint(dst, uint64(len(encodedLabels)+2+n))
	dst = append(dst, encodedLabels...)
	dst = append(dst, tagSamples, byte(n))
	if bits != 0 {
		dst = append(dst, tagSampleValue)
		dst = protowire.AppendFixed64(dst, bits)
	}
	if t != 0 {
		dst = append(dst, tagSampleTime)
		dst = protowire.AppendVarint(dst, uint64(t))
	}
	return dst
}

// appendSeries appends a TimeSeries of encoded labels and one message of the
// field tag.
func appendSeries(dst, encodedLabels []byte, tag byte, message []byte) []byte {
	dst = append(dst, tagTimeseries)
	dst = protowire.AppendVarint(dst, uint64(len(encodedLabels)+1+protowire.SizeBytes(len(message))))
	dst = append(dst, encodedLabels...)
	dst = append(dst, tag)
	return protowire.AppendBytes(dst, message)
}

// appendExemplar appends the fields of a message Exemplar.
func appendExemplar(dst []byte, e exemplar.Exemplar) []byte {
	dst = appendLabels(dst, e.Labels)
	dst = appendDouble(dst, 2, e.Value)
	if e.Ts != 0 {
		dst = append(dst, tagExemplarTime)
		dst = protowire.AppendVarint(dst, uint64(e.Ts))
	}
	return dst
}

// appendHistogram appends the fields of a message Histogram.
func appendHistogram(dst []byte, t int64, h *histogram.Histogram) []byte {
	dst = protowire.AppendTag(dst, 1, protowire.VarintType)
	dst = protowire.AppendVarint(dst, h.Count)
	dst = appendBounds(dst, h.Sum, h.Schema, h.ZeroThreshold)
	dst = protowire.AppendTag(dst, 6, protowire.VarintType)
	dst = protowire.AppendVarint(dst, h.ZeroCount)
	dst = appendSpans(dst, 8, h.NegativeSpans)
	dst = appendDeltas(dst, 9, h.NegativeBuckets)
	dst = appendSpans(dst, 11, h.PositiveSpans)
	dst = appendDeltas(dst, 12, h.PositiveBuckets)
	return appendHintAndTime(dst, h.CounterResetHint, t)
}

// appendFloatHistogram appends the fields of a message Histogram.
func appendFloatHistogram(dst []byte, t int64, h *histogram.FloatHistogram) []byte {
	dst = protowire.AppendTag(dst, 2, protowire.Fixed64Type)
	dst = protowire.AppendFixed64(dst, math.Float64bits(h.Count))
	dst = appendBounds(dst, h.Sum, h.Schema, h.ZeroThreshold)
	dst = protowire.AppendTag(dst, 7, protowire.Fixed64Type)
	dst = protowire.AppendFixed64(dst, math.Float64bits(h.ZeroCount))
	dst = appendSpans(dst, 8, h.NegativeSpans)
	dst = appendCounts(dst, 10, h.NegativeBuckets)
	dst = appendSpans(dst, 11, h.PositiveSpans)
	dst = appendCounts(dst, 13, h.PositiveBuckets)
	return appendHintAndTime(dst, h.CounterResetHint, t)
}

func appendBounds(dst []byte, sum float64, schema int32, zeroThreshold float64) []byte {
	dst = appendDouble(dst, 3, sum)
	if schema != 0 {
		dst = protowire.AppendTag(dst, 4, protowire.VarintType)
		dst = protowire.AppendVarint(dst, protowire.EncodeZigZag(int64(schema)))
	}
	return appendDouble(dst, 5, zeroThreshold)
}

func appendHintAndTime(dst []byte, hint histogram.CounterResetHint, t int64) []byte {
	if hint != 0 {
		dst = protowire.AppendTag(dst, 14, protowire.VarintType)
		dst = protowire.AppendVarint(dst, uint64(hint))
	}
	if t != 0 {
		dst = protowire.AppendTag(dst, 15, protowire.VarintType)
		dst = protowire.AppendVarint(dst, uint64(t))
	}
	return dst
}

// appendDouble omits a positive zero only, so that every other value keeps
// its bits.
func appendDouble(dst []byte, field protowire.Number, v float64) []byte {
	bits := math.Float64bits(v)
	if bits == 0 {
		return dst
	}
	dst = protowire.AppendTag(dst, field, protowire.Fixed64Type)
	return protowire.AppendFixed64(dst, bits)
}

func appendSpans(dst []byte, field protowire.Number, spans []histogram.Span) []byte {
	for _, s := range spans {
		offset := protowire.EncodeZigZag(int64(s.Offset))
		n := 2 + protowire.SizeVarint(offset) + protowire.SizeVarint(uint64(s.Length))
		dst = protowire.AppendTag(dst, field, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(n))
		dst = append(dst, 1<<3)
		dst = protowire.AppendVarint(dst, offset)
		dst = append(dst, 2<<3)
		dst = protowire.AppendVarint(dst, uint64(s.Length))
	}
	return dst
}

func appendDeltas(dst []byte, field protowire.Number, deltas []int64) []byte {
	if len(deltas) == 0 {
		return dst
	}
	n := 0
	for _, d := range deltas {
		n += protowire.SizeVarint(protowire.EncodeZigZag(d))
	}
	dst = protowire.AppendTag(dst, field, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(n))
	for _, d := range deltas {
		dst = protowire.AppendVarint(dst, protowire.EncodeZigZag(d))
	}
	return dst
}

func appendCounts(dst []byte, field protowire.Number, counts []float64) []byte {
	if len(counts) == 0 {
		return dst
	}
	dst = protowire.AppendTag(dst, field, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(8*len(counts)))
	for _, c := range counts {
		dst = protowire.AppendFixed64(dst, math.Float64bits(c))
	}
	return dst
}

// appendMetadata appends the field metadata of a WriteRequest.
func appendMetadata(dst []byte, m pipeline.Metadata) []byte {
	kind := metricType(m.Type)
	n := 0
	if kind != 0 {
		n += 2
	}
	for _, s := range [...]string{m.Family, m.Help, m.Unit} {
		if s != "" {
			n += stringSize(s)
		}
	}
	dst = append(dst, tagMetadata)
	dst = protowire.AppendVarint(dst, uint64(n))
	if kind != 0 {
		dst = append(dst, 1<<3, kind)
	}
	dst = appendString(dst, 2, m.Family)
	dst = appendString(dst, 4, m.Help)
	return appendString(dst, 5, m.Unit)
}

func appendString(dst []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return dst
	}
	return protowire.AppendString(protowire.AppendTag(dst, field, protowire.BytesType), s)
}

// metricType is t as the enumeration MetricMetadata.MetricType has it.
func metricType(t model.MetricType) byte {
	switch model.MetricType(strings.ToLower(string(t))) {
	case model.MetricTypeCounter:
		return 1
	case model.MetricTypeGauge:
		return 2
	case model.MetricTypeHistogram:
		return 3
	case model.MetricTypeGaugeHistogram:
		return 4
	case model.MetricTypeSummary:
		return 5
	case model.MetricTypeInfo:
		return 6
	case model.MetricTypeStateset:
		return 7
	}
	return 0
}
