package flow

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

// emitInterval is how long an Emitter waits before it offers a request again.
const emitInterval = time.Second

// Emitter is where a component sends what it makes of received signals, at its own time.
// No sender is waiting that could retry, so the Emitter itself retries.
type Emitter struct {
	signal  pipeline.Signal
	out     *Fanout // nil: there is no output
	lost    *prometheus.CounterVec
	logger  *slog.Logger
	refused throttle.Log
}

// NewEmitter makes the emitter of the signal that a component sends, with its metric.
// role is "connector" or "processor".
func NewEmitter(role string, s pipeline.Signal, output Output, o component.Options) *Emitter {
	e := &Emitter{
		signal: s, logger: o.Logger,
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otelcol_" + role + "_lost_items_total",
			Help: "Items that an output did not accept, or that were received for no output.",
		}, []string{"signal", "reason"}),
	}
	o.Metrics.MustRegister(e.lost)
	if sinks := output.Sinks(s); len(sinks) > 0 {
		e.out = NewFanout(s, sinks, e.lost, o.Logger)
	}
	return e
}

// Accepts reports whether there is an output and the component processes requests of
// the signal. If not, the request is counted.
func (e *Emitter) Accepts(request pipeline.OTLP, s pipeline.Signal) bool {
	switch {
	case request.Signal != s:
		e.Lose(request, "wrong_signal")
	case e.out == nil:
		e.Lose(request, "no_output")
	default:
		return true
	}
	return false
}

// HasOutput reports whether there is an output.
func (e *Emitter) HasOutput() bool { return e.out != nil }

// Lose counts a request as lost.
func (e *Emitter) Lose(request pipeline.OTLP, reason string) {
	e.lost.WithLabelValues(string(request.Signal), reason).Add(float64(request.Items))
}

// Write forwards a request once. Its sender has it until then.
func (e *Emitter) Write(ctx context.Context, request pipeline.OTLP) error {
	if request.Items == 0 {
		return nil
	}
	return e.out.WriteOTLP(ctx, request)
}

// Emit is Offer for data that exists nowhere else: what the outputs have not accepted
// when ctx ends is counted as lost.
func (e *Emitter) Emit(ctx context.Context, request pipeline.OTLP) error {
	err := e.Offer(ctx, request)
	if err != nil && !pipeline.IsPermanent(err) {
		e.Lose(request, "stopped")
	}
	return err
}

// Offer forwards what was made until the outputs have it, or ctx ends. What they reject
// is counted.
func (e *Emitter) Offer(ctx context.Context, request pipeline.OTLP) error {
	if request.Items == 0 || e.out == nil {
		return nil
	}
	request = request.Shared()
	for {
		err := e.out.WriteOTLP(ctx, request)
		switch {
		case err == nil:
			return nil
		case pipeline.IsPermanent(err):
			e.Lose(request, "rejected")
			return err
		case ctx.Err() != nil:
			return errors.Join(context.Cause(ctx), err)
		}
		e.refused.Warn(e.logger, "", "outputs accept nothing; what was made is waiting", "signal", e.signal, "items", request.Items, "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(emitInterval):
		}
	}
}

// WarnOther reports outputs of signals that a component does not send, which Alloy
// accepts.
func (o *Output) WarnOther(s pipeline.Signal, to component.Options) {
	for _, other := range Signals() {
		if other != s && len(o.Sinks(other)) > 0 {
			to.Warn("output/"+string(other), "the component sends only "+string(s))
		}
	}
}

// Only rejects outputs of signals that a component does not send.
func (o *Output) Only(s pipeline.Signal) error {
	var errs []error
	for _, other := range Signals() {
		if other != s && len(o.Sinks(other)) > 0 {
			errs = append(errs, component.At("output/"+string(other), errors.New("the component sends only "+string(s))))
		}
	}
	return errors.Join(errs...)
}
