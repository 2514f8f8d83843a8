package tracing

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"collector/pkg/mask"
)

// encode is a batch as OTLP has it. All spans have one resource.
func encode(batch []sdktrace.ReadOnlySpan) ptrace.Traces {
	traces := ptrace.NewTraces()
	of := traces.ResourceSpans().AppendEmpty()
	if about := batch[0].Resource(); about != nil {
		of.SetSchemaUrl(about.SchemaURL())
		setAll(of.Resource().Attributes(), about.Attributes())
	}
	scopes := map[instrumentation.Scope]ptrace.ScopeSpans{}
	for _, s := range batch {
		scope := s.InstrumentationScope()
		to, known := scopes[scope]
		if !known {
			to = of.ScopeSpans().AppendEmpty()
			to.SetSchemaUrl(scope.SchemaURL)
			to.Scope().SetName(scope.Name)
			to.Scope().SetVersion(scope.Version)
			setAll(to.Scope().Attributes(), scope.Attributes.ToSlice())
			scopes[scope] = to
		}
		encodeSpan(to.Spans().AppendEmpty(), s)
	}
	return traces
}

func encodeSpan(to ptrace.Span, s sdktrace.ReadOnlySpan) {
	to.SetName(s.Name())
	to.SetKind(ptrace.SpanKind(s.SpanKind())) // both have OTLP's numbers
	to.SetTraceID(pcommon.TraceID(s.SpanContext().TraceID()))
	to.SetSpanID(pcommon.SpanID(s.SpanContext().SpanID()))
	to.SetParentSpanID(pcommon.SpanID(s.Parent().SpanID()))
	to.SetFlags(uint32(s.SpanContext().TraceFlags()))
	to.TraceState().FromRaw(s.SpanContext().TraceState().String())
	to.SetStartTimestamp(pcommon.NewTimestampFromTime(s.StartTime()))
	to.SetEndTimestamp(pcommon.NewTimestampFromTime(s.EndTime()))
	setAll(to.Attributes(), s.Attributes())
	to.SetDroppedAttributesCount(uint32(s.DroppedAttributes()))
	to.SetDroppedEventsCount(uint32(s.DroppedEvents()))
	to.SetDroppedLinksCount(uint32(s.DroppedLinks()))
	switch s.Status().Code {
	case codes.Ok:
		to.Status().SetCode(ptrace.StatusCodeOk)
	case codes.Error:
		to.Status().SetCode(ptrace.StatusCodeError)
		to.Status().SetMessage(clean(s.Status().Description))
	}
	for _, e := range s.Events() {
		event := to.Events().AppendEmpty()
		event.SetName(e.Name)
		event.SetTimestamp(pcommon.NewTimestampFromTime(e.Time))
		event.SetDroppedAttributesCount(uint32(e.DroppedAttributeCount))
		setAll(event.Attributes(), e.Attributes)
	}
	for _, l := range s.Links() {
		link := to.Links().AppendEmpty()
		link.SetTraceID(pcommon.TraceID(l.SpanContext.TraceID()))
		link.SetSpanID(pcommon.SpanID(l.SpanContext.SpanID()))
		link.SetDroppedAttributesCount(uint32(l.DroppedAttributeCount))
		setAll(link.Attributes(), l.Attributes)
	}
}

func setAll(to pcommon.Map, attributes []attribute.KeyValue) {
	to.EnsureCapacity(len(attributes))
	for _, a := range attributes {
		name := string(a.Key)
		if mask.HidesValue(name) {
			to.PutStr(name, mask.Redacted)
			continue
		}
		set(to.PutEmpty(name), a.Value)
	}
}

func set(to pcommon.Value, v attribute.Value) {
	switch v.Type() {
	case attribute.BOOL:
		to.SetBool(v.AsBool())
	case attribute.INT64:
		to.SetInt(v.AsInt64())
	case attribute.FLOAT64:
		to.SetDouble(v.AsFloat64())
	case attribute.BOOLSLICE:
		list(to, v.AsBoolSlice(), pcommon.Value.SetBool)
	case attribute.INT64SLICE:
		list(to, v.AsInt64Slice(), pcommon.Value.SetInt)
	case attribute.FLOAT64SLICE:
		list(to, v.AsFloat64Slice(), pcommon.Value.SetDouble)
	case attribute.STRINGSLICE:
		list(to, v.AsStringSlice(), func(to pcommon.Value, text string) { to.SetStr(clean(text)) })
	default:
		to.SetStr(clean(v.String()))
	}
}

func list[T any](to pcommon.Value, values []T, set func(pcommon.Value, T)) {
	all := to.SetEmptySlice()
	all.EnsureCapacity(len(values))
	for _, v := range values {
		set(all.AppendEmpty(), v)
	}
}

// clean is a text without the passwords of URLs and other secrets: an error may quote
// any URL, and spans leave the machine.
func clean(text string) string { return mask.WithoutLogins(mask.WithoutLabelSecrets(text)) }
