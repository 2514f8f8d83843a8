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
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/plog"

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
	return &Exporter{to: c.ForwardTo, log: o.Logger, metrics: newMetrics(o.Metrics)}, nil
}

// Exports is the sink for logs.
func (e *Exporter) Exports() map[string]any { return map[string]any{"input": pipeline.OTLPSink(e)} }

// ReadsOTLP reports whether requests of the signal are decoded.
func (e *Exporter) ReadsOTLP(s pipeline.Signal) bool { return s == pipeline.SignalLogs }

// Run waits for ctx to end: entries are forwarded by who writes them.
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
	out, failed, why := entriesOf(d.Logs, time.Now())
	made := out.Entries()
	if made > 0 {
		if err := e.forward(ctx, out); err != nil {
			return err
		}
	}
	e.metrics.total.Add(float64(made + failed))
	e.metrics.processed.Add(float64(made))
	e.metrics.failed.Add(float64(failed))
	if failed > 0 {
		e.quiet.Log(e.log, slog.LevelError, "", "log records dropped: they cannot be written as entries", "records", failed, "err", why)
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

// entriesOf makes entries of records, grouped by their labels in the order in which
// those came. failed counts the records of which none can be made, and why is what
// is wrong with the last of them.
func entriesOf(ld plog.Logs, now time.Time) (out pipeline.Logs, failed int, why error) {
	streams := make(map[string]int)
	var names []byte
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			r := record{resource: rl.Resource().Attributes(), scope: sl.Scope()}
			for _, lr := range sl.LogRecords().All() {
				r.LogRecord = lr
				lset, line, err := r.entry()
				if err != nil {
					failed, why = failed+1, err
					continue
				}
				names = lset.Bytes(names[:0])
				i, known := streams[string(names)]
				if !known {
					i = len(out.Streams)
					streams[string(names)] = i
					out.Streams = append(out.Streams, pipeline.Stream{Labels: lset})
				}
				out.Streams[i].Entries = append(out.Streams[i].Entries, pipeline.Entry{Time: r.time(now), Line: line, Metadata: labels.EmptyLabels()})
			}
		}
	}
	return out, failed, why
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
