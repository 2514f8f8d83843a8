package remotewrite

import (
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/pipeline"
)

// encoder makes batches of what is written.
type encoder struct {
	shape
	external []labels.Label
	codec    *codec
	active   *activeSeries
	maxItems int
	metadata *metadataLimiter
	derive   func(labels.Labels) any // bound once, as a method value is an allocation
}

// series is what the encoder derives of a pipeline.Series.
type series struct {
	labels  []byte // encoded, with external labels, relabeled
	dropped bool   // relabeling drops it
	window  atomic.Uint32
}

func newEncoder(external map[string]string, s shape, codec *codec, active *activeSeries, maxItems int) *encoder {
	e := &encoder{shape: s, external: sortedLabels(external), codec: codec, active: active, maxItems: maxItems}
	if s.metadata.Send {
		e.metadata = newMetadataLimiter(s.metadata.SendInterval)
	}
	e.derive = func(lset labels.Labels) any { return e.deriveSeries(lset) }
	return e
}

// deriveSeries adds external labels, where the series lacks them, relabels and
// encodes.
func (e *encoder) deriveSeries(lset labels.Labels) *series {
	if len(e.external) > 0 || e.rules.Len() > 0 {
		builder := labels.NewBuilder(lset)
		for _, l := range e.external {
			if builder.Get(l.Name) == "" {
				builder.Set(l.Name, l.Value)
			}
		}
		lset = e.relabeled(builder)
	}
	if lset.IsEmpty() {
		return &series{dropped: true}
	}
	return &series{labels: appendLabels(nil, lset)}
}

// of returns what the encoder derived from s, and records that the series is active.
func (e *encoder) of(s *pipeline.Series, window uint32) *series {
	d := s.Derived(e, e.derive).(*series)
	if d.window.Load() != window && d.window.Swap(window) != window && !d.dropped {
		e.active.current.Add(1)
	}
	return d
}

// encode yields m in batches, the last of which may be empty. A batch is
// valid until flush returns.
func (e *encoder) encode(m pipeline.Metrics, flush func(*batch) error) error {
	b := e.codec.batch()
	defer e.codec.release(b)
	now := time.Now()
	window := e.active.windowAt(now)
	for i := range m.Samples {
		e.addSample(b, &m.Samples[i], window)
		if err := e.cut(b, flush); err != nil {
			return err
		}
	}
	for i := range m.Histograms {
		e.addHistogram(b, &m.Histograms[i], window)
		if err := e.cut(b, flush); err != nil {
			return err
		}
	}
	if e.exemplars {
		for i := range m.Exemplars {
			e.addExemplar(b, &m.Exemplars[i], window)
		}
	}
	e.addMetadata(b, m.Metadata, now)
	err := flush(b)
	if err != nil && e.metadata != nil {
		e.metadata.forget(b.families)
	}
	return err
}

// cut yields b when it is full.
func (e *encoder) cut(b *batch, flush func(*batch) error) error {
	if b.items < e.maxItems && len(b.raw) < maxRaw {
		return nil
	}
	if err := flush(b); err != nil {
		return err
	}
	b.reset()
	return nil
}

func (e *encoder) addSample(b *batch, s *pipeline.Sample, window uint32) {
	d := e.of(s.Series, window)
	if d.dropped {
		b.dropped.relabeled++
		return
	}
	b.seen(s.T)
	b.items++
	b.raw = appendSample(b.raw, d.labels, s.T, s.V)
}

func (e *encoder) addHistogram(b *batch, h *pipeline.HistogramSample, window uint32) {
	d := e.of(h.Series, window)
	switch {
	case d.dropped:
		b.dropped.relabeled++
		return
	case !e.histograms:
		b.dropped.histograms++
		return
	case h.H != nil && h.H.Schema == histogram.CustomBucketsSchema, h.FH != nil && h.FH.Schema == histogram.CustomBucketsSchema:
		// Remote write 1.0 has no field for the bounds of custom buckets.
		b.dropped.customBuckets++
		return
	case h.H != nil:
		b.message = appendHistogram(b.message[:0], h.T, h.H)
	default:
		b.message = appendFloatHistogram(b.message[:0], h.T, h.FH)
	}
	b.seen(h.T)
	b.items++
	b.contents.histograms++
	b.raw = appendSeries(b.raw, d.labels, tagHistograms, b.message)
}

func (e *encoder) addExemplar(b *batch, x *pipeline.Exemplar, window uint32) {
	d := e.of(x.Series, window)
	switch {
	case d.dropped:
		b.lost.relabeled++
		return
	case exemplarTooLong(x.Exemplar.Labels):
		b.lost.tooLong++
		return
	}
	b.message = appendExemplar(b.message[:0], x.Exemplar)
	b.contents.exemplars++
	b.raw = appendSeries(b.raw, d.labels, tagExemplars, b.message)
}

// exemplarTooLong reports whether an exemplar's labels have more characters than
// OpenMetrics allows. Some backends reject a whole request because of one.
func exemplarTooLong(lset labels.Labels) bool {
	n := 0
	lset.Range(func(l labels.Label) { n += utf8.RuneCountInString(l.Name) + utf8.RuneCountInString(l.Value) })
	return n > exemplar.ExemplarMaxLabelSetLength
}

// addMetadata adds the families that are due.
func (e *encoder) addMetadata(b *batch, metadata []pipeline.Metadata, now time.Time) {
	if e.metadata == nil {
		return
	}
	for i := range metadata {
		if b.contents.metadata >= e.shape.metadata.MaxSamplesPerSend {
			return // the others are due with the next batch
		}
		family := e.metadata.hash(metadata[i])
		if metadata[i].Family == "" || !e.metadata.take(family, now) {
			continue
		}
		b.families = append(b.families, family)
		start := len(b.raw)
		b.raw = appendMetadata(b.raw, metadata[i])
		b.contents.metadata++
		b.metadataBytes += len(b.raw) - start
	}
}
