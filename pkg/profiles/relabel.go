package profiles

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/inspect"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

// RelabelConfig is the block pyroscope.relabel.
type RelabelConfig struct {
	ForwardTo    []pipeline.ProfilesSink `alloy:"forward_to,attr"`
	Rules        []discovery.Rule        `alloy:"rule,block,optional"`
	MaxCacheSize int                     `alloy:"max_cache_size,attr,optional"`
}

// SetToDefault sets Alloy's default.
func (c *RelabelConfig) SetToDefault() { *c = RelabelConfig{MaxCacheSize: 10_000} }

// Validate reports a cache without room.
func (c *RelabelConfig) Validate() error {
	if c.MaxCacheSize <= 0 {
		return component.At("max_cache_size", fmt.Errorf("%d must be greater than 0; the default is 10000", c.MaxCacheSize))
	}
	return nil
}

// Relabel is pyroscope.relabel: rules that rewrite the labels of profiles, and drop
// profiles. It has no queue: an error of its receivers is its caller's.
type Relabel struct {
	to      []pipeline.ProfilesSink
	rules   *discovery.Rules
	names   *discovery.LabelNames
	cache   *discovery.Cache
	metrics *relabelMetrics
	options component.Options
	quiet   throttle.Log
}

//go:embed pyroscope.relabel.md
var relabelPage string

func relabelDefinition() component.Definition {
	return component.Define("pyroscope.relabel", NewRelabel, component.Doc{
		Page:    relabelPage,
		Exports: []component.Export{{Name: "receiver", Type: "ProfilesReceiver"}, {Name: "rules", Type: "RelabelRules"}},
	})
}

// NewRelabel checks c.
func NewRelabel(c RelabelConfig, o component.Options) (*Relabel, error) {
	o = o.WithDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	rules, err := discovery.Compile(c.Rules)
	if err != nil {
		return nil, err
	}
	r := &Relabel{
		to: c.ForwardTo, rules: rules, names: discovery.NewLabelNames(model.LegacyValidation, o.Logger),
		cache: discovery.NewCache(c.MaxCacheSize), options: o,
	}
	r.metrics = newRelabelMetrics(o.Metrics, func() float64 { return float64(r.cache.Len()) })
	return r, nil
}

// Exports returns the receiver and the rules.
func (r *Relabel) Exports() map[string]any {
	return map[string]any{"receiver": pipeline.ProfilesSink(r), "rules": r.rules}
}

// Run blocks until ctx ends, and does nothing: a profile is forwarded by its writer, also
// after the end.
func (r *Relabel) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// errDropped says that a rule drops a profile.
var errDropped = errors.New("a rule drops the profile")

// WriteProfile implements pipeline.ProfilesSink. When it fails, nothing is counted as
// processed: the caller may retry with the same profile.
func (r *Relabel) WriteProfile(ctx context.Context, p pipeline.Profile) error {
	out, err := r.relabel(p)
	if err != nil {
		return pipeline.Permanent(err)
	}
	if out.Items > 0 {
		if err := r.forward(ctx, out); err != nil {
			return err
		}
	}
	r.metrics.processed.Add(float64(p.Items))
	r.metrics.written.Add(float64(out.Items))
	r.metrics.dropped.Add(float64(p.Items - out.Items))
	return nil
}

// relabel is what the rules make of a request; without items if they drop all of it.
func (r *Relabel) relabel(p pipeline.Profile) (out pipeline.Profile, err error) {
	out = p
	out.Named = true
	if p.Route == pipeline.ProfileIngest {
		out.Query, err = changeQuery(p.Query, func(set labelSet) (labelSet, error) {
			if set = r.apply(set, p.Named); set == nil {
				return nil, errDropped
			}
			return set, set.settle()
		})
		if errors.Is(err, errDropped) {
			out.Items, err = 0, nil
		}
		return out, err
	}
	out.Body, err = changePush(p.Body, func(set labelSet) (labelSet, error) { return r.apply(set, p.Named), nil })
	if err == nil {
		out.Items, err = countPush(out.Body)
	}
	return out, err
}

// apply is what the rules make of the labels of a profile; nil: they drop it. A
// client's labels are named before.
func (r *Relabel) apply(set labelSet, named bool) labelSet {
	if !named {
		set.ensureServiceName()
	}
	if len(set) == 0 {
		return set
	}
	in := labels.FromMap(set)
	out, known := r.cache.Get(in)
	if known {
		r.metrics.hits.Inc()
	} else {
		out = r.rules.Series(labels.NewBuilder(in), r.names)
		r.cache.Put(in, out)
		r.metrics.misses.Inc()
	}
	if out.IsEmpty() {
		return nil
	}
	return out.Map()
}

// forward gives a request to all receivers, see pipeline.Pass.
func (r *Relabel) forward(ctx context.Context, p pipeline.Profile) error {
	return pipeline.Pass(ctx, r.to,
		func(ctx context.Context, to pipeline.ProfilesSink) error { return to.WriteProfile(ctx, p) },
		func(sink int, err error) {
			r.metrics.lost.WithLabelValues(dropReason(err)).Add(float64(p.Items))
			r.quiet.Warn(r.options.Logger, strconv.Itoa(sink), "a receiver did not accept profiles that another one accepted", "forward_to", sink+1, "profiles", p.Items, "err", err)
		})
}

// RelabelStatus is a snapshot of a Relabel.
type RelabelStatus struct {
	LabelSets int `json:"labelSets"` // in the cache
}

// Status returns a RelabelStatus.
func (r *Relabel) Status() any { return RelabelStatus{r.cache.Len()} }

// Relabeling is part of inspect.Relabeler.
func (r *Relabel) Relabeling() inspect.Relabeling {
	return r.rules.Relabeling(r.names, r.cache.Inputs)
}

// relabelMetrics have Alloy's names, but for the last.
type relabelMetrics struct {
	processed, written, dropped prometheus.Counter
	hits, misses                prometheus.Counter
	lost                        *prometheus.CounterVec
}

func newRelabelMetrics(reg prometheus.Registerer, size func() float64) *relabelMetrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "pyroscope_relabel_" + name, Help: help})
	}
	m := &relabelMetrics{
		processed: counter("profiles_processed", "Profiles received of requests that were forwarded or dropped."),
		written:   counter("profiles_written", "Profiles forwarded after relabeling."),
		dropped:   counter("profiles_dropped", "Profiles that a rule dropped."),
		hits:      counter("cache_hits", "Profiles whose labels were in the cache."),
		misses:    counter("cache_misses", "Profiles whose labels had to be relabeled."),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pyroscope_relabel_lost_profiles_total",
			Help: "Profiles that one of several receivers accepted and another did not, by reason.",
		}, []string{"reason"}),
	}
	reg.MustRegister(m.processed, m.written, m.dropped, m.hits, m.misses, m.lost,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pyroscope_relabel_cache_size", Help: "Label sets in the cache."}, size))
	return m
}
