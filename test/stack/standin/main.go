// Command standin takes the place of Loki, Tempo, Pyroscope and Grafana in tests of the
// stack: it listens where they do, accepts what they accept, and reports at /received
// what has arrived. A configuration file that it is given has to be there; it does not
// read it.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/golang/snappy"
	"github.com/grafana/loki/pkg/push"
	tracecollector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // what exporters compress with

	"collector/test/stack/received"
)

type store struct {
	tracecollector.UnimplementedTraceServiceServer

	mu sync.Mutex
	received.Received
}

func main() {
	go func() {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		<-stop
		os.Exit(0)
	}()
	for _, arg := range os.Args[1:] {
		if path, ok := strings.CutPrefix(arg, "-config.file="); ok {
			if _, err := os.ReadFile(path); err != nil {
				log.Fatal(err)
			}
		}
	}
	s := &store{}
	mux := http.NewServeMux()
	for _, path := range []string{"/ready", "/api/health"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ready") })
	}
	mux.HandleFunc("POST /loki/api/v1/push", s.push)
	mux.HandleFunc("POST /ingest", s.ingest)
	mux.HandleFunc("GET /received", s.tell)
	failed := make(chan error)
	for _, port := range []string{":3000", ":3100", ":3200", ":4040"} {
		go func() { failed <- http.ListenAndServe(port, mux) }()
	}
	l, err := net.Listen("tcp", ":4317")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	tracecollector.RegisterTraceServiceServer(server, s)
	go func() { failed <- server.Serve(l) }()
	log.Fatal(<-failed)
}

func (s *store) push(w http.ResponseWriter, r *http.Request) {
	var request push.PushRequest
	body, err := io.ReadAll(r.Body)
	if err == nil {
		body, err = snappy.Decode(nil, body)
	}
	if err == nil {
		err = request.Unmarshal(body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stream := range request.Streams {
		for _, entry := range stream.Entries {
			s.Lines = append(s.Lines, received.Line{Labels: stream.Labels, Time: entry.Timestamp, Text: entry.Line})
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *store) ingest(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Profiles = append(s.Profiles, fmt.Sprintf("%s %x", r.URL.Query().Get("name"), sha256.Sum256(body)))
}

// Export receives spans.
func (s *store) Export(_ context.Context, r *tracecollector.ExportTraceServiceRequest) (*tracecollector.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range r.ResourceSpans {
		about := make(map[string]string)
		for _, attribute := range resource.Resource.GetAttributes() {
			about[attribute.Key] = attribute.Value.GetStringValue()
		}
		for _, scope := range resource.ScopeSpans {
			for _, span := range scope.Spans {
				s.Spans = append(s.Spans, received.Span{
					TraceID: hex.EncodeToString(span.TraceId), SpanID: hex.EncodeToString(span.SpanId), ParentID: hex.EncodeToString(span.ParentSpanId),
					Name: span.Name, Resource: about,
				})
			}
		}
	}
	return &tracecollector.ExportTraceServiceResponse{}, nil
}

func (s *store) tell(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	json.NewEncoder(w).Encode(s.Received)
}
