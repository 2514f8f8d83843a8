// Package loki is otelcol.receiver.loki: entries of Loki become log records of OTLP.
//
// It imports nothing of the packages that read or write logs: package pipeline
// defines what flows on both of its sides.
package loki

import (
	"context"
	_ "embed"
	"path"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// Config is the configuration of otelcol.receiver.loki.
type Config struct {
	Output flow.Output `alloy:"output,block"`
}

// Receiver is otelcol.receiver.loki. It has no queue: what its outputs do not accept
// is its caller's.
type Receiver struct {
	out      *flow.Fanout // nil: there is no output for logs
	received prometheus.Counter
	lost     *prometheus.CounterVec // by signal and reason
}

//go:embed otelcol.receiver.loki.md
var page string

// Definition defines otelcol.receiver.loki.
func Definition() component.Definition {
	return component.Define("otelcol.receiver.loki", New, component.Doc{Page: page, Exports: []component.Export{{Name: "receiver", Type: "LogsReceiver"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Receiver, error) {
	o = o.WithDefaults()
	r := &Receiver{
		received: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "otelcol_receiver_loki_entries_total", Help: "Entries that became log records and were accepted.",
		}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otelcol_receiver_lost_items_total",
			Help: "Items that one of several destinations accepted and another did not, or that have no output.",
		}, []string{"signal", "reason"}),
	}
	o.Metrics.MustRegister(r.received, r.lost)
	if sinks := c.Output.Logs; len(sinks) > 0 {
		r.out = flow.NewFanout(pipeline.SignalLogs, sinks, r.lost, o.Logger)
	}
	return r, nil
}

// Exports is the sink for entries.
func (r *Receiver) Exports() map[string]any {
	return map[string]any{"receiver": pipeline.LogsSink(r)}
}

// Run waits for ctx to end: records are forwarded by their writers.
func (r *Receiver) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// WriteLogs forwards entries as one request. nil means that the outputs have it.
func (r *Receiver) WriteLogs(ctx context.Context, logs pipeline.Logs) error {
	entries := logs.Entries()
	switch {
	case entries == 0:
		return nil
	case r.out == nil:
		r.lost.WithLabelValues(string(pipeline.SignalLogs), "no_output").Add(float64(entries))
		return nil
	}
	request := pipeline.OTLP{}.With(pipeline.SignalLogs, pipeline.Decoded{Logs: recordsOf(logs, time.Now())})
	if err := r.out.WriteOTLP(ctx, request); err != nil {
		return err
	}
	r.received.Add(float64(entries))
	return nil
}

// hint says to otelcol.exporter.loki, on the way back, which attributes are labels.
const hint = "loki.attribute.labels"

// recordsOf makes a record of each entry. Labels for sinks to act on are omitted.
func recordsOf(logs pipeline.Logs, now time.Time) plog.Logs {
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	records.EnsureCapacity(logs.Entries())
	observed := pcommon.NewTimestampFromTime(now)
	for i := range logs.Streams {
		stream := &logs.Streams[i]
		attributes := attributesOf(pipeline.Public(stream.Labels))
		for j := range stream.Entries {
			e := &stream.Entries[j]
			lr := records.AppendEmpty()
			lr.SetObservedTimestamp(observed)
			lr.SetTimestamp(observed)
			if !e.Time.IsZero() {
				lr.SetTimestamp(pcommon.NewTimestampFromTime(e.Time))
			}
			lr.Body().SetStr(text(e.Line))
			attributes.CopyTo(lr.Attributes())
			e.Metadata.Range(func(l labels.Label) { lr.Attributes().PutStr(l.Name, text(l.Value)) })
		}
	}
	return ld
}

// attributesOf are the attributes that labels become.
func attributesOf(lset labels.Labels) pcommon.Map {
	m := pcommon.NewMap()
	m.EnsureCapacity(lset.Len() + 3)
	if file := lset.Get("filename"); file != "" {
		m.PutStr("log.file.path", text(file))
		m.PutStr("log.file.name", path.Base(text(file)))
	}
	var names []string
	lset.Range(func(l labels.Label) { names = append(names, l.Name) })
	if len(names) > 0 {
		m.PutStr(hint, strings.Join(names, ","))
	}
	lset.Range(func(l labels.Label) { m.PutStr(l.Name, text(l.Value)) })
	return m
}

// text is a string as protobuf allows it: one with other bytes would have a
// destination reject the whole request.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
