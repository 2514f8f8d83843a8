package otlp

import (
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/resolver/dns"
)

// rawCodec hands gRPC messages over as the bytes that they are.
type rawCodec struct{}

// received is a message as it came. Its bytes are valid until free.
type received struct{ buffer mem.Buffer }

func (r *received) data() []byte {
	if r.buffer == nil {
		return nil
	}
	return r.buffer.ReadOnlyData()
}

func (r *received) free() {
	if r.buffer != nil {
		r.buffer.Free()
		r.buffer = nil
	}
}

// Name is that of the codec in whose place this one stands.
func (rawCodec) Name() string { return "proto" }

// Marshal takes a message in pieces, a mem.BufferSlice.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	pieces, ok := v.(mem.BufferSlice)
	if !ok {
		return nil, fmt.Errorf("BUG: a message of type %T is sent", v)
	}
	return pieces, nil
}

// Unmarshal fills a *received.
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(*received)
	if !ok {
		return fmt.Errorf("BUG: a message is received into a %T", v)
	}
	r.buffer = data.MaterializeToBuffer(mem.DefaultBufferPool())
	return nil
}

// minResolveInterval is how soon a name is looked up again after a failure. The
// library's 30 s is long for a container that is back under another address.
const minResolveInterval = 5 * time.Second

// bufferSizes are those of the buffers for messages, as powers of two. Of the
// library's own, the next after 32 KiB has 1 MiB, and every piece that a
// compressor writes, and every message, takes a whole one.
func bufferSizes() []uint8 { return []uint8{8, 10, 12, 14, 15, 16, 17, 18, 19, 20} }

// grpcSetup guards what the gRPC library keeps for the whole process. It must
// be written before the library is first used, so every constructor that uses
// gRPC calls setupGRPC first; only this package uses the library.
var grpcSetup sync.Once

// setupGRPC registers the compressions that OTLP clients use, lets names be
// looked up sooner, and lets buffers fit.
func setupGRPC() {
	grpcSetup.Do(func() {
		for _, name := range []string{"gzip", "zstd", "zlib", "deflate", "snappy"} {
			encoding.RegisterCompressor(newCoding(name, defaultLevel, 0))
		}
		dns.SetMinResolutionInterval(minResolveInterval)
		// The exponents are valid, so that there is no error.
		if pool, err := mem.NewBinaryTieredBufferPool(bufferSizes()...); err == nil {
			experimental.SetDefaultBufferPool(pool)
		}
	})
}
