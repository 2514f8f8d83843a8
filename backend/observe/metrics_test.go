package observe

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRequestsAreCountedByTemplate(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{
		"GET /items/{id}": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) },
		"GET /{$}":        func(http.ResponseWriter, *http.Request) {},
		"POST /items":     func(http.ResponseWriter, *http.Request) {},
	})
	for _, path := range []string{"/items/1", "/items/2", "/", "/nothing/1", "/nothing/2", "/items", "//items/3"} {
		s.get(path)
	}
	s.has(t, `http_requests_total{method="GET",path="/items/{id}"} 3.0`)
	s.has(t, `http_responses_total{method="GET",path="/items/{id}",status_code="418"} 2.0`)
	s.has(t, `http_responses_total{method="GET",path="/",status_code="200"} 1.0`)
	s.has(t, `http_responses_total{method="GET",path="unmatched",status_code="404"} 2.0`)
	s.has(t, `http_responses_total{method="GET",path="unmatched",status_code="405"} 1.0`)
	s.has(t, `http_request_duration_seconds_count{method="GET",path="/items/{id}"} 3`)
	for _, line := range s.page(t) {
		if strings.Contains(line, `="/nothing`) || strings.Contains(line, `="/items/1`) {
			t.Errorf("a raw path is a label: %s", line)
		}
	}
}

func TestStrangeMethodsMakeOneSeries(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{"/": func(http.ResponseWriter, *http.Request) {}})
	for _, method := range []string{"FOO", "BAR"} {
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, "/", nil))
	}
	s.has(t, `http_requests_total{method="_OTHER",path="/"} 2.0`)
}

func TestRequestIsInProgressUntilItIsDone(t *testing.T) {
	const series = `http_requests_in_progress{method="GET",path="/"} `
	var s *service
	s = newService(t, map[string]http.HandlerFunc{"GET /{$}": func(http.ResponseWriter, *http.Request) {
		s.has(t, series+"1.0")
	}})
	s.get("/")
	s.has(t, series+"0.0")
}

func TestBucketsServeApdex(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{"GET /{$}": func(http.ResponseWriter, *http.Request) {}})
	s.get("/")
	for _, boundary := range []string{"0.5", "2.5"} {
		s.has(t, `http_request_duration_seconds_bucket{method="GET",path="/",le="`+boundary+`"} 1`)
	}
}

func TestUnsampledRequestHasNoExemplar(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{"GET /{$}": func(http.ResponseWriter, *http.Request) {}})
	s.get("/", "traceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-00")
	s.has(t, `http_request_duration_seconds_count{method="GET",path="/"} 1`)
	for _, line := range s.page(t) {
		if strings.Contains(line, "trace_id") {
			t.Errorf("exemplar of a trace that is not kept: %s", line)
		}
	}
}

func TestProgramDescribesItself(t *testing.T) {
	s := newService(t, nil)
	s.has(t, `app_info{version="v1"} 1.0`)
	s.has(t, `app_workers 1.0`)
	s.has(t, `go_goroutines `)
}
