// Package bridge runs processors of the OpenTelemetry Collector as components.
//
// A processor is made by its own factory, from settings as its own configuration
// file would have them. It is given decoded requests, of which package pipeline
// has each decoded once for all processors in a row, and what it forwards goes to
// the component's outputs before its call returns: nil means that they have it.
// Errors keep their meaning in both directions: permanent ones are about the data,
// all others are worth sending again.
package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	otelcomponent "go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	otelprocessor "go.opentelemetry.io/collector/processor"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

// Settings are what a processor's own configuration file says.
type Settings map[string]any

// Processor is a component that runs a processor of the Collector.
type Processor struct {
	factory  otelprocessor.Factory
	settings Settings
	otel     otelprocessor.Settings
	outputs  map[pipeline.Signal]*flow.Fanout
	logger   *slog.Logger
	lost     *prometheus.CounterVec
	dropped  map[pipeline.Signal]prometheus.Counter // nil: it forwards all that it is given
	held     *held                                  // nil: it remembers nothing
	losses   throttle.Log
	life     life
}

// New makes a component of what factory makes with the settings, and starts nothing. A
// signal that the factory has no processor for is treated as one without an output.
func New(factory otelprocessor.Factory, settings Settings, output flow.Output, o component.Options) (*Processor, error) {
	o = o.WithDefaults()
	p := &Processor{
		factory: factory, settings: settings, logger: o.Logger, outputs: map[pipeline.Signal]*flow.Fanout{},
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otelcol_processor_lost_items_total",
			Help: "Items that one of several destinations accepted and another did not, that an output rejected when they had waited for it, or that have no output.",
		}, []string{"signal", "reason"}),
	}
	o.Metrics.MustRegister(p.lost)
	for _, s := range flow.Signals() {
		sinks := output.Sinks(s)
		switch {
		case len(sinks) == 0:
		case supports(factory, s):
			p.outputs[s] = flow.NewFanout(s, sinks, p.lost, o.Logger)
		default:
			o.Warn("output/"+string(s), fmt.Sprintf("the component does not process %s: what it receives of them is dropped and counted", s))
		}
	}
	telemetry, err := telemetryOf(o)
	if err != nil {
		return nil, err
	}
	p.otel = otelprocessor.Settings{
		ID:                otelcomponent.NewIDWithName(factory.Type(), o.ID),
		TelemetrySettings: telemetry,
		BuildInfo:         buildInfo(),
	}
	return p, p.life.prepare(o.Logger, p.make)
}

// Traits are what a component has to know about its processor.
type Traits struct {
	// Drops is the reason for which it drops some of its input on purpose. Each item that
	// it does not forward is counted with it. "": it forwards all.
	Drops string
	// Remembers means that it compares what it is given with what it was given before.
	Remembers bool
}

// NewWith is New for a processor that forwards not just what it makes of a request.
func NewWith(traits Traits, factory otelprocessor.Factory, settings Settings, output flow.Output, o component.Options) (*Processor, error) {
	o = o.WithDefaults()
	p, err := New(factory, settings, output, o)
	if err != nil {
		return nil, err
	}
	if traits.Remembers {
		p.held = &held{}
	}
	if traits.Drops != "" {
		dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otelcol_processor_dropped_items_total", Help: "Items that were received and, as configured, not forwarded, by reason.",
		}, []string{"signal", "reason"})
		o.Metrics.MustRegister(dropped)
		p.dropped = map[pipeline.Signal]prometheus.Counter{}
		for s := range p.outputs {
			p.dropped[s] = dropped.WithLabelValues(string(s), traits.Drops)
		}
	}
	return p, nil
}

// supports reports whether factory makes processors of a signal.
func supports(f otelprocessor.Factory, s pipeline.Signal) bool {
	level := f.LogsStability()
	switch s {
	case pipeline.SignalTraces:
		level = f.TracesStability()
	case pipeline.SignalMetrics:
		level = f.MetricsStability()
	}
	return level != otelcomponent.StabilityLevelUndefined
}

// Exports is the sink for all signals.
func (p *Processor) Exports() map[string]any { return map[string]any{"input": pipeline.OTLPSink(p)} }

// ReadsOTLP reports whether requests of the signal are decoded.
func (p *Processor) ReadsOTLP(s pipeline.Signal) bool { return p.outputs[s] != nil }

// Run runs the processor until ctx ends.
func (p *Processor) Run(ctx context.Context) error {
	return errors.Join(p.life.run(ctx), p.writeHeld(context.WithoutCancel(ctx)))
}

// Close stops what New has prepared, if Run is never called.
func (p *Processor) Close() { p.life.close() }

// writeHeld writes what is waiting at the end. What is not accepted is lost, and counted.
func (p *Processor) writeHeld(ctx context.Context) error {
	if p.held == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	var errs []error
	for _, w := range p.held.take() {
		made := w.made
		err := pipeline.Offer(w.client.In(ctx), pipeline.OTLPSink(p.outputs[made.Signal]), func(ctx context.Context, to pipeline.OTLPSink) error { return to.WriteOTLP(ctx, made) })
		if err != nil {
			reason := "stopped"
			if pipeline.IsPermanent(err) {
				reason = "rejected"
			}
			p.lost.WithLabelValues(string(made.Signal), reason).Add(float64(made.Items))
			errs = append(errs, fmt.Errorf("forward %d items that were waiting: %w", made.Items, err))
		}
	}
	return errors.Join(errs...)
}

// make makes the processors.
func (p *Processor) make() (*instance, error) {
	config, err := p.settings.Config(p.factory)
	if err != nil {
		return nil, err
	}
	in := newInstance()
	ctx := context.Background()
	for s := range p.outputs {
		next := next{p, s}
		var made signal
		switch s {
		case pipeline.SignalTraces:
			c, err := p.factory.CreateTraces(ctx, p.otel, config, next)
			if err != nil {
				return nil, err
			}
			made = signal{c, changes(c), func(ctx context.Context, d pipeline.Decoded) error { return c.ConsumeTraces(ctx, d.Traces) }}
		case pipeline.SignalMetrics:
			c, err := p.factory.CreateMetrics(ctx, p.otel, config, next)
			if err != nil {
				return nil, err
			}
			made = signal{c, changes(c), func(ctx context.Context, d pipeline.Decoded) error { return c.ConsumeMetrics(ctx, d.Metrics) }}
		case pipeline.SignalLogs:
			c, err := p.factory.CreateLogs(ctx, p.otel, config, next)
			if err != nil {
				return nil, err
			}
			made = signal{c, changes(c), func(ctx context.Context, d pipeline.Decoded) error { return c.ConsumeLogs(ctx, d.Logs) }}
		}
		in.signals[s] = made
	}
	return in, nil
}

func changes(c interface{ Capabilities() consumer.Capabilities }) bool {
	return c.Capabilities().MutatesData
}

// WriteOTLP processes and forwards a request. A signal that has no output is dropped and
// counted.
func (p *Processor) WriteOTLP(ctx context.Context, request pipeline.OTLP) error {
	if p.outputs[request.Signal] == nil {
		p.lost.WithLabelValues(string(request.Signal), "no_output").Add(float64(request.Items))
		return nil
	}
	in, err := p.life.enter(ctx)
	if err != nil {
		return err
	}
	defer in.under.Done()
	if p.held == nil {
		_, err = p.process(ctx, in, request, 0)
		return err
	}
	id, err := identity(request)
	if err != nil {
		return err
	}
	done, err := p.held.write(ctx, id, func(ctx context.Context, made pipeline.OTLP) error {
		return p.outputs[made.Signal].WriteOTLP(ctx, made)
	}, p.rejected)
	if err != nil || done {
		return err
	}
	held, err := p.process(ctx, in, request, id)
	if held {
		p.held.note(id)
	}
	return err
}

// rejected counts and logs what was waiting, and an output has rejected.
func (p *Processor) rejected(made pipeline.OTLP, err error) {
	p.lost.WithLabelValues(string(made.Signal), "rejected").Add(float64(made.Items))
	p.losses.Log(p.logger, slog.LevelError, "", "an output rejected items that were waiting for it; they are lost", "signal", made.Signal, "items", made.Items, "err", err)
}

// process processes and forwards a request. It reports whether what was made of the
// request is held. id is the request's identity, if the processor remembers.
func (p *Processor) process(ctx context.Context, in *instance, request pipeline.OTLP, id uint64) (held bool, err error) {
	to := in.signals[request.Signal]
	get := request.Read
	if to.changes {
		get = request.Own
	}
	given, err := get()
	if err != nil {
		return false, err
	}
	c := &came{request: request, given: given, changes: to.changes, id: id}
	if err := p.life.consume(withClient(withRequest(ctx, c)), in, to, given); err != nil {
		return c.held.Load(), err
	}
	if gone := request.Items - int(c.forwarded.Load()); gone > 0 && p.dropped != nil {
		p.dropped[request.Signal].Add(float64(gone))
	}
	return false, nil
}
