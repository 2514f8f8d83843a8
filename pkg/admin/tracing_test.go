package admin

import (
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"collector/pkg/spans"
)

func TestRequestsAreSpans(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	s := newServer(&program{unhealthy: []string{"a"}})
	s.options.Spans = &spans.Provider{}
	handler := s.Handler()
	ask := func(method, path string) {
		r := httptest.NewRequest(method, "http://localhost:12345"+path, nil)
		r.Header.Set("traceparent", "00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01")
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	ask("GET", "/metrics") // without a block
	s.options.Spans.Use(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample()))))
	for _, test := range []struct {
		method, path, name, status string
		code                       codes.Code
	}{
		{"GET", "/metrics", "/metrics", "200", codes.Unset},
		{"GET", "/-/healthy", "/-/healthy", "500", codes.Error},
		{"GET", "/debug/pprof/nothing", "/debug/pprof/", "404", codes.Unset},
		{"GET", "/nothing", "HTTP GET route not found", "404", codes.Unset},
		{"BREW", "/nothing", "HTTP _OTHER route not found", "404", codes.Unset},
	} {
		recorder.Reset()
		ask(test.method, test.path)
		all := recorder.Ended()
		if len(all) != 1 {
			t.Fatalf("%s: %d spans", test.path, len(all))
		}
		got := map[string]string{}
		for _, a := range all[0].Attributes() {
			got[string(a.Key)] = a.Value.String()
		}
		if all[0].Name() != test.name || got["http.status_code"] != test.status || all[0].Status().Code != test.code || all[0].SpanKind() != trace.SpanKindServer {
			t.Errorf("%s %s: %q, %v, %v", test.method, test.path, all[0].Name(), got, all[0].Status())
		}
		if all[0].SpanContext().TraceID() != (trace.TraceID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}) || all[0].Parent().SpanID() != (trace.SpanID{1, 2, 3, 4, 5, 6, 7, 8}) {
			t.Error("the client's trace is not continued")
		}
		if got["net.host.port"] != "12345" || got["net.sock.peer.addr"] == "" || got["http.flavor"] != "1.1" || got["http.scheme"] != "http" {
			t.Errorf("attributes: %v", got)
		}
	}
}
