package bridge

import (
	"context"
	"errors"
	"sync"
	"time"

	otelcomponent "go.opentelemetry.io/collector/component"
	otelconnector "go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// Connector is a component that makes metrics of spans by a connector of the Collector.
//
// A request is acknowledged once it is added to the connector's sums, which are in
// memory. What the connector forwards when it is time waits for the outputs.
type Connector struct {
	create  Create
	otel    otelconnector.Settings
	emitter *flow.Emitter
	life    life
}

// Create makes a connector. flush makes it forward all that it has gathered; it is called
// before a connector that was started is shut down, once it is given nothing more.
type Create func(set otelconnector.Settings, next consumer.Metrics) (made otelconnector.Traces, flush func(context.Context), err error)

// NewConnector makes a component of what create makes, and starts nothing.
func NewConnector(kind otelcomponent.Type, create Create, output flow.Output, o component.Options) (*Connector, error) {
	o = o.WithDefaults()
	telemetry, err := telemetryOf(o)
	if err != nil {
		return nil, err
	}
	c := &Connector{
		create: create, emitter: flow.NewEmitter("connector", pipeline.SignalMetrics, output, o),
		otel: otelconnector.Settings{ID: otelcomponent.NewIDWithName(kind, o.ID), TelemetrySettings: telemetry, BuildInfo: buildInfo()},
	}
	return c, c.life.prepare(o.Logger, c.make)
}

// make makes the connector.
func (c *Connector) make() (*instance, error) {
	made, err := newConnecting(c)
	if err != nil {
		return nil, err
	}
	in := newInstance()
	in.signals[pipeline.SignalTraces] = signal{
		made, changes(made.Traces), func(ctx context.Context, d pipeline.Decoded) error { return made.ConsumeTraces(ctx, d.Traces) },
	}
	return in, nil
}

// Exports is the sink for spans.
func (c *Connector) Exports() map[string]any { return map[string]any{"input": pipeline.OTLPSink(c)} }

// ReadsOTLP reports whether requests of the signal are decoded.
func (c *Connector) ReadsOTLP(s pipeline.Signal) bool {
	return s == pipeline.SignalTraces && c.emitter.HasOutput()
}

// Run runs the connector until ctx ends, and forwards at its end what it has gathered.
func (c *Connector) Run(ctx context.Context) error { return c.life.run(ctx) }

// Close stops what NewConnector has prepared, if Run is never called.
func (c *Connector) Close() { c.life.close() }

// WriteOTLP adds spans to the sums.
func (c *Connector) WriteOTLP(ctx context.Context, request pipeline.OTLP) error {
	if !c.emitter.Accepts(request, pipeline.SignalTraces) {
		return nil
	}
	in, err := c.life.enter(ctx)
	if err != nil {
		return err
	}
	defer in.under.Done()
	to := in.signals[pipeline.SignalTraces]
	get := request.Read
	if to.changes {
		get = request.Own
	}
	given, err := get()
	if err != nil {
		return err
	}
	return c.life.consume(withClient(context.WithValue(ctx, withinKey{}, true)), in, to, given)
}

// withinKey marks what a connector forwards within a call that gives it spans.
type withinKey struct{}

// connecting is a connector and what comes after it.
type connecting struct {
	otelconnector.Traces
	flush   func(context.Context)
	emitter *flow.Emitter

	started bool
	busy    bool // it may still be working on requests: nothing can be read from it
	end     sync.Once
	lasting context.Context // ends when nobody waits for the outputs any longer
	giveUp  context.CancelFunc
}

func newConnecting(c *Connector) (*connecting, error) {
	n := &connecting{emitter: c.emitter}
	n.lasting, n.giveUp = context.WithCancel(context.Background())
	var err error
	n.Traces, n.flush, err = c.create(c.otel, behind{n})
	if err != nil {
		n.giveUp()
		return nil, err
	}
	return n, nil
}

// Start starts the connector.
func (n *connecting) Start(ctx context.Context, host otelcomponent.Host) error {
	n.started = true
	return n.Traces.Start(ctx, host)
}

func (n *connecting) hurry() { n.busy = true }

// Shutdown makes the connector forward what it has gathered, and stops it. A connector
// that is still given spans is not asked for its sums.
func (n *connecting) Shutdown(ctx context.Context) (err error) {
	n.end.Do(func() {
		defer n.giveUp()
		stop := context.AfterFunc(ctx, n.giveUp)
		defer stop()
		switch {
		case n.busy:
			err = errors.New("requests are still in progress: what was gathered since the last flush is lost")
		case n.started:
			n.flush(ctx)
		}
		err = errors.Join(err, n.Traces.Shutdown(ctx))
	})
	return err
}

// behind is what comes after a connector: the component's outputs.
type behind struct{ n *connecting }

func (behind) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

// ConsumeMetrics forwards metrics. It returns when the outputs have them, or when the
// component has ended. Within a request it does not wait: the sums that it forwards
// then are in what it forwards with the next one, and at the end.
func (b behind) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	made := pipeline.OTLP{}.With(pipeline.SignalMetrics, pipeline.Decoded{Metrics: md})
	var err error
	if ctx.Value(withinKey{}) != nil {
		err = b.n.emitter.Write(ctx, made)
	} else {
		err = b.n.emitter.Emit(b.n.lasting, made)
	}
	if pipeline.IsPermanent(err) {
		return consumererror.NewPermanent(err)
	}
	return err
}

// LatencyBuckets are the default buckets of durations of spans.
func LatencyBuckets() []time.Duration {
	var out []time.Duration
	for _, ms := range []int{2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10000, 15000} {
		out = append(out, time.Duration(ms)*time.Millisecond)
	}
	return out
}
