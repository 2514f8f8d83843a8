package explore

import (
	"context"
	_ "embed"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/pipeline"
)

// SinkConfig is the component explore.sink, which has no settings.
type SinkConfig struct{}

// Sink is a destination that stores nothing: what it receives is only in the Explore
// window, if that is on.
type Sink struct {
	counts map[string]*atomic.Uint64 // items by signal; not changed after NewSink
}

//go:embed explore.sink.md
var sinkPage string

func sinkDefinition() component.Definition {
	return component.Define("explore.sink", NewSink, component.Doc{
		Page: sinkPage,
		Exports: []component.Export{
			{Name: "logs", Type: "LogsReceiver"}, {Name: "metrics", Type: "MetricsReceiver"},
			{Name: "input", Type: "otelcol.Consumer"}, {Name: "profiles", Type: "ProfilesReceiver"},
		},
	})
}

// NewSink makes the component explore.sink.
func NewSink(_ SinkConfig, o component.Options) (*Sink, error) {
	o = o.WithDefaults()
	s := &Sink{counts: map[string]*atomic.Uint64{}}
	for _, signal := range []string{"logs", "metrics", "traces", "profiles"} {
		count := &atomic.Uint64{}
		s.counts[signal] = count
		read := func() float64 { return float64(count.Load()) }
		labels := prometheus.Labels{"destination": "explore", "signal": signal}
		o.Metrics.MustRegister(
			prometheus.NewCounterFunc(prometheus.CounterOpts{
				Name: "collector_received_items_total", Help: "Items that entered the queue, including those it held at the start. Equals delivered + queued + dropped.", ConstLabels: labels,
			}, read),
			prometheus.NewCounterFunc(prometheus.CounterOpts{
				Name: "collector_delivered_items_total", Help: "Items that the destination has accepted.", ConstLabels: labels,
			}, read))
	}
	return s, nil
}

// Exports are a receiver for each kind of data.
func (s *Sink) Exports() map[string]any {
	return map[string]any{
		"logs": logsSink{s}, "metrics": metricsSink{s}, "input": otlpSink{s}, "profiles": profilesSink{s},
	}
}

// Run waits for ctx to end.
func (s *Sink) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Status is how many items it has been given, by signal.
func (s *Sink) Status() any { return s.Given() }

// Given is how many items it has been given, by signal.
func (s *Sink) Given() map[string]uint64 {
	given := map[string]uint64{}
	for signal, n := range s.counts {
		given[signal] = n.Load()
	}
	return given
}

func (s *Sink) take(signal string, items int) error {
	s.counts[signal].Add(uint64(items))
	return nil
}

type logsSink struct{ *Sink }

func (s logsSink) WriteLogs(_ context.Context, logs pipeline.Logs) error {
	return s.take("logs", logs.Entries())
}

type metricsSink struct{ *Sink }

func (s metricsSink) WriteMetrics(_ context.Context, m pipeline.Metrics) error {
	return s.take("metrics", m.Items())
}

type otlpSink struct{ *Sink }

func (s otlpSink) WriteOTLP(_ context.Context, r pipeline.OTLP) error {
	return s.take(string(r.Signal), r.Items)
}

type profilesSink struct{ *Sink }

func (s profilesSink) WriteProfile(_ context.Context, p pipeline.Profile) error {
	return s.take("profiles", p.Items)
}
