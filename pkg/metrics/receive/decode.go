package receive

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/listen"
	"collector/pkg/pipeline"
	"collector/pkg/protofield"
)

// What the parts of a request are made into, in bytes, besides their text.
const (
	seriesCost   = 400
	labelCost    = 64
	sampleCost   = 32
	exemplarCost = 160
	metadataCost = 120
	symbolCost   = 16
	// step is how much is claimed at once.
	step = 64 << 10
	// mostLabels is how many labels a series may have.
	mostLabels = 1000
	// largestExemplar bounds the text of an exemplar's labels, in bytes. OpenMetrics
	// allows 128 characters.
	largestExemplar = 4 << 10
	// maxKept bounds the samples of a decoder that waits for reuse, and maxKeptKey the
	// bytes of its key.
	maxKept    = 20_000
	maxKeptKey = 64 << 10
)

// decoder makes samples of a request. It is used again.
type decoder struct {
	claim   *listen.Claim
	room    int // claimed, and not yet used
	known   *interned
	out     pipeline.Metrics
	invalid int   // samples that nobody can store
	why     error // the reason for one of them
	// lostExemplars are those that nobody can store.
	lostExemplars struct{ invalid, tooLong int }

	pairs    []labels.Label
	key      []byte
	builder  labels.ScratchBuilder
	symbols  []string
	families map[string]bool // whose metadata is in out
}

// begin begins a request.
func (d *decoder) begin(claim *listen.Claim, known *interned) { d.claim, d.known = claim, known }

// end forgets the request, and reports whether the decoder may be used again.
func (d *decoder) end() bool {
	if cap(d.out.Samples) > maxKept || cap(d.symbols) > maxKept || cap(d.key) > maxKeptKey {
		return false
	}
	clear(d.out.Samples)
	clear(d.symbols)
	clear(d.pairs)
	*d = decoder{
		out:   pipeline.Metrics{Samples: d.out.Samples[:0]},
		pairs: d.pairs[:0], key: d.key[:0], symbols: d.symbols[:0], builder: d.builder,
	}
	return true
}

// spend claims memory before it is made.
func (d *decoder) spend(n int) error {
	if d.room -= n; d.room >= 0 {
		return nil
	}
	more := max(step, -d.room)
	d.room += more
	return d.claim.Grow(more)
}

// version1 decodes a prometheus.WriteRequest: fields 1 are series, fields 3 metadata.
func (d *decoder) version1(message []byte) error {
	n := 0
	return protofield.Each(message, func(f protofield.Field) error {
		switch {
		case f.Number == 1 && f.Bytes:
			n++
			return inSeries(n, d.series1(f.Content))
		case f.Number == 3 && f.Bytes:
			return d.metadata1(f.Content)
		}
		return nil
	})
}

// inSeries says in which series of a request something is wrong.
func inSeries(n int, err error) error {
	if err == nil || errors.Is(err, listen.ErrNoRoom) || errors.Is(err, listen.ErrTooLarge) {
		return err
	}
	return fmt.Errorf("series %d: %w", n, err)
}

// series1 decodes a TimeSeries: labels, samples, exemplars and histograms.
func (d *decoder) series1(message []byte) error {
	d.pairs = d.pairs[:0]
	err := protofield.Each(message, func(f protofield.Field) error {
		if f.Number != 1 || !f.Bytes {
			return nil
		}
		return d.pair(f.Content)
	})
	if err != nil {
		return err
	}
	series, err := d.series()
	if err != nil {
		return err
	}
	return protofield.Each(message, func(f protofield.Field) error {
		switch {
		case !f.Bytes:
		case f.Number == 2:
			return d.sample(series, f.Content)
		case f.Number == 3:
			return d.exemplar(series, f.Content, d.pairOf)
		case f.Number == 4:
			return d.histogram(series, f.Content)
		}
		return nil
	})
}

// pair adds a label to those of the series.
func (d *decoder) pair(message []byte) error {
	if len(d.pairs) == mostLabels {
		return fmt.Errorf("it has more than %d labels", mostLabels)
	}
	name, value, err := pairOf(message)
	if err == nil {
		err = d.spend(labelCost + len(message))
	}
	d.pairs = append(d.pairs, labels.Label{Name: name, Value: value})
	return err
}

// pairOf decodes a Label: name and value.
func pairOf(message []byte) (name, value string, err error) {
	err = protofield.Each(message, func(f protofield.Field) error {
		switch f.Number {
		case 1:
			name = string(f.Content)
		case 2:
			value = string(f.Content)
		}
		return nil
	})
	return name, value, err
}

// series is the series with the labels in pairs; nil: nobody can store them.
func (d *decoder) series() (*pipeline.Series, error) {
	// References can repeat a long text: the key may be much larger than the request.
	size := sizeOf(d.pairs) + 2*binary.MaxVarintLen32*len(d.pairs)
	if d.key = d.key[:0]; size > cap(d.key) {
		if err := d.spend(size); err != nil {
			return nil, err
		}
		d.key = make([]byte, 0, size)
	}
	for _, p := range d.pairs {
		for _, text := range [2]string{p.Name, p.Value} {
			d.key = binary.AppendUvarint(d.key, uint64(len(text)))
			d.key = append(d.key, text...)
		}
	}
	if s := d.known.get(d.key); s != nil {
		return s, nil
	}
	if err := d.spend(seriesCost + 3*len(d.key)); err != nil {
		return nil, err
	}
	lset, err := d.labels(d.pairs)
	if err == nil && lset.Get(model.MetricNameLabel) == "" {
		err = errors.New("a series has no name")
	}
	if err != nil {
		d.why = err
		return nil, nil
	}
	s := pipeline.NewSeries(lset)
	d.known.add(d.key, s)
	return s, nil
}

// labels makes labels of pairs, if they are valid.
func (d *decoder) labels(pairs []labels.Label) (labels.Labels, error) {
	slices.SortFunc(pairs, func(a, b labels.Label) int { return cmp.Compare(a.Name, b.Name) })
	d.builder.Reset()
	for i, p := range pairs {
		switch {
		case i > 0 && pairs[i-1].Name == p.Name:
			return labels.EmptyLabels(), fmt.Errorf("the label %.200q appears twice", p.Name)
		case !model.UTF8Validation.IsValidLabelName(p.Name) || !model.LabelValue(p.Value).IsValid():
			return labels.EmptyLabels(), fmt.Errorf("the label %.200q=%.200q is not valid", p.Name, p.Value)
		case p.Value != "":
			d.builder.Add(p.Name, p.Value)
		}
	}
	return d.builder.Labels(), nil
}

// sample decodes a Sample: value and timestamp.
func (d *decoder) sample(series *pipeline.Series, message []byte) error {
	s := pipeline.Sample{Series: series}
	err := protofield.Each(message, func(f protofield.Field) error {
		switch f.Number {
		case 1:
			s.V = math.Float64frombits(f.Value)
		case 2:
			s.T = int64(f.Value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if series == nil {
		d.invalid++
		return nil
	}
	if err := d.spend(sampleCost); err != nil {
		return err
	}
	d.out.Samples = append(d.out.Samples, s)
	return nil
}

// exemplar decodes an Exemplar: labels, value and timestamp. labelsOf adds what a
// field 1 says to pairs.
func (d *decoder) exemplar(series *pipeline.Series, message []byte, labelsOf func(protofield.Field) error) error {
	if err := d.spend(exemplarCost); err != nil {
		return err
	}
	d.pairs = d.pairs[:0]
	var e exemplar.Exemplar
	err := protofield.Each(message, func(f protofield.Field) error {
		switch f.Number {
		case 1:
			return labelsOf(f)
		case 2:
			e.Value = math.Float64frombits(f.Value)
		case 3:
			e.Ts, e.HasTs = int64(f.Value), true
		}
		return nil
	})
	if err != nil || series == nil {
		return err
	}
	// An exemplar is not a sample: only the exemplar is dropped.
	size := sizeOf(d.pairs)
	if size > largestExemplar {
		d.lostExemplars.tooLong++
		return nil
	}
	if err := d.spend(size); err != nil {
		return err
	}
	if e.Labels, err = d.labels(d.pairs); err != nil {
		d.lostExemplars.invalid++
		return nil
	}
	d.out.Exemplars = append(d.out.Exemplars, pipeline.Exemplar{Series: series, Exemplar: e})
	return nil
}

// sizeOf is the size of the text of labels, in bytes.
func sizeOf(pairs []labels.Label) (n int) {
	for _, p := range pairs {
		n += len(p.Name) + len(p.Value)
	}
	return n
}

// pairOf adds a label of version 1 to pairs.
func (d *decoder) pairOf(f protofield.Field) error { return d.pair(f.Content) }

// metadata1 decodes a MetricMetadata: type, family, help and unit.
func (d *decoder) metadata1(message []byte) error {
	var m pipeline.Metadata
	kind := uint64(0)
	err := protofield.Each(message, func(f protofield.Field) error {
		switch f.Number {
		case 1:
			kind = f.Value
		case 2:
			m.Family = string(f.Content)
		case 4:
			m.Help = string(f.Content)
		case 5:
			m.Unit = string(f.Content)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.describe(m, kind)
}

// describe adds metadata, once for each family.
func (d *decoder) describe(m pipeline.Metadata, kind uint64) error {
	types := [...]model.MetricType{
		model.MetricTypeUnknown, model.MetricTypeCounter, model.MetricTypeGauge, model.MetricTypeHistogram,
		model.MetricTypeGaugeHistogram, model.MetricTypeSummary, model.MetricTypeInfo, model.MetricTypeStateset,
	}
	if m.Type = model.MetricTypeUnknown; kind < uint64(len(types)) {
		m.Type = types[kind]
	}
	valid := func(text string) bool { return model.LabelValue(text).IsValid() }
	if m.Family == "" || d.families[m.Family] || !valid(m.Family) || !valid(m.Help) || !valid(m.Unit) {
		return nil
	}
	if err := d.spend(metadataCost + len(m.Family) + len(m.Help) + len(m.Unit)); err != nil {
		return err
	}
	if d.families == nil {
		d.families = map[string]bool{}
	}
	d.families[m.Family] = true
	d.out.Metadata = append(d.out.Metadata, m)
	return nil
}

// family is the family of a series whose metadata has this type.
func family(name string, kind uint64) string {
	const histogram, summary = 3, 5
	if kind != histogram && kind != summary {
		return name
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, is := strings.CutSuffix(name, suffix); is {
			return base
		}
	}
	return name
}
