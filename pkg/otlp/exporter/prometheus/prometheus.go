// Package prometheus is otelcol.exporter.prometheus: data points of OTLP become
// samples.
//
// It imports nothing of the packages that scrape or write metrics: package pipeline
// defines what flows on both of its sides.
package prometheus

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"collector/pkg/component"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

// Config is the configuration of otelcol.exporter.prometheus.
type Config struct {
	IncludeTargetInfo             bool                   `alloy:"include_target_info,attr,optional"`
	IncludeScopeInfo              bool                   `alloy:"include_scope_info,attr,optional"`
	IncludeScopeLabels            bool                   `alloy:"include_scope_labels,attr,optional"`
	GCFrequency                   time.Duration          `alloy:"gc_frequency,attr,optional"`
	ForwardTo                     []pipeline.MetricsSink `alloy:"forward_to,attr"`
	AddMetricSuffixes             bool                   `alloy:"add_metric_suffixes,attr,optional"`
	ResourceToTelemetryConversion bool                   `alloy:"resource_to_telemetry_conversion,attr,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() {
	*c = Config{IncludeTargetInfo: true, IncludeScopeLabels: true, GCFrequency: 5 * time.Minute, AddMetricSuffixes: true}
}

// Validate rejects what cannot work.
func (c *Config) Validate() error {
	if c.GCFrequency <= 0 {
		return component.At("gc_frequency", errors.New("it must be positive"))
	}
	return nil
}

// Exporter is otelcol.exporter.prometheus. It has no queue: what its receivers do
// not accept is its caller's.
type Exporter struct {
	config  Config
	log     *slog.Logger
	metrics *metrics
	cache   *cache
	batches sync.Pool // of *batch
	quiet   throttle.Log
}

//go:embed otelcol.exporter.prometheus.md
var page string

// Definition defines otelcol.exporter.prometheus.
func Definition() component.Definition {
	return component.Define("otelcol.exporter.prometheus", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Exporter, error) {
	o = o.WithDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if !c.IncludeScopeLabels {
		o.Warn("include_scope_labels", "samples never get labels of the scope; otel_scope_info, with include_scope_info, has them")
	}
	e := &Exporter{config: c, log: o.Logger, cache: newCache(min(mostMemory, debug.SetMemoryLimit(-1)/memoryShare))}
	e.batches.New = func() any { return &batch{options: &e.config, cache: e.cache} }
	e.metrics = newMetrics(o.Metrics, func() float64 { return float64(e.cache.size()) })
	return e, nil
}

// Exports is the sink for metrics.
func (e *Exporter) Exports() map[string]any { return map[string]any{"input": pipeline.OTLPSink(e)} }

// ReadsOTLP reports whether requests of the signal are decoded.
func (e *Exporter) ReadsOTLP(s pipeline.Signal) bool { return s == pipeline.SignalMetrics }

// staleAfter is how long a series is remembered that gets no samples.
const staleAfter = 5 * time.Minute

// Run forgets series that get no samples any more, until ctx ends.
func (e *Exporter) Run(ctx context.Context) error {
	tick := time.NewTicker(e.config.GCFrequency)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			e.cache.forget(now.Add(-staleAfter))
		}
	}
}

// WriteOTLP forwards the samples of a request. nil means that the receivers have
// them, but for what is counted as dropped.
func (e *Exporter) WriteOTLP(ctx context.Context, request pipeline.OTLP) error {
	if request.Signal != pipeline.SignalMetrics {
		return pipeline.Permanent(fmt.Errorf("otelcol.exporter.prometheus accepts metrics, not %s: connect it to metrics alone in the output block of the component before it", request.Signal))
	}
	d, err := request.Read()
	if err != nil {
		return err
	}
	b := e.batches.Get().(*batch)
	defer func() {
		b.reset()
		e.batches.Put(b)
	}()
	b.forward = func() error { return e.forward(ctx, b.out) }
	b.stop = ctx.Err
	full, err := b.write(d.Metrics, time.Now())
	if full {
		e.quiet.Warn(e.log, "full", "too many series to remember: those beyond take more CPU time, and may repeat older points", "series", e.cache.size())
	}
	if err != nil {
		e.metrics.forwardErrors.Inc()
		return err
	}
	e.metrics.add(b)
	if n := b.dropped[deltaTemporality]; n > 0 {
		e.quiet.Warn(e.log, "", "data points with delta temporality dropped; have the sender use cumulative temporality, for SDKs by OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative", "points", n)
	}
	if n := b.dropped[tooLarge]; n > 0 {
		e.quiet.Warn(e.log, "large", "data points dropped: the labels of their series are too large; remove large attributes, or buckets, before this component", "points", n)
	}
	return nil
}

// forward gives the batch to all receivers. An empty one is given to none.
func (e *Exporter) forward(ctx context.Context, out pipeline.Metrics) error {
	if out.Items() == 0 && len(out.Metadata) == 0 {
		return nil
	}
	start := time.Now()
	to := e.config.ForwardTo
	took := len(to)
	var err error
	if took == 1 { // without what Pass allocates
		err = to[0].WriteMetrics(ctx, out)
	} else {
		err = pipeline.Pass(ctx, to,
			func(ctx context.Context, to pipeline.MetricsSink) error { return to.WriteMetrics(ctx, out) },
			func(sink int, err error) {
				took--
				e.metrics.lost.Add(float64(out.Items()))
				e.quiet.Warn(e.log, strconv.Itoa(sink), "a receiver did not accept samples that another one accepted", "forward_to", sink+1, "samples", out.Items(), "err", err)
			})
	}
	e.metrics.fanoutLatency.Observe(time.Since(start).Seconds())
	if err == nil {
		e.metrics.forwarded.Add(float64(out.Items() * took))
	}
	return err
}

// Status is a snapshot of otelcol.exporter.prometheus.
type Status struct {
	Series int `json:"series"` // remembered
}

// Status returns a snapshot for the debug UI.
func (e *Exporter) Status() any { return Status{Series: e.cache.size()} }
