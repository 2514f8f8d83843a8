// Package relabel is loki.relabel: rules that rewrite the labels of log streams,
// and drop streams.
package relabel

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"sync"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

// Config is the configuration of loki.relabel.
type Config struct {
	ForwardTo    []pipeline.LogsSink `alloy:"forward_to,attr"`
	MaxCacheSize int                 `alloy:"max_cache_size,attr,optional"`
	Rules        []discovery.Rule    `alloy:"rule,block,optional"`
}

// SetToDefault sets Alloy's default.
func (c *Config) SetToDefault() { *c = Config{MaxCacheSize: 10_000} }

// Validate reports a cache without room.
func (c *Config) Validate() error {
	if c.MaxCacheSize <= 0 {
		return component.At("max_cache_size", fmt.Errorf("%d must be greater than 0; the default is 10000", c.MaxCacheSize))
	}
	return nil
}

// Relabel is the component loki.relabel. It has no queue: an error of its
// receivers is its caller's.
type Relabel struct {
	to      []pipeline.LogsSink
	rules   *discovery.Rules
	names   *discovery.LabelNames
	metrics *metrics
	cache   *discovery.Cache
	batches sync.Pool // of *batch
	opts    component.Options
	quiet   throttle.Log
}

//go:embed loki.relabel.md
var page string

// Definition is the component loki.relabel.
func Definition() component.Definition {
	return component.Define("loki.relabel", New, component.Doc{
		Page: page,
		Exports: []component.Export{
			{Name: "receiver", Type: "LogsReceiver"},
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
	r := &Relabel{
		to: cfg.ForwardTo, rules: rules, names: discovery.NewLabelNames(model.LegacyValidation, o.Logger),
		cache: discovery.NewCache(cfg.MaxCacheSize), opts: o,
	}
	r.batches.New = func() any { return new(batch) }
	r.metrics = newMetrics(o.Metrics, func() float64 { return float64(r.cache.Len()) })
	return r, nil
}

// Exports returns the receiver and the rules.
func (r *Relabel) Exports() map[string]any {
	return map[string]any{"receiver": pipeline.LogsSink(r), "rules": r.rules}
}

// Run blocks until ctx ends, and does nothing: a batch is forwarded by its writer, also
// after the end.
func (r *Relabel) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// batch is what the rules make of one call. Its slice is reused.
type batch struct {
	streams      []pipeline.Stream
	came         int // entries
	dropped      int // entries without a label, or that a rule drops
	hits, misses int // entries whose labels were in the cache, and not
}

// maxKept bounds the streams of a batch that waits for reuse.
const maxKept = 10_000

func (b *batch) reset() {
	if cap(b.streams) > maxKept {
		*b = batch{}
		return
	}
	clear(b.streams)
	*b = batch{streams: b.streams[:0]}
}

// WriteLogs implements pipeline.LogsSink. When it fails nothing is counted: the caller
// may retry with the same entries.
func (r *Relabel) WriteLogs(ctx context.Context, logs pipeline.Logs) error {
	b := r.batches.Get().(*batch)
	defer func() {
		b.reset()
		r.batches.Put(b)
	}()
	for i := range logs.Streams {
		r.relabel(b, &logs.Streams[i])
	}
	r.metrics.hits.Add(float64(b.hits))
	r.metrics.misses.Add(float64(b.misses))
	if len(b.streams) > 0 {
		if err := r.forward(ctx, pipeline.Logs{Streams: b.streams}, b.came-b.dropped); err != nil {
			return err
		}
	}
	r.metrics.processed.Add(float64(b.came))
	r.metrics.written.Add(float64(b.came - b.dropped))
	r.metrics.drop(reasonRelabeled, b.dropped)
	return nil
}

func (r *Relabel) relabel(b *batch, s *pipeline.Stream) {
	n := len(s.Entries)
	if n == 0 {
		return
	}
	b.came += n
	out, ok := r.cache.Get(s.Labels)
	if ok {
		b.hits += n
	} else {
		out = r.rules.Series(labels.NewBuilder(s.Labels), r.names)
		r.cache.Put(s.Labels, out)
		b.misses++
		b.hits += n - 1
	}
	if out.IsEmpty() {
		b.dropped += n
		return
	}
	b.streams = append(b.streams, pipeline.Stream{Labels: out, Entries: s.Entries})
}

// forward gives entries to all receivers, see pipeline.Pass.
func (r *Relabel) forward(ctx context.Context, logs pipeline.Logs, entries int) error {
	if len(r.to) == 1 { // without what Pass allocates
		return r.to[0].WriteLogs(ctx, logs)
	}
	return pipeline.Pass(ctx, r.to,
		func(ctx context.Context, to pipeline.LogsSink) error { return to.WriteLogs(ctx, logs) },
		func(sink int, err error) {
			r.metrics.drop(reasonRejected, entries)
			r.quiet.Warn(r.opts.Logger, strconv.Itoa(sink), "a receiver did not accept log entries that another one accepted", "forward_to", sink+1, "entries", entries, "err", err)
		})
}

// Status is a snapshot of loki.relabel.
type Status struct {
	Streams int `json:"streams"` // in the cache
}

// Status returns a snapshot for the debug UI.
func (r *Relabel) Status() any { return Status{Streams: r.cache.Len()} }
