// Package relabel is prometheus.relabel: rules that rewrite the labels of series,
// and drop series.
//
// A series is relabeled once: the result is kept with the *pipeline.Series (see
// its Derived) for as long as the producer sends that one, within the bound of
// max_cache_size. Series that get the same labels become the same
// *pipeline.Series, so that what receivers derive of it is made once as well.
package relabel

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

// Config is the configuration of prometheus.relabel.
type Config struct {
	ForwardTo    []pipeline.MetricsSink `alloy:"forward_to,attr"`
	MaxCacheSize int                    `alloy:"max_cache_size,attr,optional"`
	Rules        []discovery.Rule       `alloy:"rule,block,optional"`
}

// SetToDefault sets Alloy's default.
func (c *Config) SetToDefault() { *c = Config{MaxCacheSize: 100_000} }

// Validate reports a cache without room.
func (c *Config) Validate() error {
	if c.MaxCacheSize <= 0 {
		return component.At("max_cache_size", fmt.Errorf("%d must be greater than 0; the default is 100000", c.MaxCacheSize))
	}
	return nil
}

// Relabel is the component prometheus.relabel. It has no queue: an error of its
// receivers is its caller's.
type Relabel struct {
	to      []pipeline.MetricsSink
	rules   *discovery.Rules
	names   *discovery.LabelNames
	metrics *metrics
	cache   *cache
	batches sync.Pool // of *batch
	log     *slog.Logger
	quiet   throttle.Log
}

//go:embed prometheus.relabel.md
var page string

// Definition is the component prometheus.relabel.
func Definition() component.Definition {
	return component.Define("prometheus.relabel", New, component.Doc{
		Page: page,
		Exports: []component.Export{
			{Name: "receiver", Type: "MetricsReceiver"},
			{Name: "rules", Type: "RelabelRules"},
		},
	})
}

// New checks cfg.
func New(cfg Config, o component.Options) (*Relabel, error) {
	o = o.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	rules, err := discovery.Compile(cfg.Rules)
	if err != nil {
		return nil, err
	}
	r := &Relabel{to: cfg.ForwardTo, rules: rules, names: discovery.NewLabelNames(model.LegacyValidation, o.Logger), log: o.Logger}
	r.cache = newCache(cfg.MaxCacheSize, func(lset labels.Labels) labels.Labels {
		return rules.Series(labels.NewBuilder(lset), r.names)
	})
	r.batches.New = func() any { return new(batch) }
	r.metrics = newMetrics(o.Metrics, func() float64 { return float64(r.cache.size()) })
	return r, nil
}

// Exports returns the receiver and the rules.
func (r *Relabel) Exports() map[string]any {
	return map[string]any{"receiver": pipeline.MetricsSink(r), "rules": r.rules}
}

// Run blocks until ctx ends, and does nothing: a batch is forwarded by its writer, also
// after the end.
func (r *Relabel) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// WriteMetrics implements pipeline.MetricsSink. When no receiver accepts the batch, the
// error is theirs, and the samples are not counted: the caller may retry.
func (r *Relabel) WriteMetrics(ctx context.Context, m pipeline.Metrics) error {
	b := r.batches.Get().(*batch)
	defer func() {
		b.reset()
		r.batches.Put(b)
	}()
	out := m
	if r.rules.Len() > 0 {
		b.relabel(r.cache, m)
		out = b.out
		out.Origin = m.Origin
		r.metrics.hits.Add(float64(b.hits))
		r.metrics.misses.Add(float64(b.misses))
	}
	if err := r.forward(ctx, out); err != nil {
		r.metrics.forwardErrors.Inc()
		return err
	}
	r.metrics.add(m, out, b)
	if r.rules.Len() > 0 {
		r.metrics.deletes.Add(float64(b.end(r.cache, m)))
	}
	return nil
}

// forward gives the batch to all receivers. An empty one is given to none.
func (r *Relabel) forward(ctx context.Context, out pipeline.Metrics) error {
	if out.Items() == 0 && len(out.Exemplars) == 0 && len(out.Metadata) == 0 {
		return nil
	}
	start := time.Now()
	took := len(r.to)
	var err error
	if took == 1 { // without what Pass allocates
		err = r.to[0].WriteMetrics(ctx, out)
	} else {
		took, err = r.pass(ctx, out)
	}
	r.metrics.fanoutLatency.Observe(time.Since(start).Seconds())
	if err == nil {
		r.metrics.forwarded.Add(float64(out.Items() * took))
	}
	return err
}

// pass gives the batch to several receivers, and returns how many accepted it.
func (r *Relabel) pass(ctx context.Context, out pipeline.Metrics) (took int, err error) {
	took = len(r.to)
	err = pipeline.Pass(ctx, r.to,
		func(ctx context.Context, to pipeline.MetricsSink) error { return to.WriteMetrics(ctx, out) },
		func(sink int, err error) {
			took--
			r.metrics.drop(reasonForwardFailed, out.Items())
			r.quiet.Warn(r.log, strconv.Itoa(sink), "a receiver did not accept samples that another one accepted", "forward_to", sink+1, "samples", out.Items(), "err", err)
		})
	return took, err
}

// Status is a snapshot of prometheus.relabel.
type Status struct {
	Series int `json:"series"` // in the cache
}

// Status returns a snapshot for the debug UI.
func (r *Relabel) Status() any { return Status{Series: r.cache.size()} }
