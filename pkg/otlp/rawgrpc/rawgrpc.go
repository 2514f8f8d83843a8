// Package rawgrpc makes gRPC carry messages of OTLP as plain bytes, and sets up what the
// gRPC library keeps for the whole process.
package rawgrpc

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/resolver/dns"
	"google.golang.org/grpc/status"

	"collector/pkg/otlp/compression"
	"collector/pkg/pipeline"
)

// Codec passes gRPC messages through as plain bytes.
type Codec struct{}

// Message is a message as it came.
type Message struct{ buffer mem.Buffer }

// Data is the message, valid until Free.
func (r *Message) Data() []byte {
	if r.buffer == nil {
		return nil
	}
	return r.buffer.ReadOnlyData()
}

// Free gives the memory back. It may be called again.
func (r *Message) Free() {
	if r.buffer != nil {
		r.buffer.Free()
		r.buffer = nil
	}
}

// Name is the name of the codec that this one replaces.
func (Codec) Name() string { return "proto" }

// Marshal takes a message in pieces, a mem.BufferSlice.
func (Codec) Marshal(v any) (mem.BufferSlice, error) {
	pieces, ok := v.(mem.BufferSlice)
	if !ok {
		return nil, fmt.Errorf("BUG: a message of type %T is sent", v)
	}
	return pieces, nil
}

// Unmarshal fills a *Message.
func (Codec) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(*Message)
	if !ok {
		return fmt.Errorf("BUG: a message is received into a %T", v)
	}
	r.buffer = data.MaterializeToBuffer(mem.DefaultBufferPool())
	return nil
}

// minResolveInterval is how soon a name is looked up again after a failure. The
// library's 30 s is long for a container that is back under another address.
const minResolveInterval = 5 * time.Second

// bufferSizes are the sizes of the buffers for messages, as powers of two. Of the
// library's own, the next after 32 KiB has 1 MiB, and every piece that a
// compressor writes, and every message, takes a whole one.
func bufferSizes() []uint8 { return []uint8{8, 10, 12, 14, 15, 16, 17, 18, 19, 20} }

// grpcSetup guards what the gRPC library keeps for the whole process. It must
// be written before the library is first used, so every constructor that uses
// gRPC calls Setup first.
var grpcSetup sync.Once

// Setup registers the compressions that OTLP clients use, lets names be
// looked up sooner, and lets buffers fit.
func Setup() {
	grpcSetup.Do(func() {
		for _, name := range []string{"gzip", "zstd", "zlib", "deflate", "snappy"} {
			encoding.RegisterCompressor(compression.New(name, compression.Fastest, 0))
		}
		dns.SetMinResolutionInterval(minResolveInterval)
		// The exponents are valid, so that there is no error.
		if pool, err := mem.NewBinaryTieredBufferPool(bufferSizes()...); err == nil {
			experimental.SetDefaultBufferPool(pool)
		}
	})
}

// Service is the gRPC service for the signal's requests; its one method is Export.
func Service(s pipeline.Signal) string {
	switch s {
	case pipeline.SignalTraces:
		return "opentelemetry.proto.collector.trace.v1.TraceService"
	case pipeline.SignalMetrics:
		return "opentelemetry.proto.collector.metrics.v1.MetricsService"
	default:
		return "opentelemetry.proto.collector.logs.v1.LogsService"
	}
}

// StatusNumber is the gRPC code of err as a label value.
func StatusNumber(err error) string { return strconv.Itoa(int(status.Code(err))) }
