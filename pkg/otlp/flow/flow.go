// Package flow is what components of OTLP have in common: where each signal goes next,
// how a request goes to several outputs, and what is known of the client that sent it.
package flow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

// Signals lists the signals of OTLP.
func Signals() []pipeline.Signal {
	return []pipeline.Signal{pipeline.SignalTraces, pipeline.SignalMetrics, pipeline.SignalLogs}
}

// Output is where a component sends each signal. A signal without a sink is not
// connected.
type Output struct {
	Metrics []pipeline.OTLPSink `alloy:"metrics,attr,optional"`
	Logs    []pipeline.OTLPSink `alloy:"logs,attr,optional"`
	Traces  []pipeline.OTLPSink `alloy:"traces,attr,optional"`
}

// Sinks are the sinks of a signal.
func (o *Output) Sinks(s pipeline.Signal) []pipeline.OTLPSink {
	switch s {
	case pipeline.SignalTraces:
		return o.Traces
	case pipeline.SignalMetrics:
		return o.Metrics
	default:
		return o.Logs
	}
}

// DebugMetrics says how detailed a component's own metrics are.
type DebugMetrics struct {
	DisableHighCardinalityMetrics bool   `alloy:"disable_high_cardinality_metrics,attr,optional"`
	Level                         string `alloy:"level,attr,optional"`
}

// SetToDefault sets the defaults.
func (c *DebugMetrics) SetToDefault() {
	*c = DebugMetrics{DisableHighCardinalityMetrics: true, Level: "detailed"}
}

// Validate rejects unknown levels.
func (c *DebugMetrics) Validate() error {
	switch c.Level {
	case "none", "basic", "normal", "detailed":
		return nil
	}
	return component.At("level", fmt.Errorf("%q is not known: use none, basic, normal or detailed", c.Level))
}

// Warn reports what has no effect here.
func (c *DebugMetrics) Warn(o component.Options) {
	if !c.DisableHighCardinalityMetrics {
		o.Warn("debug_metrics/disable_high_cardinality_metrics", "per-peer metrics are never collected")
	}
	if c.Level != "detailed" {
		o.Warn("debug_metrics/level", "the component's metrics are always collected")
	}
}

// Fanout writes each request to several sinks.
type Fanout struct {
	sinks   []pipeline.OTLPSink
	readers int                    // of sinks
	lost    *prometheus.CounterVec // by signal and reason
	logger  *slog.Logger
	losses  throttle.Log
}

// NewFanout makes a Fanout of requests of one signal. lost counts, by signal and reason,
// the items that one of the sinks accepted and another did not.
func NewFanout(s pipeline.Signal, sinks []pipeline.OTLPSink, lost *prometheus.CounterVec, logger *slog.Logger) *Fanout {
	f := &Fanout{sinks: sinks, lost: lost, logger: logger}
	for _, sink := range sinks {
		if pipeline.ReadsOTLP(sink, s) {
			f.readers++
		}
	}
	return f
}

// Reads reports whether one of the sinks, or one behind it, decodes requests.
func (f *Fanout) Reads() bool { return f.readers > 0 }

// WriteOTLP writes request to every sink, see pipeline.WriteAll.
func (f *Fanout) WriteOTLP(ctx context.Context, request pipeline.OTLP) error {
	if f.readers > 1 || len(f.sinks) > 1 && request.IsDecoded() {
		request = request.Shared()
	}
	return pipeline.WriteAll(ctx, f.sinks,
		func(ctx context.Context, s pipeline.OTLPSink) error { return s.WriteOTLP(ctx, request) },
		func(err error) { f.lose(request, err) })
}

func (f *Fanout) lose(request pipeline.OTLP, err error) {
	reason := "sink"
	switch {
	case errors.Is(err, pipeline.ErrFull):
		reason = "queue_full"
	case pipeline.IsPermanent(err):
		reason = "rejected"
	}
	f.lost.WithLabelValues(string(request.Signal), reason).Add(float64(request.Items))
	f.losses.Log(f.logger, slog.LevelError, "", "one of several destinations did not accept a request that another accepted; it is lost for that one",
		"signal", request.Signal, "items", request.Items, "err", err)
}
