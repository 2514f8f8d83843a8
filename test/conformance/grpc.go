package conformance

import (
	"context"
	"encoding/json"
	"net/http"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// registerOTLP makes a server receive the three signals for r.
func registerOTLP(s *grpc.Server, r *received) {
	ptraceotlp.RegisterGRPCServer(s, &tracesServer{r: r})
	pmetricotlp.RegisterGRPCServer(s, &metricsServer{r: r})
	plogotlp.RegisterGRPCServer(s, &logsServer{r: r})
}

type tracesServer struct {
	ptraceotlp.UnimplementedGRPCServer
	r *received
}

func (s *tracesServer) Export(ctx context.Context, request ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	return ptraceotlp.NewExportResponse(), s.r.takeMessage(ctx, "traces", request)
}

type metricsServer struct {
	pmetricotlp.UnimplementedGRPCServer
	r *received
}

func (s *metricsServer) Export(ctx context.Context, request pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	return pmetricotlp.NewExportResponse(), s.r.takeMessage(ctx, "metrics", request)
}

type logsServer struct {
	plogotlp.UnimplementedGRPCServer
	r *received
}

func (s *logsServer) Export(ctx context.Context, request plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	return plogotlp.NewExportResponse(), s.r.takeMessage(ctx, "logs", request)
}

// takeMessage keeps a payload. If a case records headers, the metadata x-case says where
// it came from.
func (r *received) takeMessage(ctx context.Context, signal string, message json.Marshaler) error {
	md, _ := metadata.FromIncomingContext(ctx)
	header := http.Header{}
	for name, values := range md {
		header[http.CanonicalHeaderKey(name)] = values
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	from := header.Get("X-Case")
	header.Del("X-Case")
	r.note(header, from, signal)
	return r.keep(signal, message)
}

// keep records a payload. The caller holds mu.
func (r *received) keep(signal string, message json.Marshaler) error {
	text, err := message.MarshalJSON()
	if err != nil {
		return err
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return err
	}
	r.otlp[signal] = append(r.otlp[signal], tree)
	return nil
}
