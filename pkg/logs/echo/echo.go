// Package echo is loki.echo: log entries in the collector's own log.
package echo

import (
	"context"
	_ "embed"
	"encoding/json"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/pipeline"
)

//go:embed loki.echo.md
var page string

// Config is the configuration of loki.echo, which has no settings.
type Config struct{}

// Echo is loki.echo.
type Echo struct {
	opts    component.Options
	entries atomic.Uint64
}

// Definition is the component loki.echo.
func Definition() component.Definition {
	return component.Define("loki.echo", New, component.Doc{
		Page: page, Exports: []component.Export{{Name: "receiver", Type: "LogsReceiver"}},
	})
}

// New makes the component.
func New(_ Config, o component.Options) (*Echo, error) {
	e := &Echo{opts: o.WithDefaults()}
	read := func() float64 { return float64(e.entries.Load()) }
	labels := prometheus.Labels{"destination": "log", "signal": "logs"}
	for _, c := range []prometheus.Collector{
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "collector_received_items_total", Help: "Items that entered the queue, including those it held at the start. Equals delivered + queued + dropped.", ConstLabels: labels,
		}, read),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "collector_delivered_items_total", Help: "Items that the destination has accepted.", ConstLabels: labels,
		}, read),
	} {
		e.opts.Metrics.MustRegister(c)
	}
	return e, nil
}

// Exports returns the receiver.
func (e *Echo) Exports() map[string]any { return map[string]any{"receiver": e} }

// Run waits until ctx ends: entries are logged by their writers.
func (e *Echo) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// WriteLogs implements pipeline.LogsSink.
func (e *Echo) WriteLogs(_ context.Context, logs pipeline.Logs) error {
	for _, s := range logs.Streams {
		labels := s.Labels.String()
		for _, entry := range s.Entries {
			metadata := []byte("{}")
			if !entry.Metadata.IsEmpty() {
				metadata, _ = json.Marshal(entry.Metadata.Map()) // of strings: it can't fail
			}
			e.opts.Logger.Info("entry received", "receiver", e.opts.ID, "entry", entry.Line, "entry_timestamp", entry.Time,
				"labels", labels, "structured_metadata", string(metadata))
		}
	}
	e.entries.Add(uint64(logs.Entries()))
	return nil
}

// Status is what the debug UI shows.
type Status struct {
	Entries uint64 `json:"entries"`
}

// Status returns a snapshot for the debug UI.
func (e *Echo) Status() any { return Status{e.entries.Load()} }
