package bridge

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	otelcomponent "go.opentelemetry.io/collector/component"
	otelconnector "go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// summing is a connector for tests: it counts spans.
type summing struct {
	otelcomponent.StartFunc
	otelcomponent.ShutdownFunc
	next   consumer.Metrics
	within bool // forwards at once
	spans  int
	hang   chan struct{} // if there is one, each call waits for it
	lock   chan struct{} // if there is one, each call holds it, also after a panic
}

func (*summing) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (c *summing) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	if c.lock != nil {
		c.lock <- struct{}{}
	}
	if td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name() == "panic" {
		panic("of the test")
	}
	if c.hang != nil {
		<-c.hang
	}
	c.spans += td.SpanCount()
	if c.lock != nil {
		<-c.lock
	}
	if c.within {
		_ = c.next.ConsumeMetrics(ctx, c.metrics())
	}
	return nil
}

func (c *summing) metrics() pmetric.Metrics {
	md := pmetric.NewMetrics()
	md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(int64(c.spans))
	return md
}

// connector makes a component of such a connector. It adds to calls what it is called for.
func connector(t *testing.T, to pipeline.OTLPSink, within bool, calls *[]string, metrics prometheus.Registerer) *Connector {
	t.Helper()
	note := func(s string) {
		if calls != nil {
			*calls = append(*calls, s)
		}
	}
	create := func(_ otelconnector.Settings, next consumer.Metrics) (otelconnector.Traces, func(context.Context), error) {
		c := &summing{
			next: next, within: within,
			StartFunc:    func(context.Context, otelcomponent.Host) error { note("start"); return nil },
			ShutdownFunc: func(context.Context) error { note("stop"); return nil },
		}
		return c, func(ctx context.Context) { note("flush"); _ = next.ConsumeMetrics(ctx, c.metrics()) }, nil
	}
	c, err := NewConnector(otelcomponent.MustNewType("toy"), create, flow.Output{Metrics: []pipeline.OTLPSink{to}}, component.Options{ID: "otelcol.connector.toy.x", Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// runConnector runs c until stop is called.
func runConnector(t *testing.T, c *Connector) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func offer(t *testing.T, c *Connector, names ...string) error {
	t.Helper()
	return pipeline.Offer(t.Context(), pipeline.OTLPSink(c), func(ctx context.Context, s pipeline.OTLPSink) error { return s.WriteOTLP(ctx, spans(t, names...)) })
}

func (e *end) sums(t *testing.T) (out []int64) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, data := range e.got {
		md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(data)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().At(0).IntValue())
	}
	return out
}

func TestAConnectorRunsAgain(t *testing.T) {
	var to end
	var calls []string
	c := connector(t, &to, false, &calls, nil)
	for range 2 {
		stop := runConnector(t, c)
		if err := errors.Join(offer(t, c, "a", "b"), offer(t, c, "c")); err != nil {
			t.Fatal(err)
		}
		bad := spans(t, "x")
		bad.Data = bad.Data[:3]
		if err := c.WriteOTLP(t.Context(), bad); !pipeline.IsPermanent(err) {
			t.Errorf("what cannot be decoded: %v", err)
		}
		stop()
	}
	if got := to.sums(t); !slices.Equal(got, []int64{3, 3}) {
		t.Errorf("got %v", got)
	}
	if !slices.Equal(calls, []string{"start", "flush", "stop", "start", "flush", "stop"}) {
		t.Errorf("calls: %v", calls)
	}
}

// A library that panics may hold a lock, which everything later would wait for.
func TestAPanicCostsOneRequestThoughALockIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var to end
		var first *summing
		create := func(_ otelconnector.Settings, next consumer.Metrics) (otelconnector.Traces, func(context.Context), error) {
			c := &summing{next: next, lock: make(chan struct{}, 1)}
			if first == nil {
				first = c
			}
			return c, func(ctx context.Context) {
				c.lock <- struct{}{}
				_ = next.ConsumeMetrics(ctx, c.metrics())
				<-c.lock
			}, nil
		}
		c, err := NewConnector(otelcomponent.MustNewType("toy"), create, flow.Output{Metrics: []pipeline.OTLPSink{&to}}, component.Options{ID: "otelcol.connector.toy.x"})
		if err != nil {
			t.Fatal(err)
		}
		stop := runConnector(t, c)
		if err := offer(t, c, "a"); err != nil {
			t.Fatal(err)
		}
		if err := c.WriteOTLP(t.Context(), spans(t, "panic")); !pipeline.IsPermanent(err) {
			t.Errorf("got %v", err)
		}
		if err := c.WriteOTLP(t.Context(), spans(t, "b", "c")); err != nil {
			t.Error(err)
		}
		stop()
		if got := to.sums(t); !slices.Equal(got, []int64{2}) {
			t.Errorf("got %v", got)
		}
		<-first.lock // its flush still waits for it
	})
}

func TestAConnectorThatNeverRanForwardsNothing(t *testing.T) {
	var to end
	var calls []string
	c := connector(t, &to, false, &calls, nil)
	if !c.ReadsOTLP(pipeline.SignalTraces) || c.ReadsOTLP(pipeline.SignalLogs) {
		t.Error("it does not say which signals are decoded")
	}
	c.Close()
	if len(to.got) > 0 || !slices.Equal(calls, []string{"stop"}) {
		t.Errorf("%d requests; calls: %v", len(to.got), calls)
	}
}

// A request does not wait for what is forwarded within it: its spans are counted.
func TestARequestDoesNotWaitForTheOutputs(t *testing.T) {
	to := end{err: pipeline.ErrFull}
	metrics := prometheus.NewRegistry()
	c := connector(t, &to, true, nil, metrics)
	stop := runConnector(t, c)
	if err := offer(t, c, "a", "b"); err != nil {
		t.Fatal(err)
	}
	to.mu.Lock()
	to.err, to.got = nil, nil
	to.mu.Unlock()
	stop()
	if got := to.sums(t); !slices.Equal(got, []int64{2}) || value(t, metrics, "otelcol_connector_lost_items_total") != 0 {
		t.Errorf("got %v", got)
	}
}

// Some connectors read without a lock what flush changes.
func TestAConnectorThatIsStillGivenSpansIsNotFlushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var to end
		hang := make(chan struct{})
		create := func(_ otelconnector.Settings, next consumer.Metrics) (otelconnector.Traces, func(context.Context), error) {
			c := &summing{next: next, hang: hang}
			return c, func(ctx context.Context) { _ = next.ConsumeMetrics(ctx, c.metrics()) }, nil
		}
		c, err := NewConnector(otelcomponent.MustNewType("toy"), create, flow.Output{Metrics: []pipeline.OTLPSink{&to}}, component.Options{ID: "otelcol.connector.toy.x"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended, given := make(chan error, 1), make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		go func() { given <- c.WriteOTLP(t.Context(), spans(t, "a")) }()
		synctest.Wait()
		cancel()
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "still in progress") {
			t.Errorf("got %v", err)
		}
		close(hang)
		if err := <-given; err != nil || len(to.got) > 0 {
			t.Errorf("%v, %d requests", err, len(to.got))
		}
	})
}
