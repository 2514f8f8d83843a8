//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// describeStub writes everything in a span, in the same form as describeSpan.
func describeStub(s tracetest.SpanStub) string {
	var b strings.Builder
	parent := ""
	if s.Parent.SpanID().IsValid() {
		parent = s.Parent.SpanID().String()
	}
	status := map[codes.Code]ptrace.StatusCode{codes.Unset: ptrace.StatusCodeUnset, codes.Ok: ptrace.StatusCodeOk, codes.Error: ptrace.StatusCodeError}[s.Status.Code]
	fmt.Fprintf(&b, "%s %s parent=%s kind=%s %d-%d status=%s %q scope=%s resource=%v attributes=%v",
		s.SpanContext.TraceID(), s.Name, parent, strings.ToLower(s.SpanKind.String()), s.StartTime.UnixNano(), s.EndTime.UnixNano(),
		status, s.Status.Description, s.InstrumentationScope.Name, stubAttributes(s.Resource.Attributes()), stubAttributes(s.Attributes))
	for _, e := range s.Events {
		fmt.Fprintf(&b, " event %s at %d %v", e.Name, e.Time.UnixNano(), stubAttributes(e.Attributes))
	}
	return b.String()
}

func stubAttributes(attrs []attribute.KeyValue) []string {
	var out []string
	for _, kv := range attrs {
		value := kv.Value.String()
		if kv.Value.Type() == attribute.FLOAT64SLICE {
			value = fmt.Sprint(kv.Value.AsFloat64Slice())
		}
		out = append(out, string(kv.Key)+"="+value)
	}
	slices.Sort(out)
	return out
}

// receivedSpans describes each span of requests, by its id. A span that came
// twice is an error.
func receivedSpans(requests []ptraceotlp.ExportRequest) (map[string]string, error) {
	out := make(map[string]string)
	for _, request := range requests {
		for _, rs := range request.Traces().ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					id := span.SpanID().String()
					if _, twice := out[id]; twice {
						return nil, fmt.Errorf("span %s arrived twice", id)
					}
					out[id] = describeSpan(rs.Resource(), ss.Scope(), span)
				}
			}
		}
	}
	return out, nil
}

func describeSpan(resource pcommon.Resource, scope pcommon.InstrumentationScope, s ptrace.Span) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s parent=%s kind=%s %d-%d status=%s %q scope=%s resource=%v attributes=%v",
		s.TraceID(), s.Name(), s.ParentSpanID(), strings.ToLower(s.Kind().String()), s.StartTimestamp(), s.EndTimestamp(),
		s.Status().Code(), s.Status().Message(), scope.Name(), attributes(resource.Attributes()), attributes(s.Attributes()))
	for _, e := range s.Events().All() {
		fmt.Fprintf(&b, " event %s at %d %v", e.Name(), e.Timestamp(), attributes(e.Attributes()))
	}
	return b.String()
}

func attributes(m pcommon.Map) []string {
	var out []string
	for key, value := range m.All() {
		text := value.AsString()
		if value.Type() == pcommon.ValueTypeSlice {
			text = fmt.Sprint(value.Slice().AsRaw())
		}
		out = append(out, key+"="+text)
	}
	slices.Sort(out)
	return out
}
