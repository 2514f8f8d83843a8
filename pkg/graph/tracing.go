package graph

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"collector/pkg/config"
	"collector/pkg/spans"
)

// tracingBlock is the block that turns on spans of what the collector does.
const tracingBlock = "tracing"

// evaluation is a block that was evaluated, for a span: its spans have Alloy's names.
type evaluation struct {
	id         string
	began, end time.Time
	err        error
}

// traces reports whether spans are wanted of what b builds.
func (b *builder) traces(doc *config.Document) bool {
	return b.options.Spans.Enabled() || slices.ContainsFunc(doc.Blocks, func(block *config.Block) bool { return block.Name == tracingBlock })
}

// evaluated records one evaluation of a component.
func (b *builder) evaluated(id string, began time.Time, ds config.Diagnostics) {
	end := time.Now()
	b.metrics.evaluated(id, end.Sub(began))
	if b.traced {
		b.new.evaluations = append(b.new.evaluations, evaluation{id, began, end, ds.Err()})
	}
}

// reportEvaluation makes spans of how next was built and put in force; err says why it
// was not. Those of the first load wait for the block tracing that it put in force.
func (c *Controller) reportEvaluation(name string, began time.Time, next *graph, err error, attributes ...attribute.KeyValue) {
	evaluations := next.evaluations
	next.evaluations = nil
	end := time.Now()
	if c.options.module != "" {
		attributes = append(attributes, attribute.String("alloy.controller_id", c.options.module))
	}
	waits := err == nil && next.byID[tracingBlock] != nil
	c.options.Spans.Report(waits, func(t trace.Tracer) {
		ctx, span := t.Start(context.Background(), name, trace.WithTimestamp(began), trace.WithAttributes(attributes...))
		for _, e := range evaluations {
			e.report(ctx, t)
		}
		finish(span, end, err)
	})
}

func (e evaluation) report(ctx context.Context, t trace.Tracer) {
	_, span := t.Start(ctx, "EvaluateNode", trace.WithTimestamp(e.began), trace.WithAttributes(attribute.String("node_id", e.id)))
	finish(span, e.end, e.err)
}

func finish(span trace.Span, end time.Time, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	} else {
		span.SetStatus(codes.Ok, "")
	}
	span.End(trace.WithTimestamp(end))
}

// reportDerived makes a span of a component's targets that were evaluated again.
func (n *node) reportDerived(took time.Duration, ds config.Diagnostics) {
	if !n.spans.Enabled() {
		return
	}
	end := time.Now()
	n.spans.Report(false, func(t trace.Tracer) {
		evaluation{n.id, end.Add(-took), end, ds.Err()}.report(context.Background(), t)
	})
}

// carriers are the components that the collector's own spans reach, with the signal that
// carries them: a connector turns them into other signals.
func (g *graph) carriers() map[spans.Carrier]bool {
	found := map[spans.Carrier]bool{}
	var reach func(id, signal string)
	reach = func(id, signal string) {
		at := spans.Carrier{Component: id, Signal: signal}
		if found[at] {
			return
		}
		found[at] = true
		if n := g.byID[id]; n != nil && strings.HasPrefix(n.def.Name, "otelcol.connector.") {
			signal = ""
		}
		for _, to := range g.flows[id] {
			reach(to, signal)
		}
	}
	if n := g.byID[tracingBlock]; n != nil {
		for _, to := range g.flows[n.id] {
			reach(to, "traces")
		}
	}
	return found
}
