package prometheus

import (
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"collector/pkg/pipeline"
)

// family is a metric: the series of a histogram or of a summary are one, any other
// series is a metric by its own name.
type family struct {
	name    string
	about   pipeline.Metadata
	kind    pmetric.MetricType
	rises   bool              // of sums
	groups  map[uint64]*group // the latest of each series
	earlier map[moment]*group // those before, of series with several times
	order   []*group
	without []string // labels that do not distinguish points, sorted
}

type familyKey struct {
	name   string
	native bool
}

// moment is a time of the series with that hash.
type moment struct {
	hash uint64
	t    int64
}

// group is what becomes one data point.
type group struct {
	series  labels.Labels // of the first sample
	t       int64         // in milliseconds
	samples int

	value            float64
	count, sum       float64
	hasCount, hasSum bool
	created          float64 // in seconds; 0: not said
	points           []bound
	native           *pipeline.HistogramSample
	exemplars        []*exemplar.Exemplar
}

// bound is a bucket of a histogram or a quantile of a summary.
type bound struct{ at, value float64 }

// split is a name as that of its family and what samples have after it; the suffix
// is empty if there is none.
func split(name string) (family, suffix string) {
	for _, suffix := range []string{"_bucket", "_count", "_sum", "_total", "_info", "_created"} {
		if family, ok := strings.CutSuffix(name, suffix); ok && family != "" {
			return family, suffix
		}
	}
	return name, ""
}

// keyed is a family's key with what is known of the family.
type keyed struct {
	familyKey
	about pipeline.Metadata
}

// key returns the family that a series of that name belongs to.
func (b *batch) key(name string, native bool) keyed {
	unknown := keyed{familyKey{name, native}, pipeline.Metadata{Family: name, Type: model.MetricTypeUnknown}}
	if b.in.Origin == nil || b.in.Origin.Describe == nil {
		return unknown
	}
	if m, ok := b.in.Origin.Describe(name); ok {
		if m.Type == model.MetricTypeHistogram && !native {
			return unknown // no series of a classic histogram has this name
		}
		return keyed{familyKey{name, native}, m}
	}
	short, suffix := split(name)
	m, ok := b.in.Origin.Describe(short)
	if !ok || suffix == "" {
		return unknown
	}
	switch m.Type {
	case model.MetricTypeCounter:
		if suffix == "_created" {
			name = short + "_total"
		}
		return keyed{familyKey{name, native}, m}
	case model.MetricTypeHistogram:
		if suffix == "_total" || suffix == "_info" {
			return unknown
		}
		return keyed{familyKey{short, native}, m}
	case model.MetricTypeSummary:
		if suffix != "_sum" && suffix != "_count" && suffix != "_created" {
			return unknown
		}
		return keyed{familyKey{short, native}, m}
	case model.MetricTypeInfo:
		if suffix != "_info" {
			return unknown
		}
		return keyed{familyKey{short, native}, m}
	}
	return keyed{familyKey{name, native}, m} // of a type that OTLP lacks
}

func (b *batch) family(of *scope, name string, native bool) *family {
	key := b.key(name, native)
	if f := of.families[key.familyKey]; f != nil {
		return f
	}
	f := &family{name: key.name, about: key.about, groups: make(map[uint64]*group)}
	switch t := key.about.Type; {
	case native:
		f.kind, f.about.Type = pmetric.MetricTypeExponentialHistogram, model.MetricTypeHistogram
	case t == model.MetricTypeCounter:
		f.kind, f.rises = pmetric.MetricTypeSum, true
	case t == model.MetricTypeHistogram:
		f.kind = pmetric.MetricTypeHistogram
	case t == model.MetricTypeSummary:
		f.kind = pmetric.MetricTypeSummary
	case t == model.MetricTypeInfo, t == model.MetricTypeStateset:
		f.kind = pmetric.MetricTypeSum
	default:
		f.kind = pmetric.MetricTypeGauge
	}
	f.without = []string{labels.MetricName, model.MetricsPathLabel, model.SchemeLabel, model.InstanceLabel, model.JobLabel, scopeName, scopeVersion, scopeSchema}
	switch f.kind {
	case pmetric.MetricTypeHistogram:
		f.without = append(f.without, model.BucketLabel)
	case pmetric.MetricTypeSummary:
		f.without = append(f.without, model.QuantileLabel)
	}
	slices.Sort(f.without)
	of.families[key.familyKey] = f
	of.order = append(of.order, f)
	return f
}

func (b *batch) hash(f *family, lset labels.Labels) (hash uint64) {
	hash, b.bytes = lset.HashWithoutLabels(b.bytes, f.without...)
	return hash
}

func (b *batch) group(f *family, lset labels.Labels, t int64) *group {
	hash := b.hash(f, lset)
	last := f.groups[hash]
	if last != nil && last.t == t {
		return last
	}
	if g := f.earlier[moment{hash, t}]; g != nil {
		return g
	}
	if last != nil {
		if f.earlier == nil {
			f.earlier = make(map[moment]*group)
		}
		f.earlier[moment{hash, last.t}] = last
	}
	g := &group{series: lset, t: t}
	f.groups[hash] = g
	f.order = append(f.order, g)
	return g
}

// marked is the point to which an exemplar of a series belongs: that of its time, or else
// the latest; nil if the series has none.
func (f *family) marked(hash uint64, t int64) *group {
	if g := f.earlier[moment{hash, t}]; g != nil {
		return g
	}
	return f.groups[hash]
}

// add adds a sample to its group. It returns why it cannot; "" if it can.
func (f *family) add(g *group, name string, s *pipeline.Sample) (why string) {
	composed := f.kind == pmetric.MetricTypeHistogram || f.kind == pmetric.MetricTypeSummary
	switch {
	case f.kind != pmetric.MetricTypeGauge && name == f.about.Family+"_created":
		g.created = s.V
	case !composed:
		g.value, g.hasCount = s.V, true
	case strings.HasSuffix(name, "_sum"):
		g.sum, g.hasSum = s.V, true
	case strings.HasSuffix(name, "_count"):
		g.count, g.hasCount = s.V, true
	default:
		label := model.BucketLabel
		if f.kind == pmetric.MetricTypeSummary {
			label = model.QuantileLabel
		}
		at, err := strconv.ParseFloat(s.Series.Labels.Get(label), 64)
		if err != nil {
			return badBucket
		}
		g.points = append(g.points, bound{at, s.V})
	}
	g.samples++
	return ""
}
