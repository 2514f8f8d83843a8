package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"collector/pkg/listen"
	"collector/pkg/otlp/compression"
	"collector/pkg/otlp/wire"
)

// streamCost is what one stream of a connection takes before its message.
const streamCost = 16 << 10

// roomTime is how long each claim of a request waits for room until its message is in,
// the first one included: the messages of one connection delay each other, so that
// restarting one costs more than over HTTP. Refusing at once while HTTP requests hold the
// room would leave it to these, which retry sooner.
const roomTime = time.Second

// A message is read in pieces of these sizes. The library lets a client send as much
// ahead as is asked for, so that a large piece spares it waiting.
const (
	leastPiece = 4 << 10
	mostPiece  = 256 << 10
	// pieceTime is within which a piece has to come for the next to be larger.
	pieceTime = 500 * time.Millisecond
)

// aheadCost is about what the library makes of a byte that a client sends ahead, in
// frames that may be small.
const aheadCost = 3

// rawStream is what the library's streams can do that it shows to no handler: deliver a
// message as it arrives. RecvMsg returns what is there as a whole, and unpacked, which is
// too late to say that there is no room for it.
type rawStream interface {
	// ReadMessageHeader fills p, which need not be a header.
	ReadMessageHeader(p []byte) error
	RecvCompress() string
}

type cancelKey struct{}

// endable lets a stream be ended while it is read.
func endable(ctx context.Context, _ *tap.Info) (context.Context, error) {
	ctx, cancel := context.WithCancel(ctx)
	return context.WithValue(ctx, cancelKey{}, cancel), nil
}

// incoming is the message of a request as it arrives.
type incoming struct {
	*listen.Arrival
	stream  rawStream
	timer   *time.Timer
	piece   int // how much to read next
	message []byte
}

// arrive begins a request, which ends by release.
func (g *GRPC) arrive(ctx context.Context) (*incoming, error) {
	stream, isRaw := grpc.ServerTransportStreamFromContext(ctx).(rawStream)
	cancel, isEndable := ctx.Value(cancelKey{}).(context.CancelFunc)
	if !isRaw || !isEndable {
		return nil, errors.New("BUG: the gRPC library has changed")
	}
	in := &incoming{stream: stream, piece: leastPiece, timer: time.AfterFunc(time.Hour, cancel)}
	in.Arrival = g.Intake.Budget.Arrive(listen.ClientBy("gRPC", senderOf(ctx).Client), func(t time.Time) {
		if t.IsZero() {
			in.timer.Stop()
		} else {
			in.timer.Reset(time.Until(t))
		}
	})
	in.Wait(roomTime)
	in.Until(ctx.Done())
	md, _ := metadata.FromIncomingContext(ctx)
	return in, in.Grow(streamCost + listen.HeaderSize(md))
}

func (in *incoming) release() {
	in.Free(in.message)
	in.message = nil
	in.Release()
	in.timer.Stop()
}

// Read reads what has arrived of the message.
func (in *incoming) Read(p []byte) (int, error) {
	p = p[:min(len(p), in.piece)]
	begun := time.Now()
	if err := in.stream.ReadMessageHeader(p); err != nil {
		return 0, in.Arrival.Read(0, err)
	}
	if time.Since(begun) < pieceTime {
		in.piece = min(2*in.piece, mostPiece)
	} else {
		in.piece = leastPiece
	}
	return len(p), in.Arrival.Read(len(p), nil)
}

// receive reads the message, which is at most limit bytes, and unpacks it.
func (in *incoming) receive(limit int) error {
	var header [5]byte // whether it is compressed, and its length
	if err := in.stream.ReadMessageHeader(header[:]); err != nil {
		return in.Arrival.Read(0, err)
	}
	size := int64(binary.BigEndian.Uint32(header[1:]))
	if size > int64(limit) {
		return fmt.Errorf("%w: %d bytes", wire.ErrTooLarge, size)
	}
	ahead := aheadCost * int(min(size, streamWindow))
	if err := in.Grow(ahead); err != nil {
		return err
	}
	in.Counted()
	packed, err := in.ReadAll(in, size, size)
	in.Wait(0)
	in.Shrink(ahead)
	if err != nil {
		return err
	}
	if int64(len(packed)) < size {
		in.Free(packed)
		return io.ErrUnexpectedEOF
	}
	in.Arrived()
	if header[0] == 0 {
		in.message = packed
		return nil
	}
	defer in.Free(packed)
	c, ok := encoding.GetCompressor(in.stream.RecvCompress()).(*compression.Coding)
	if !ok {
		return status.Errorf(codes.Unimplemented, "the compression %q is not supported", in.stream.RecvCompress())
	}
	in.message, err = c.Unpack(packed, int64(limit), in.Claim)
	return err
}
