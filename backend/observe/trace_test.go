package observe

import (
	"net/http"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

func attributes(span tracetest.SpanStub) map[string]string {
	values := map[string]string{}
	for _, kv := range span.Attributes {
		values[string(kv.Key)] = kv.Value.String()
	}
	return values
}

func TestSpanIsNamedByRoute(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{"GET /items/{id}": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
	}})
	s.get("/items/7?a=b", "X-Request-Id: r1")
	s.get("/elsewhere")
	spans := s.spans.GetSpans()
	if spans[0].Name != "GET /items/{id}" || spans[1].Name != "GET unmatched" {
		t.Errorf("spans are named %q and %q", spans[0].Name, spans[1].Name)
	}
	if spans[0].SpanKind != trace.SpanKindServer {
		t.Errorf("span is of kind %v, want server", spans[0].SpanKind)
	}
	got := attributes(spans[0])
	for key, want := range map[string]string{
		"http.request.method": "GET", "http.route": "/items/{id}", "url.path": "/items/7", "url.query": "a=b",
		"http.response.status_code": "202", "request_id": "r1",
	} {
		if got[key] != want {
			t.Errorf("span has %s=%q, want %q", key, got[key], want)
		}
	}
}

func TestSpanCarriesItsProfileID(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{"GET /": func(http.ResponseWriter, *http.Request) {}})
	s.get("/")
	span := s.spans.GetSpans()[0]
	if got := attributes(span)["pyroscope.profile.id"]; got != span.SpanContext.SpanID().String() {
		t.Errorf("pyroscope.profile.id=%q, want the span's id", got)
	}
}

func TestSpanContinuesTheCallersTrace(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{"GET /": func(http.ResponseWriter, *http.Request) {}})
	s.get("/", "traceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
	span := s.spans.GetSpans()[0]
	if got := span.SpanContext.TraceID().String(); got != "0123456789abcdef0123456789abcdef" {
		t.Errorf("trace %s, want the caller's", got)
	}
	if got := span.Parent.SpanID().String(); got != "0123456789abcdef" {
		t.Errorf("parent %s, want the caller's span", got)
	}
}

func TestServerErrorFailsTheSpanAndClientErrorDoesNot(t *testing.T) {
	status := 0
	s := newService(t, map[string]http.HandlerFunc{"GET /": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
	}})
	for status = range map[int]bool{404: true, 503: true} {
		s.spans.Reset()
		s.get("/")
		span := s.spans.GetSpans()[0]
		if failed := span.Status.Code == codes.Error; failed != (status >= 500) {
			t.Errorf("status %d: span has status %v", status, span.Status.Code)
		}
	}
}

func TestPanicIsAnsweredCountedLoggedAndTraced(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{"GET /": func(_ http.ResponseWriter, r *http.Request) {
		trace.SpanFromContext(r.Context()).SetAttributes(attribute.Bool("reached", true))
		var none []int
		none[0]++
	}})
	w := s.get("/", "X-Request-Id: r1")
	if w.Code != http.StatusInternalServerError {
		t.Errorf("status %d, want 500", w.Code)
	}
	s.has(t, `http_exceptions_total{exception_type="runtime.boundsError",method="GET",path="/"} 1.0`)
	s.has(t, `http_responses_total{method="GET",path="/",status_code="500"} 1.0`)

	span := s.spans.GetSpans()[0]
	if span.Status.Code != codes.Error || len(span.Events) != 1 || span.Events[0].Name != "exception" {
		t.Fatalf("span has status %v and events %v, want an exception", span.Status, span.Events)
	}
	event := map[string]string{}
	for _, kv := range span.Events[0].Attributes {
		event[string(kv.Key)] = kv.Value.String()
	}
	if event["exception.type"] != "runtime.boundsError" {
		t.Errorf("exception.type=%q", event["exception.type"])
	}
	if !containsAll(event["exception.stacktrace"], "trace_test.go", "TestPanicIsAnswered") {
		t.Errorf("the stack does not show where it happened:\n%s", event["exception.stacktrace"])
	}
	line := s.lines(t)[0]
	if line["request_id"] != "r1" || line["trace_id"] != span.SpanContext.TraceID().String() {
		t.Errorf("line about the panic has ids %q and %q", line["request_id"], line["trace_id"])
	}
	if line["level"] != "error" || !containsAll(line["stack"], "trace_test.go") {
		t.Errorf("line about the panic: %v", line)
	}
}
