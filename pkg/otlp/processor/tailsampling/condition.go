package tailsampling

import (
	"context"
	"errors"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspanevent"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/ottlfuncs"
	otelcomponent "go.opentelemetry.io/collector/component"

	"collector/pkg/component"
	conditions "collector/pkg/otlp/processor/ottl"
)

// evaluator samples traces that have a span, or an event of one, of which a condition is
// true.
func (c Condition) evaluator(set otelcomponent.TelemetrySettings) (evaluator, error) {
	if len(c.Span) == 0 && len(c.SpanEvent) == 0 {
		return nil, component.At("ottl_condition", errors.New("it has no conditions: write span or spanevent"))
	}
	ofSpan, err := c.ofSpan(set)
	ofEvent, eventErr := c.ofEvent(set)
	if err := errors.Join(component.At("ottl_condition/span", err), component.At("ottl_condition/spanevent", eventErr)); err != nil {
		return nil, err
	}
	return func(ctx context.Context, t *whole) (verdict, error) {
		for _, rs := range t.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					ok, err := ofSpan.Eval(ctx, ottlspan.NewTransformContext(span, ss.Scope(), rs.Resource(), ss, rs))
					if err != nil || ok {
						return when(ok), err
					}
					for _, event := range span.Events().All() {
						ok, err := ofEvent.Eval(ctx, ottlspanevent.NewTransformContext(event, span, ss.Scope(), rs.Resource(), ss, rs))
						if err != nil || ok {
							return when(ok), err
						}
					}
				}
			}
		}
		return notSampled, nil
	}, nil
}

// ofSpan is what is asked of spans; of no conditions, none is true.
func (c Condition) ofSpan(set otelcomponent.TelemetrySettings) (s ottl.ConditionSequence[ottlspan.TransformContext], err error) {
	functions := ottlfuncs.StandardConverters[ottlspan.TransformContext]()
	root := ottlfuncs.NewIsRootSpanFactory()
	functions[root.Name()] = root
	parser, err := ottlspan.NewParser(functions, set)
	if err != nil {
		return s, err
	}
	parsed, err := parser.ParseConditions(c.Span)
	if err != nil {
		return s, conditions.Short(err)
	}
	return ottlspan.NewConditionSequence(parsed, set, ottlspan.WithConditionSequenceErrorMode(ottl.ErrorMode(c.ErrorMode))), nil
}

// ofEvent is what is asked of events of spans.
func (c Condition) ofEvent(set otelcomponent.TelemetrySettings) (s ottl.ConditionSequence[ottlspanevent.TransformContext], err error) {
	parser, err := ottlspanevent.NewParser(ottlfuncs.StandardConverters[ottlspanevent.TransformContext](), set)
	if err != nil {
		return s, err
	}
	parsed, err := parser.ParseConditions(c.SpanEvent)
	if err != nil {
		return s, conditions.Short(err)
	}
	return ottlspanevent.NewConditionSequence(parsed, set, ottlspanevent.WithConditionSequenceErrorMode(ottl.ErrorMode(c.ErrorMode))), nil
}
