package otlp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"collector/pkg/listen"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/rawgrpc"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

// stopGrace is how long requests in progress may take when the receiver stops.
const stopGrace = 2 * time.Second

// Bounds on what one connection can make the server hold in memory.
const (
	streamWindow         = 64 << 10 // more for a message that is read, see incoming.Read
	connWindow           = 1 << 20
	mostStreams          = 100
	handshakeTimeout     = 20 * time.Second
	maxGRPCHeaderListLen = 64 << 10
)

// maxStreams is how many calls of one connection are in progress at once, where the
// configuration does not say. The client holds the others back, which costs neither side
// anything, and leaves the connection to those that make progress.
func maxStreams(budget *listen.Budget) uint32 {
	const message, least = 512 << 10, 4
	return uint32(min(max(budget.Max()/message, least), mostStreams))
}

// grpcServer serves OTLP/gRPC.
type grpcServer struct {
	config GRPCServer
	tls    *tls.Config // nil: plain text
	intake *intake
	logger *slog.Logger

	limit   *listen.Limit
	paths   *listen.Paths
	unwired throttle.Log
}

// serve answers requests until ctx ends; it closes l.
func (g *grpcServer) serve(ctx context.Context, l net.Listener) error {
	l = g.limit.Listener(l)
	if g.tls != nil {
		l = tls.NewListener(l, g.tls)
	}
	s := grpc.NewServer(g.options()...)
	for signal := range g.intake.sinks {
		s.RegisterService(&grpc.ServiceDesc{
			ServiceName: rawgrpc.Service(signal),
			HandlerType: (*any)(nil),
			// A unary call is a stream of one message each way; as a stream, it
			// reaches the handler even when its message cannot be read.
			Streams: []grpc.StreamDesc{{StreamName: "Export", ServerStreams: true, Handler: g.export(signal)}},
		}, g)
	}
	accepting := &sniffer{Listener: l, protocol: transportGRPC, isTLS: g.tls != nil, intake: g.intake, logger: g.logger}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(accepting) }()
	select {
	case err := <-ended:
		s.Stop()
		return err
	case <-ctx.Done():
	}
	// GracefulStop cuts off a connection that is accepted after it has begun, and an
	// earlier one that the server has not got to.
	accepting.Close()
	<-ended
	accepting.untouched.Wait()
	grace := time.AfterFunc(stopGrace, s.Stop)
	defer grace.Stop()
	s.GracefulStop()
	return nil
}

func (g *grpcServer) options() []grpc.ServerOption {
	c := g.config
	if c.MaxConcurrentStreams == 0 {
		c.MaxConcurrentStreams = maxStreams(g.intake.inFlight)
	}
	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(rawgrpc.Codec{}),
		grpc.StatsHandler(encodingWatch{intake: g.intake}),
		grpc.InTapHandle(endable),
		grpc.MaxRecvMsgSize(int(c.MaxRecvMsgSize)),
		grpc.MaxConcurrentStreams(c.MaxConcurrentStreams),
		grpc.MaxHeaderListSize(maxGRPCHeaderListLen),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.UnknownServiceHandler(g.unknown),
	}
	if c.ReadBufferSize > 0 {
		options = append(options, grpc.ReadBufferSize(int(c.ReadBufferSize)))
	}
	if c.WriteBufferSize > 0 {
		options = append(options, grpc.WriteBufferSize(int(c.WriteBufferSize)))
	}
	if c.Keepalive != nil && c.Keepalive.EnforcementPolicy != nil {
		options = append(options, grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy(*c.Keepalive.EnforcementPolicy)))
	}
	return append(options, grpc.KeepaliveParams(c.serverParameters()))
}

// export is the method Export of the signal's service.
func (g *grpcServer) export(s pipeline.Signal) grpc.StreamHandler {
	return func(_ any, stream grpc.ServerStream) error {
		start := time.Now()
		err := g.receive(s, stream)
		g.intake.metrics.rpcDuration.WithLabelValues("grpc", rawgrpc.Service(s), "Export", rawgrpc.StatusNumber(err)).
			Observe(float64(time.Since(start).Microseconds()) / 1000)
		return err
	}
}

func (g *grpcServer) receive(s pipeline.Signal, stream grpc.ServerStream) error {
	ctx := stream.Context()
	md, _ := metadata.FromIncomingContext(ctx)
	known, err := g.intake.authenticate(g.config.Auth, flow.Metadata(md), senderOf(ctx))
	if err != nil {
		return refused(stream, err)
	}
	in, err := g.arrive(ctx)
	if in != nil {
		defer in.release()
	}
	if err == nil {
		err = in.receive(int(g.config.MaxRecvMsgSize))
	}
	if errors.Is(err, listen.ErrGone) {
		err = in.Arrival.Read(0, err) // its context also ends when it is too slow
	}
	if err != nil {
		return g.unreadable(stream, err)
	}
	ctx = flow.WithAuth(ctx, known)
	if g.config.IncludeMetadata {
		md.Set("host", md[":authority"]...)
		ctx = flow.WithMetadata(ctx, flow.Metadata(md))
	}
	if err := g.intake.take(ctx, s, in.message, in.Claim, senderOf(ctx)); err != nil {
		return refused(stream, err)
	}
	return stream.SendMsg(mem.BufferSlice{}) // an empty Export…Response
}

// refused is the answer to a request that is not accepted. When to retry is given in each
// of the places where clients look: Go's in the status's details, Python's in a trailer
// that has them alone, and clients for which gRPC itself retries in the trailer that it
// defines for that.
func refused(stream grpc.ServerStream, err error) error {
	st := statusOf(err)
	if st.Code() == codes.Unavailable {
		trailer := metadata.Pairs("grpc-retry-pushback-ms", strconv.FormatInt(retryAfter.Milliseconds(), 10))
		if info, err := proto.Marshal(retryInfo()); err == nil {
			trailer.Set("google.rpc.retryinfo-bin", string(info))
		}
		stream.SetTrailer(trailer)
	}
	return st.Err()
}

// senderOf is the sender of a gRPC call.
func senderOf(ctx context.Context) sender {
	from := sender{transport: transportGRPC}
	if p, ok := peer.FromContext(ctx); ok {
		from.client = p.Addr.String()
	}
	return from
}

// unreadable counts a request whose message could not be received, and returns the error
// for its client.
func (g *grpcServer) unreadable(stream grpc.ServerStream, err error) error {
	ctx := stream.Context()
	reason := refusedMalformed
	switch {
	case errors.Is(err, listen.ErrNoRoom):
		reason, err = refusedOverload, errOverload
	case errors.Is(err, listen.ErrTooSlow):
		reason = refusedTooSlow
	case errors.Is(err, listen.ErrTooLarge):
		reason, err = refusedTooLarge, fmt.Errorf("%w: %w; send smaller batches, or give the collector more memory", wire.ErrTooLarge, err)
	case errors.Is(err, wire.ErrTooLarge):
		reason = refusedTooLarge
		err = fmt.Errorf("%w; send smaller batches, or raise grpc > max_recv_msg_size above %s", err, g.config.MaxRecvMsgSize)
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err() // the client has disconnected
	case status.Code(err) == codes.Unavailable:
		return err // so has its connection
	default:
		err = pipeline.Permanent(fmt.Errorf("read the message: %w", err))
	}
	return refused(stream, g.intake.refuse(senderOf(ctx), reason, err))
}

// serves lists the methods of the wired signals.
func (g *grpcServer) serves() (methods []string) {
	for _, s := range flow.Signals() {
		if g.intake.sinks[s] != nil {
			methods = append(methods, "/"+rawgrpc.Service(s)+"/Export")
		}
	}
	return methods
}

// unknown answers calls of services that are not served.
func (g *grpcServer) unknown(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	for _, s := range flow.Signals() {
		if service == rawgrpc.Service(s) {
			g.intake.count(senderOf(stream.Context()), refusedUnwired, unwired(s))
			g.unwired.Log(g.logger, slog.LevelWarn, "", "a client sends a signal that is not connected; add it to the output block of the receiver", "signal", s)
			return status.Errorf(codes.Unimplemented, "unknown service %s", service)
		}
	}
	if hint := g.paths.Unknown(g.serves(), http.MethodPost, method, senderOf(stream.Context()).client); hint != "" {
		return status.Errorf(codes.Unimplemented, "unknown service %s: %s", service, hint)
	}
	return status.Errorf(codes.Unimplemented, "unknown service %s", service)
}
