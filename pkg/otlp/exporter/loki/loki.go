// Package loki is otelcol.exporter.loki: log records of OTLP become entries of Loki.
//
// It imports nothing of the packages that read or write logs: package pipeline
// defines what flows on both of its sides.
package loki

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

// Config is the configuration of otelcol.exporter.loki.
type Config struct {
	ForwardTo []pipeline.LogsSink `alloy:"forward_to,attr"`
}

// Exporter is otelcol.exporter.loki. It has no queue: what its receivers do not accept
// is its caller's.
type Exporter struct {
	to      []pipeline.LogsSink
	log     *slog.Logger
	metrics *metrics
	quiet   throttle.Log
	bounds  bounds
}

//go:embed otelcol.exporter.loki.md
var page string

// Definition defines otelcol.exporter.loki.
func Definition() component.Definition {
	return component.Define("otelcol.exporter.loki", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Exporter, error) {
	o = o.WithDefaults()
	return &Exporter{to: c.ForwardTo, log: o.Logger, metrics: newMetrics(o.Metrics), bounds: defaultBounds(debug.SetMemoryLimit(-1))}, nil
}

// Exports is the sink for logs.
func (e *Exporter) Exports() map[string]any { return map[string]any{"input": pipeline.OTLPSink(e)} }

// ReadsOTLP reports whether requests of the signal are decoded.
func (e *Exporter) ReadsOTLP(s pipeline.Signal) bool { return s == pipeline.SignalLogs }

// Run waits for ctx to end: entries are forwarded by their writers.
func (e *Exporter) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// WriteOTLP forwards the entries of a request. nil means that the receivers have
// them, but for those that could not be made, which are counted.
func (e *Exporter) WriteOTLP(ctx context.Context, request pipeline.OTLP) error {
	if request.Signal != pipeline.SignalLogs {
		return pipeline.Permanent(fmt.Errorf("otelcol.exporter.loki accepts logs, not %s: connect it to logs alone in the output block of the component before it", request.Signal))
	}
	d, err := request.Read()
	if err != nil {
		return err
	}
	c := &conversion{bounds: e.bounds, forward: func(out pipeline.Logs) error { return e.forward(ctx, out) }}
	if err := c.write(ctx, d.Logs, time.Now()); err != nil {
		return err
	}
	e.metrics.total.Add(float64(c.made + c.failed))
	e.metrics.processed.Add(float64(c.made))
	e.metrics.failed.Add(float64(c.failed))
	if c.failed > 0 {
		e.quiet.Log(e.log, slog.LevelError, "", "log records dropped: they cannot be written as entries", "records", c.failed, "err", c.why)
	}
	return nil
}

func (e *Exporter) forward(ctx context.Context, out pipeline.Logs) error {
	if len(e.to) == 1 {
		return e.to[0].WriteLogs(ctx, out)
	}
	return pipeline.Pass(ctx, e.to,
		func(ctx context.Context, to pipeline.LogsSink) error { return to.WriteLogs(ctx, out) },
		func(sink int, err error) {
			e.metrics.lost.Add(float64(out.Entries()))
			e.quiet.Warn(e.log, strconv.Itoa(sink), "a receiver did not accept entries that another one accepted", "forward_to", sink+1, "entries", out.Entries(), "err", err)
		})
}

// metrics have Alloy's names, but for the last one.
type metrics struct{ total, failed, processed, lost prometheus.Counter }

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "otelcol_exporter_loki_" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	return &metrics{
		total:     counter("entries_total", "Log records of requests that were accepted. Equals processed + failed."),
		failed:    counter("entries_failed", "Log records that could not be written as entries and were dropped."),
		processed: counter("entries_processed", "Log records whose entries were forwarded."),
		lost:      counter("lost_entries_total", "Entries that one of several receivers accepted and another did not."),
	}
}
