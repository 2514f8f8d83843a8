// Package enrich is loki.enrich: log entries get labels of the target that they come
// from.
package enrich

import (
	"context"
	_ "embed"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/inspect"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

// Config is the configuration of loki.enrich.
type Config struct {
	Targets          *discovery.Set      `alloy:"targets,attr"`
	TargetMatchLabel string              `alloy:"target_match_label,attr"`
	LogsMatchLabel   string              `alloy:"logs_match_label,attr,optional"`
	LabelsToCopy     []string            `alloy:"labels_to_copy,attr,optional"`
	ForwardTo        []pipeline.LogsSink `alloy:"forward_to,attr"`
}

// Enrich is the component loki.enrich. It has no queue: an error of its receivers is
// its caller's.
type Enrich struct {
	config  Config
	options component.Options
	targets *discovery.ByLabel
	label   string // of streams
	dropped prometheus.Counter
	samples inspect.LogSamples
	quiet   throttle.Log

	matched, unmatched atomic.Uint64 // entries
}

//go:embed loki.enrich.md
var page string

// Definition is the component loki.enrich.
func Definition() component.Definition {
	return component.Define("loki.enrich", New, component.Doc{
		Page: page, Exports: []component.Export{{Name: "receiver", Type: "LogsReceiver"}},
	})
}

// New makes the component.
func New(c Config, o component.Options) (*Enrich, error) {
	e := &Enrich{config: c, options: o.WithDefaults(), targets: discovery.NewByLabel(c.Targets, c.TargetMatchLabel), label: c.LogsMatchLabel}
	if e.label == "" {
		e.label = c.TargetMatchLabel
	}
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "collector_log_lines_dropped_total", Help: "Lines that were read and not forwarded, by reason.",
	}, []string{"reason"})
	e.dropped = dropped.WithLabelValues("rejected")
	entries := func(matched string, n *atomic.Uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "collector_enrich_entries_total", Help: "Log entries, by whether a target matches them.",
			ConstLabels: prometheus.Labels{"matched": matched},
		}, func() float64 { return float64(n.Load()) })
	}
	e.options.Metrics.MustRegister(dropped, entries("true", &e.matched), entries("false", &e.unmatched))
	return e, nil
}

// Exports returns the receiver.
func (e *Enrich) Exports() map[string]any { return map[string]any{"receiver": pipeline.LogsSink(e)} }

// Run blocks until ctx ends, and does nothing: a batch is forwarded by its writer, also
// after the end.
func (e *Enrich) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// WriteLogs implements pipeline.LogsSink. When it fails nothing is counted: the caller
// may retry with the same entries.
func (e *Enrich) WriteLogs(ctx context.Context, logs pipeline.Logs) error {
	e.samples.Offer(logs, time.Now())
	targets := e.targets.Index()
	var matched, unmatched int
	out := pipeline.Logs{Streams: make([]pipeline.Stream, len(logs.Streams))}
	for i, s := range logs.Streams {
		out.Streams[i] = s
		target, ok := targets.Find(s.Labels.Get(e.label))
		if !ok {
			unmatched += len(s.Entries)
			continue
		}
		matched += len(s.Entries)
		out.Streams[i].Labels = e.with(s.Labels, target)
	}
	if err := e.forward(ctx, out); err != nil {
		return err
	}
	e.matched.Add(uint64(matched))
	e.unmatched.Add(uint64(unmatched))
	return nil
}

// with are the labels of a stream, with those of its target.
func (e *Enrich) with(stream labels.Labels, target discovery.Target) labels.Labels {
	b := labels.NewBuilder(stream)
	discovery.CopyLabels(b, target, e.config.LabelsToCopy)
	return b.Labels()
}

// forward gives entries to all receivers, see pipeline.Pass.
func (e *Enrich) forward(ctx context.Context, logs pipeline.Logs) error {
	return pipeline.Pass(ctx, e.config.ForwardTo,
		func(ctx context.Context, to pipeline.LogsSink) error { return to.WriteLogs(ctx, logs) },
		func(sink int, err error) {
			n := logs.Entries()
			e.dropped.Add(float64(n))
			e.quiet.Warn(e.options.Logger, strconv.Itoa(sink), "a receiver did not accept log entries that another one accepted", "forward_to", sink+1, "entries", n, "err", err)
		})
}

// Status is a snapshot of loki.enrich.
type Status struct {
	Targets   int    `json:"targets"`   // that have the label
	Matched   uint64 `json:"matched"`   // entries
	Unmatched uint64 `json:"unmatched"` // entries
}

// Status returns a snapshot for the debug UI.
func (e *Enrich) Status() any {
	return Status{e.targets.Index().Len(), e.matched.Load(), e.unmatched.Load()}
}
