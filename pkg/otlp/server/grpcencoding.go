package server

import (
	"context"
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/stats"
)

// encodingWatch counts and logs the requests by gRPC whose compression is not supported.
// The library rejects them by itself, permanently and with the names of those that it
// knows, and calls no handler.
type encodingWatch struct{ intake *Intake }

// TagRPC implements stats.Handler.
func (encodingWatch) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// TagConn implements stats.Handler.
func (encodingWatch) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (encodingWatch) HandleConn(context.Context, stats.ConnStats) {}

// HandleRPC implements stats.Handler.
func (w encodingWatch) HandleRPC(_ context.Context, event stats.RPCStats) {
	h, ok := event.(*stats.InHeader)
	if !ok || h.Compression == "" || h.Compression == encoding.Identity || encoding.GetCompressor(h.Compression) != nil {
		return
	}
	from := Sender{Transport: TransportGRPC}
	if h.RemoteAddr != nil {
		from.Client = h.RemoteAddr.String()
	}
	_ = w.intake.Refuse(from, refusedEncoding, fmt.Errorf("grpc-encoding %.40q is not supported", h.Compression))
}
