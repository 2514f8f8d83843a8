// Package prometheus is otelcol.receiver.prometheus: samples become metrics of OTLP.
//
// It imports nothing of the packages that scrape or write metrics: package pipeline
// defines what flows on both of its sides.
package prometheus

import (
	"context"
	_ "embed"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

// Config is the configuration of otelcol.receiver.prometheus.
type Config struct {
	Output       flow.Output       `alloy:"output,block"`
	DebugMetrics flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{}
	c.DebugMetrics.SetToDefault()
}

// Receiver is otelcol.receiver.prometheus. It has no queue: what its outputs do not
// accept is its caller's.
type Receiver struct {
	out     *flow.Fanout // nil: there is no output for metrics
	log     *slog.Logger
	starts  *starts
	metrics *metrics
	quiet   throttle.Log
}

//go:embed otelcol.receiver.prometheus.md
var page string

// Definition defines otelcol.receiver.prometheus.
func Definition() component.Definition {
	return component.Define("otelcol.receiver.prometheus", New, component.Doc{Page: page, Exports: []component.Export{{Name: "receiver", Type: "MetricsReceiver"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Receiver, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	r := &Receiver{log: o.Logger, starts: newStarts(debug.SetMemoryLimit(-1))}
	r.metrics = newMetrics(o.Metrics, func() float64 { return float64(r.starts.size()) })
	if sinks := c.Output.Metrics; len(sinks) > 0 {
		r.out = flow.NewFanout(pipeline.SignalMetrics, sinks, r.metrics.lost, o.Logger)
	}
	return r, nil
}

// Exports is the sink for samples.
func (r *Receiver) Exports() map[string]any {
	return map[string]any{"receiver": pipeline.MetricsSink(r)}
}

// forgetEvery is after which time series that get no samples are forgotten.
const forgetEvery = 5 * time.Minute

// Run forgets series that get no samples any more, until ctx ends.
func (r *Receiver) Run(ctx context.Context) error {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			r.starts.forget()
		}
	}
}

// WriteMetrics forwards samples as one request. nil means that the outputs have it,
// but for what is counted as dropped.
func (r *Receiver) WriteMetrics(ctx context.Context, m pipeline.Metrics) error {
	items := m.Items()
	if items == 0 {
		return nil
	}
	if r.out == nil {
		r.metrics.lost.WithLabelValues(string(pipeline.SignalMetrics), "no_output").Add(float64(items))
		return nil
	}
	b := newBatch(m)
	md := b.metrics()
	if md.DataPointCount() > 0 {
		r.starts.set(md)
		if err := r.out.WriteOTLP(ctx, pipeline.OTLP{}.With(pipeline.SignalMetrics, pipeline.Decoded{Metrics: md})); err != nil {
			return err
		}
	}
	dropped := 0
	for reason, n := range b.dropped {
		r.metrics.dropped.WithLabelValues(reason).Add(float64(n))
		dropped += n
	}
	r.metrics.samples.Add(float64(items))
	if dropped > 0 {
		r.quiet.Warn(r.log, "", "samples dropped: no data point can be made of them", "samples", dropped, "reasons", b.dropped)
	}
	return nil
}

// metrics are this program's own.
type metrics struct {
	samples prometheus.Counter
	dropped *prometheus.CounterVec // by reason
	lost    *prometheus.CounterVec // by signal and reason
}

func newMetrics(reg prometheus.Registerer, series func() float64) *metrics {
	m := &metrics{
		samples: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "otelcol_receiver_prometheus_samples_total", Help: "Samples of batches that were accepted, also those that were dropped.",
		}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otelcol_receiver_prometheus_dropped_samples_total", Help: "Samples of which no data point could be made, by reason.",
		}, []string{"reason"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otelcol_receiver_lost_items_total",
			Help: "Items that one of several destinations accepted and another did not, or that have no output.",
		}, []string{"signal", "reason"}),
	}
	reg.MustRegister(m.samples, m.dropped, m.lost, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "otelcol_receiver_prometheus_series", Help: "Series whose start time is remembered.",
	}, series))
	return m
}
