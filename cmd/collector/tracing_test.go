package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// TestTracingSendsItsOwnSpans runs the program with a block tracing: the first load,
// requests and deliveries are traced, and the delivery of these spans is not.
func TestTracingSendsItsOwnSpans(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/v1/traces" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		request := ptraceotlp.NewExportRequest()
		if err := request.UnmarshalProto(body); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, rs := range request.Traces().ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					seen[s.Name()]++
				}
			}
		}
	}))
	defer server.Close()
	config := `
logging {
	write_to = [loki.write.out.receiver]
}
loki.write "out" {
	endpoint {
		url = "` + server.URL + `/loki/api/v1/push"
	}
}
tracing {
	sampling_fraction = 1
	write_to          = [otelcol.exporter.otlphttp.out.input]
}
otelcol.exporter.otlphttp "out" {
	client {
		endpoint    = "` + server.URL + `"
		compression = "none"
	}
}
`
	_, url := runProgram(t, config)
	response, err := http.Get(url + "/-/healthy")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	for _, name := range []string{"GraphEvaluate", "EvaluateNode", "/-/healthy", "Deliver logs"} {
		wait(t, "a span "+name, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return seen[name] > 0
		})
	}
	mu.Lock()
	defer mu.Unlock()
	if seen["Deliver traces"] > 0 {
		t.Error("the delivery of spans is traced")
	}
}
