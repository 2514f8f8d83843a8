package observe

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"collector/pkg/cause/causetest"

	"go.opentelemetry.io/otel/attribute"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

var about = Service{Name: "shop", Version: "v1", Instance: "one"}

// otlpServer takes traces.
type otlpServer struct {
	collectortrace.UnimplementedTraceServiceServer
	endpoint string

	mu    sync.Mutex // guards what follows
	spans []*tracepb.ResourceSpans
}

func (s *otlpServer) Export(_ context.Context, r *collectortrace.ExportTraceServiceRequest) (*collectortrace.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spans = append(s.spans, r.ResourceSpans...)
	return &collectortrace.ExportTraceServiceResponse{}, nil
}

func startOTLPServer(t *testing.T) *otlpServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &otlpServer{endpoint: listener.Addr().String()}
	server := grpc.NewServer()
	collectortrace.RegisterTraceServiceServer(server, s)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return s
}

func TestSpansArriveAtTheLatestOnStop(t *testing.T) {
	server := startOTLPServer(t)
	tracing, err := StartTracing(t.Context(), server.endpoint, about, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, span := tracing.Provider.Tracer("test").Start(t.Context(), "work")
	span.SetAttributes(attribute.Int("n", 1))
	span.End()
	if err := tracing.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if len(server.spans) != 1 {
		t.Fatalf("%d resources with spans, want 1", len(server.spans))
	}
	if got := server.spans[0].ScopeSpans[0].Spans[0].Name; got != "work" {
		t.Errorf("span %q, want work", got)
	}
	resource := map[string]string{}
	for _, kv := range server.spans[0].Resource.Attributes {
		resource[kv.Key] = kv.Value.GetStringValue()
	}
	for key, want := range map[string]string{"service.name": "shop", "service.version": "v1", "service.instance.id": "one"} {
		if resource[key] != want {
			t.Errorf("%s=%q, want %q", key, resource[key], want)
		}
	}
}

func TestTracingStartsAndStopsWithoutACollector(t *testing.T) {
	tracing, err := StartTracing(t.Context(), causetest.Refusing(t), about, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for range 5000 { // more than are kept
		_, span := tracing.Provider.Tracer("test").Start(t.Context(), "work")
		span.End()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := tracing.Stop(ctx); err == nil {
		t.Error("traces that went nowhere are said to have been sent")
	}
}

// pyroscopeServer takes profiles.
type pyroscopeServer struct {
	mu       sync.Mutex // guards what follows
	queries  []string
	profiles [][]byte // without compression
}

func (s *pyroscopeServer) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	file, _, err := r.FormFile("profile")
	if err != nil {
		return
	}
	compressed, err := io.ReadAll(file)
	if err != nil {
		return
	}
	profile := compressed
	if z, err := gzip.NewReader(bytes.NewReader(compressed)); err == nil {
		profile, _ = io.ReadAll(z)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries = append(s.queries, r.URL.Query().Get("name"))
	s.profiles = append(s.profiles, profile)
}

func (s *pyroscopeServer) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, profile := range s.profiles {
		if bytes.Contains(profile, []byte(text)) {
			return true
		}
	}
	return false
}

func TestProfilesOfASpanCarryItsID(t *testing.T) {
	pyroscope := &pyroscopeServer{}
	server := httptest.NewServer(pyroscope)
	defer server.Close()
	profiling, err := StartProfiling(server.URL, about, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := newService(t, map[string]http.HandlerFunc{"GET /busy": func(http.ResponseWriter, *http.Request) {
		var sum [sha256.Size]byte
		for start := time.Now(); time.Since(start) < 500*time.Millisecond; {
			sum = sha256.Sum256(sum[:])
		}
	}})
	s.get("/busy")
	if err := profiling.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if id := s.spans.GetSpans()[0].SpanContext.SpanID().String(); !pyroscope.has(id) {
		t.Error("no profile that arrived has the span's id")
	}
	for _, kind := range []string{"cpu", "alloc_objects", "alloc_space", "inuse_objects", "inuse_space", "goroutine", "contentions", "delay"} {
		if !pyroscope.has(kind) {
			t.Errorf("no profile of %s arrived", kind)
		}
	}
	for _, name := range pyroscope.queries {
		if !strings.HasPrefix(name, "shop{") {
			t.Errorf("a profile of %q arrived", name)
		}
	}
}

func TestStoppingProfilesIsBounded(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&Profiling{func() { <-hang }}).Stop(ctx); err == nil {
		t.Error("profiles that hang are said to have been sent")
	}
}
