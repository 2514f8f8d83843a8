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
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	otelcomponent "go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	otelprocessor "go.opentelemetry.io/collector/processor"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

// stopGrace is how long requests in progress, and then the processor's own end, may
// take when the component stops.
const stopGrace = 5 * time.Second

// Settings are what a processor's own configuration file says.
type Settings map[string]any

// Processor is a component that a processor of the Collector does the work of.
type Processor struct {
	factory  otelprocessor.Factory
	settings Settings
	otel     otelprocessor.Settings
	outputs  map[pipeline.Signal]*flow.Fanout
	logger   *slog.Logger
	lost     *prometheus.CounterVec
	dropped  map[pipeline.Signal]prometheus.Counter // nil: it forwards all that it is given
	held     *held                                  // nil: it remembers nothing
	panics   throttle.Log

	begun chan struct{} // closed when the component runs for the first time
	begin sync.Once

	mu       sync.RWMutex
	running  *instance // takes requests; nil: the component does not run; guarded by mu
	prepared *instance // for the next Run; guarded by mu
}

// instance is a processor for each signal that has an output. It can be started
// once.
type instance struct {
	signals map[pipeline.Signal]signal
	under   sync.WaitGroup // requests that it has been given; added to under Processor.mu
}

// signal is the processor of one signal.
type signal struct {
	otelcomponent.Component
	changes bool // what it is given
	consume func(context.Context, pipeline.Decoded) error
}

// New makes a component of what factory makes with the settings, and starts
// nothing. A signal that the factory has no processor for is as one without an
// output.
func New(factory otelprocessor.Factory, settings Settings, output flow.Output, o component.Options) (*Processor, error) {
	o = o.WithDefaults()
	p := &Processor{
		factory: factory, settings: settings, logger: o.Logger, outputs: map[pipeline.Signal]*flow.Fanout{}, begun: make(chan struct{}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otelcol_processor_lost_items_total",
			Help: "Items that one of several destinations accepted and another did not, or that have no output.",
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
		BuildInfo:         otelcomponent.BuildInfo{Command: "collector", Description: "collector", Version: "unknown"},
	}
	p.prepared, err = p.make()
	return p, err
}

// Traits are what a component has to know of its processor.
type Traits struct {
	// Drops is the reason for which it drops, on purpose, some of what it is given.
	// Each item that it does not forward is counted with it. "": it forwards all.
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
	in, err := p.take()
	if err != nil {
		return err
	}
	// What it forwards at its end is delivered, too.
	background := context.WithoutCancel(ctx)
	for s, processor := range in.signals {
		if err := processor.Start(background, host{}); err != nil {
			return errors.Join(fmt.Errorf("start the processor of %s: %w", s, err), in.shutdown(background))
		}
	}
	p.setRunning(in)
	p.begin.Do(func() { close(p.begun) })
	<-ctx.Done()
	p.setRunning(nil)
	in.wait()
	return errors.Join(in.shutdown(background), p.writeHeld(background))
}

// Close stops what New has prepared, if Run is never called.
func (p *Processor) Close() {
	p.mu.Lock()
	in := p.prepared
	p.prepared = nil
	p.mu.Unlock()
	if in != nil {
		_ = in.shutdown(context.Background()) // it has not been started
	}
}

// writeHeld writes what is waiting at the end. What is not taken is lost, and counted.
func (p *Processor) writeHeld(ctx context.Context) error {
	if p.held == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	var errs []error
	for _, made := range p.held.take() {
		err := pipeline.Offer(ctx, pipeline.OTLPSink(p.outputs[made.Signal]), func(ctx context.Context, to pipeline.OTLPSink) error { return to.WriteOTLP(ctx, made) })
		if err != nil {
			p.lost.WithLabelValues(string(made.Signal), "stopped").Add(float64(made.Items))
			errs = append(errs, fmt.Errorf("forward %d items that were waiting: %w", made.Items, err))
		}
	}
	return errors.Join(errs...)
}

// take returns an instance that has not been started.
func (p *Processor) take() (*instance, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in := p.prepared
	p.prepared = nil
	if in != nil {
		return in, nil
	}
	return p.make()
}

func (p *Processor) setRunning(in *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = in
}

// enter returns the running instance, for a call that ends by under.Done. It waits
// for the first Run.
func (p *Processor) enter(ctx context.Context) (*instance, error) {
	select {
	case <-p.begun:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.running == nil {
		return nil, pipeline.ErrClosed
	}
	p.running.under.Add(1)
	return p.running, nil
}

// wait waits for the requests in progress.
func (in *instance) wait() {
	ended := make(chan struct{})
	go func() {
		in.under.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(stopGrace):
	}
}

// shutdown ends the processors, also those that have not been started.
func (in *instance) shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	var errs []error
	for s, processor := range in.signals {
		if err := processor.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop the processor of %s: %w", s, err))
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
	in := &instance{signals: map[pipeline.Signal]signal{}}
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

// WriteOTLP has a request processed and forwarded. A signal that has no output is
// dropped and counted.
func (p *Processor) WriteOTLP(ctx context.Context, request pipeline.OTLP) error {
	if p.outputs[request.Signal] == nil {
		p.lost.WithLabelValues(string(request.Signal), "no_output").Add(float64(request.Items))
		return nil
	}
	in, err := p.enter(ctx)
	if err != nil {
		return err
	}
	defer in.under.Done()
	if p.held == nil {
		_, err = p.process(ctx, in, request)
		return err
	}
	id, err := identity(request)
	if err != nil {
		return err
	}
	done, err := p.held.write(ctx, id, func(ctx context.Context, made pipeline.OTLP) error {
		return p.outputs[made.Signal].WriteOTLP(ctx, made)
	})
	if err != nil || done {
		return err
	}
	held, err := p.process(ctx, in, request)
	if held {
		p.held.note(id)
	}
	return err
}

// process has a request processed and forwarded. It reports whether what was made of
// the request is held.
func (p *Processor) process(ctx context.Context, in *instance, request pipeline.OTLP) (held bool, err error) {
	to := in.signals[request.Signal]
	get := request.Read
	if to.changes {
		get = request.Own
	}
	given, err := get()
	if err != nil {
		return false, err
	}
	c := &came{request: request, given: given, changes: to.changes}
	if err := p.consume(withClient(withRequest(ctx, c)), to, given); err != nil {
		return c.held.Load(), err
	}
	if gone := request.Items - int(c.forwarded.Load()); gone > 0 && p.dropped != nil {
		p.dropped[request.Signal].Add(float64(gone))
	}
	return false, nil
}

// consume calls the processor. A panic is an error about the data: it costs what
// was given alone.
func (p *Processor) consume(ctx context.Context, to signal, given pipeline.Decoded) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			p.panics.Log(p.logger, slog.LevelError, "", "the processor panicked; the request is rejected", "err", cause, "stack", string(debug.Stack()))
			err = pipeline.Permanent(fmt.Errorf("process the request: the processor panicked: %v", cause))
		}
	}()
	err = to.consume(ctx, given)
	if consumererror.IsPermanent(err) && !pipeline.IsPermanent(err) {
		return pipeline.Permanent(err)
	}
	return err
}
