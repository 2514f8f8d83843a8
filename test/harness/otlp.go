package harness

import (
	"context"
	"net"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // what exporters compress with
)

// OTLPServer is pdata's own OTLP server over gRPC. It keeps what it is sent.
type OTLPServer struct {
	Address string

	mu      sync.Mutex
	traces  []ptraceotlp.ExportRequest
	metrics []pmetricotlp.ExportRequest
	logs    []plogotlp.ExportRequest
}

type traceService struct {
	ptraceotlp.UnimplementedGRPCServer
	*OTLPServer
}

type metricService struct {
	pmetricotlp.UnimplementedGRPCServer
	*OTLPServer
}

type logService struct {
	plogotlp.UnimplementedGRPCServer
	*OTLPServer
}

func (s traceService) Export(_ context.Context, r ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.traces = append(s.traces, r)
	return ptraceotlp.NewExportResponse(), nil
}

func (s metricService) Export(_ context.Context, r pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.metrics = append(s.metrics, r)
	return pmetricotlp.NewExportResponse(), nil
}

func (s logService) Export(_ context.Context, r plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs = append(s.logs, r)
	return plogotlp.NewExportResponse(), nil
}

// StartOTLPServer starts a server with gRPC's own limits, as Tempo has them.
func StartOTLPServer(t testing.TB) *OTLPServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &OTLPServer{Address: l.Addr().String()}
	server := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(server, &traceService{OTLPServer: s})
	pmetricotlp.RegisterGRPCServer(server, &metricService{OTLPServer: s})
	plogotlp.RegisterGRPCServer(server, &logService{OTLPServer: s})
	go server.Serve(l)
	t.Cleanup(server.Stop)
	return s
}

// Traces returns the trace requests so far.
func (s *OTLPServer) Traces() []ptraceotlp.ExportRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]ptraceotlp.ExportRequest(nil), s.traces...)
}

// Metrics returns the metric requests so far.
func (s *OTLPServer) Metrics() []pmetricotlp.ExportRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]pmetricotlp.ExportRequest(nil), s.metrics...)
}

// Logs returns the log requests so far.
func (s *OTLPServer) Logs() []plogotlp.ExportRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]plogotlp.ExportRequest(nil), s.logs...)
}
