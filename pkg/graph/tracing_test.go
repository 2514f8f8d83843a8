package graph

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"collector/pkg/component"
	"collector/pkg/spans"
)

// toyTracing is a block tracing that begins when the test says so.
func toyTracing(t *toys) component.Definition {
	return component.DefineBlock(tracingBlock, t.newFragile, component.Doc{})
}

func TestLoadsAreSpans(t *testing.T) {
	toys, provider, recorder := newToys(), &spans.Provider{}, tracetest.NewSpanRecorder()
	c := New(Options{Kinds: toyKinds(), Definitions: append(toys.definitions(), toyTracing(toys)), Spans: provider})
	defer c.Stop(0)
	load := func(text string) { _ = c.Load(context.Background(), source(text)) } // an error is in its span
	taken := func() (names []string) {
		roots := map[trace.SpanID]string{}
		for _, s := range recorder.Ended() {
			roots[s.SpanContext().SpanID()] = s.Name()
		}
		for _, s := range recorder.Ended() {
			name := fmt.Sprint(roots[s.Parent().SpanID()], "/", s.Name(), " ", s.Status().Code)
			for _, a := range s.Attributes() {
				name += " " + string(a.Key) + "=" + a.Value.String()
			}
			names = append(names, name)
			if s.EndTime().Before(s.StartTime()) || s.StartTime().IsZero() {
				t.Errorf("%s: %s to %s", s.Name(), s.StartTime(), s.EndTime())
			}
		}
		recorder.Reset()
		return names
	}
	want := func(names ...string) {
		t.Helper()
		if diff := cmp.Diff(names, taken()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	const logs = "toy.logs \"w\" { }\n"
	load(logs)
	if c.graph().evaluations != nil {
		t.Error("evaluations are kept without a block tracing")
	}
	load(logs + "toy.value \"v\" { }\ntracing { }\n")
	provider.Use(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)))
	want("GraphEvaluate/EvaluateNode Ok node_id=toy.value.v", "GraphEvaluate/EvaluateNode Ok node_id=tracing", "/GraphEvaluate Ok")
	load(logs + "toy.value \"v\" { value = 1 }\ntracing { }\n")
	want("GraphEvaluate/EvaluateNode Ok node_id=toy.value.v", "/GraphEvaluate Ok")
	load(logs + "toy.value \"v\" { nothing = 1 }\ntracing { }\n")
	want("GraphEvaluate/EvaluateNode Error node_id=toy.value.v", "/GraphEvaluate Error")
}

func TestCarriersAreTheComponentsThatOwnSpansReach(t *testing.T) {
	named := func(id, kind string) *node { return &node{id: id, def: component.Definition{Name: kind}} }
	g := newGraph()
	for _, n := range []*node{
		named("tracing", "tracing"), named("otelcol.processor.batch.a", "otelcol.processor.batch"), named("otelcol.exporter.otlp.a", "otelcol.exporter.otlp"),
		named("otelcol.connector.spanlogs.a", "otelcol.connector.spanlogs"), named("otelcol.exporter.loki.a", "otelcol.exporter.loki"), named("loki.write.a", "loki.write"),
	} {
		g.byID[n.id] = n
	}
	g.flows = map[string][]string{
		"tracing":                      {"otelcol.processor.batch.a"},
		"otelcol.processor.batch.a":    {"otelcol.exporter.otlp.a", "otelcol.connector.spanlogs.a"},
		"otelcol.connector.spanlogs.a": {"otelcol.exporter.loki.a", "otelcol.processor.batch.a"},
		"otelcol.exporter.loki.a":      {"loki.write.a"},
		"loki.source.docker.a":         {"loki.write.b"},
	}
	want := map[spans.Carrier]bool{}
	for _, c := range []spans.Carrier{
		{Component: "otelcol.processor.batch.a", Signal: "traces"}, {Component: "otelcol.exporter.otlp.a", Signal: "traces"}, {Component: "otelcol.connector.spanlogs.a", Signal: "traces"},
		{Component: "otelcol.exporter.loki.a"}, {Component: "loki.write.a"}, {Component: "otelcol.processor.batch.a"},
		{Component: "otelcol.exporter.otlp.a"}, {Component: "otelcol.connector.spanlogs.a"},
	} {
		want[c] = true
	}
	if diff := cmp.Diff(want, g.carriers()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
