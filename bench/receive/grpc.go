package receive

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // requests may come compressed by it
	"google.golang.org/grpc/mem"

	"collector-bench/wire"
)

// spans is the service that receives spans. Requests stay bytes: see rawCodec.
type spans struct {
	now func() time.Time
	tally
}

// export is opentelemetry.proto.collector.trace.v1.TraceService/Export.
func (s *spans) export(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var request []byte
	if err := decode(&request); err != nil {
		return nil, err
	}
	now := s.now()
	var got batch
	err := wire.Spans(request, func(span wire.Span) { got.add(span.Number, now.Sub(time.Unix(0, span.End))) })
	s.take(&got, err)
	return []byte{}, err // an empty ExportTraceServiceResponse: all accepted
}

func newGRPCServer(s *spans) *grpc.Server {
	server := grpc.NewServer(grpc.ForceServerCodecV2(RawCodec{}), grpc.MaxRecvMsgSize(maxBody))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "opentelemetry.proto.collector.trace.v1.TraceService",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Export", Handler: s.export}},
	}, s)
	return server
}

// RawCodec passes messages as bytes: []byte to send, *[]byte to receive into.
type RawCodec struct{}

// Name returns the name of the codec that it replaces, so that senders notice nothing.
func (RawCodec) Name() string { return "proto" }

// Marshal returns v, a []byte, as it is.
func (RawCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("BUG: a message is %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

// Unmarshal sets v, a *[]byte, to a copy of data.
func (RawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("BUG: a message is %T", v)
	}
	*b = data.Materialize()
	return nil
}
