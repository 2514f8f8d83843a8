package observe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// service is a handler behind all middlewares, and what they recorded about it.
type service struct {
	http.Handler
	metrics *Metrics
	log     *bytes.Buffer
	spans   *tracetest.InMemoryExporter
}

func newService(t *testing.T, routes map[string]http.HandlerFunc) *service {
	t.Helper()
	s := &service{
		metrics: NewMetrics("v1"),
		log:     &bytes.Buffer{},
		spans:   tracetest.NewInMemoryExporter(),
	}
	mux := http.NewServeMux()
	for pattern, handler := range routes {
		mux.Handle(pattern, handler)
	}
	tracing := newTracing(sdktrace.NewSimpleSpanProcessor(s.spans), resource.Empty())
	log := NewLogger(s.log, slog.LevelInfo)
	route := RouteOf(mux)
	s.Handler = Chain(mux,
		Trace(tracing.Provider, route),
		Access(log, slog.LevelInfo),
		s.metrics.Middleware(route),
		Recover(log, s.metrics, route, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "internal server error", http.StatusInternalServerError)
		}),
	)
	return s
}

// get sends a request with headers "name: value".
func (s *service) get(path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// lines returns the log as maps.
func (s *service) lines(t *testing.T) []map[string]string {
	t.Helper()
	var lines []map[string]string
	for line := range strings.Lines(s.log.String()) {
		fields, err := parseLogfmt(strings.TrimSuffix(line, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fields)
	}
	return lines
}

// page returns the metrics as OpenMetrics, by lines.
func (s *service) page(t *testing.T) []string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	w := httptest.NewRecorder()
	s.metrics.Handler().ServeHTTP(w, r)
	return strings.Split(w.Body.String(), "\n")
}

// has fails the test unless a line of the page starts with the text.
func (s *service) has(t *testing.T, prefix string) {
	t.Helper()
	if s.find(t, prefix) == "" {
		t.Errorf("no line of the metrics starts with %q", prefix)
	}
}

func (s *service) find(t *testing.T, prefix string) string {
	t.Helper()
	for _, line := range s.page(t) {
		if strings.HasPrefix(line, prefix) {
			return line
		}
	}
	return ""
}

// parseLogfmt is strict: quoted values have to have JSON's escapes only.
func parseLogfmt(line string) (map[string]string, error) {
	fields := map[string]string{}
	for rest := line; rest != ""; {
		key, after, found := strings.Cut(rest, "=")
		if !found || key == "" || strings.ContainsAny(key, " \"") {
			return nil, fmt.Errorf("no key at %q in %q", rest, line)
		}
		var value string
		if strings.HasPrefix(after, `"`) {
			d := json.NewDecoder(strings.NewReader(after))
			if err := d.Decode(&value); err != nil {
				return nil, fmt.Errorf("value at %q: %w", after, err)
			}
			after = after[d.InputOffset():]
		} else {
			end := strings.IndexByte(after+" ", ' ')
			value, after = after[:end], after[end:]
		}
		if after != "" && after[0] != ' ' {
			return nil, fmt.Errorf("no space at %q in %q", after, line)
		}
		if _, twice := fields[key]; twice {
			return nil, fmt.Errorf("key %q twice in %q", key, line)
		}
		fields[key] = value
		rest = strings.TrimPrefix(after, " ")
	}
	return fields, nil
}

func TestFirstMiddlewareIsOutermost(t *testing.T) {
	var got []string
	say := func(name string) Middleware {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = append(got, name)
				next.ServeHTTP(w, r)
				got = append(got, "/"+name)
			})
		}
	}
	Chain(http.NotFoundHandler(), say("access"), say("metrics")).
		ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	want := []string{"access", "metrics", "/metrics", "/access"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLogMetricsAndTraceHaveTheSameIDs(t *testing.T) {
	var inside string
	s := newService(t, map[string]http.HandlerFunc{"GET /items/{id}": func(w http.ResponseWriter, r *http.Request) {
		inside = RequestID(r.Context())
		io.WriteString(w, "hello")
	}})
	w := s.get("/items/7?a=b%20c", "User-Agent: test/1.0 (a b)")

	spans := s.spans.GetSpans()
	if len(spans) != 1 {
		t.Fatalf("%d spans, want 1", len(spans))
	}
	span := spans[0].SpanContext
	line := s.lines(t)[0]
	want := map[string]string{
		"level": "info", "message": "request",
		"request_id": inside, "trace_id": span.TraceID().String(), "span_id": span.SpanID().String(),
		"method": "GET", "url": "/items/7?a=b%20c", "status": "200", "size": "5", "user_agent": "test/1.0 (a b)",
	}
	for key, value := range want {
		if line[key] != value {
			t.Errorf("%s=%q in the log, want %q", key, line[key], value)
		}
	}
	if inside == "" || w.Header().Get("X-Request-Id") != inside {
		t.Errorf("request id %q inside, %q in the response", inside, w.Header().Get("X-Request-Id"))
	}
	if bucket := s.find(t, `http_request_duration_seconds_bucket{method="GET",path="/items/{id}",le="0.005"} 1 # `); !strings.Contains(bucket, `{trace_id="`+span.TraceID().String()+`"}`) {
		t.Errorf("no exemplar with the trace's id: %q", bucket)
	}
}
