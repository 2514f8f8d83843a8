package server

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
// anything, and leaves the connection to those that make progress: more of them would
// each hold a part of the room and wait for the rest.
func maxStreams(budget *listen.Budget) uint32 {
	const message, least = 1 << 20, 4
	return uint32(min(max(budget.Max()/message, least), mostStreams))
}

// Method is a method of a service of gRPC.
type Method struct {
	Service, Name string
	Signal        pipeline.Signal
	// Decode makes a payload of a message, which it does not keep. Nil: the message is
	// a request of OTLP.
	Decode func(claim *listen.Claim, message []byte) (Payload, error)
}

func (m Method) path() string { return "/" + m.Service + "/" + m.Name }

// GRPCOptions are what a server of gRPC is made with.
type GRPCOptions struct {
	Config   GRPCConfig
	Methods  []Method // all; those of signals without an output are not served
	Intake   *Intake
	Logger   *slog.Logger
	Paths    *listen.Paths
	Limit    *listen.Limit
	Block    string // where its arguments are, for messages: "grpc > "
	HTTPHint string // what a client that speaks HTTP/1 is told
}

// GRPC is a server of gRPC. Answers are empty messages.
type GRPC struct {
	GRPCOptions
	TLS *tls.Config // nil: plain text

	unwired throttle.Log
}

// NewGRPC makes a server.
func NewGRPC(o GRPCOptions) *GRPC {
	rawgrpc.Setup()
	o.Config = o.Config.withDefaults()
	return &GRPC{GRPCOptions: o}
}

// services are the methods of each service that is served.
func (g *GRPC) services() map[string][]grpc.StreamDesc {
	services := make(map[string][]grpc.StreamDesc)
	for _, m := range g.Methods {
		if g.Intake.Wired(m.Signal) {
			// A unary call is a stream of one message each way; as a stream, it
			// reaches the handler even when its message cannot be read.
			services[m.Service] = append(services[m.Service], grpc.StreamDesc{StreamName: m.Name, ServerStreams: true, Handler: g.handler(m)})
		}
	}
	return services
}

// Serve answers requests until ctx ends; it closes l.
func (g *GRPC) Serve(ctx context.Context, l net.Listener) error {
	l = g.Limit.Listener(l)
	if g.TLS != nil {
		l = tls.NewListener(l, g.TLS)
	}
	s := grpc.NewServer(g.options()...)
	for service, methods := range g.services() {
		s.RegisterService(&grpc.ServiceDesc{ServiceName: service, HandlerType: (*any)(nil), Streams: methods}, g)
	}
	accepting := &sniffer{Listener: l, protocol: TransportGRPC, isTLS: g.TLS != nil, httpHint: g.HTTPHint, intake: g.Intake, logger: g.Logger}
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

func (g *GRPC) options() []grpc.ServerOption {
	c := g.Config
	if c.MaxConcurrentStreams == 0 {
		c.MaxConcurrentStreams = maxStreams(g.Intake.Budget)
	}
	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(rawgrpc.Codec{}),
		grpc.StatsHandler(encodingWatch{intake: g.Intake}),
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

// handler answers the calls of a method.
func (g *GRPC) handler(m Method) grpc.StreamHandler {
	return func(_ any, stream grpc.ServerStream) error {
		start := time.Now()
		err := g.receive(m, stream)
		g.Intake.metrics.rpcDuration.WithLabelValues("grpc", m.Service, m.Name, rawgrpc.StatusNumber(err)).
			Observe(float64(time.Since(start).Microseconds()) / 1000)
		return err
	}
}

func (g *GRPC) receive(m Method, stream grpc.ServerStream) error {
	ctx := stream.Context()
	md, _ := metadata.FromIncomingContext(ctx)
	known, err := g.Intake.authenticate(g.Config.Auth, flow.Metadata(md), senderOf(ctx))
	if err != nil {
		return refused(stream, err)
	}
	in, err := g.arrive(ctx)
	if in != nil {
		defer in.release()
	}
	if err == nil {
		err = in.receive(int(g.Config.MaxRecvMsgSize))
	}
	if errors.Is(err, listen.ErrGone) {
		err = in.Arrival.Read(0, err) // its context also ends when it is too slow
	}
	if err != nil {
		return g.unreadable(stream, err)
	}
	payload := Payload{Data: in.message}
	if m.Decode != nil {
		if payload, err = decoded(func() (Payload, error) { return m.Decode(in.Claim, in.message) }); err != nil {
			return g.unreadable(stream, err)
		}
	}
	ctx = flow.WithAuth(ctx, known)
	if g.Config.IncludeMetadata {
		md.Set("host", md[":authority"]...)
		ctx = flow.WithMetadata(ctx, flow.Metadata(md))
	}
	if err := g.Intake.Take(ctx, m.Signal, payload, in.Claim, senderOf(ctx)); err != nil {
		return refused(stream, err)
	}
	return stream.SendMsg(mem.BufferSlice{}) // an empty Export…Response
}

// refused is the answer to a request that is not accepted. When to retry is given in each
// of the places where clients look: Go's in the status's details, Python's in a trailer
// that has them alone, and clients for which gRPC itself retries in the trailer that it
// defines for that.
func refused(stream grpc.ServerStream, err error) error {
	st := StatusOf(err)
	if st.Code() == codes.Unavailable {
		trailer := metadata.Pairs("grpc-retry-pushback-ms", strconv.FormatInt(RetryAfter.Milliseconds(), 10))
		if info, err := proto.Marshal(retryInfo()); err == nil {
			trailer.Set("google.rpc.retryinfo-bin", string(info))
		}
		stream.SetTrailer(trailer)
	}
	return st.Err()
}

// senderOf is the sender of a gRPC call.
func senderOf(ctx context.Context) Sender {
	from := Sender{Transport: TransportGRPC}
	if p, ok := peer.FromContext(ctx); ok {
		from.Client = p.Addr.String()
	}
	return from
}

// unreadable counts a request whose message could not be received, and returns the error
// for its client.
func (g *GRPC) unreadable(stream grpc.ServerStream, err error) error {
	ctx := stream.Context()
	reason := refusedMalformed
	switch {
	case errors.Is(err, listen.ErrNoRoom):
		reason, err = refusedOverload, errOverload
	case errors.Is(err, listen.ErrTooSlow):
		reason = refusedTooSlow
	case errors.Is(err, listen.ErrTooLarge):
		reason, err = refusedTooLarge, fmt.Errorf("%w: %w; send smaller batches, or give the collector more memory", wire.ErrTooLarge, err)
	case errors.Is(err, ErrTooMuchWork):
		reason = refusedTooLarge
	case errors.Is(err, wire.ErrTooLarge):
		reason = refusedTooLarge
		err = fmt.Errorf("%w; send smaller batches, or raise %smax_recv_msg_size above %s", err, g.Block, g.Config.MaxRecvMsgSize)
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err() // the client has disconnected
	case status.Code(err) == codes.Unavailable:
		return err // so has its connection
	default:
		err = pipeline.Permanent(fmt.Errorf("read the message: %w", err))
	}
	return refused(stream, g.Intake.Refuse(senderOf(ctx), reason, err))
}

// serves lists the methods of the wired signals.
func (g *GRPC) serves() (methods []string) {
	for _, m := range g.Methods {
		if g.Intake.Wired(m.Signal) {
			methods = append(methods, m.path())
		}
	}
	return methods
}

// unknown answers calls of methods that are not served.
func (g *GRPC) unknown(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	for _, m := range g.Methods {
		if service == m.Service && !g.Intake.Wired(m.Signal) {
			g.Intake.count(senderOf(stream.Context()), refusedUnwired, unwired(m.Signal))
			g.unwired.Log(g.Logger, slog.LevelWarn, "", "a client sends a signal that is not connected; add it to the output block of the receiver", "signal", m.Signal)
			return status.Errorf(codes.Unimplemented, "unknown service %s", service)
		}
	}
	if hint := g.Paths.Unknown(g.serves(), http.MethodPost, method, senderOf(stream.Context()).Client); hint != "" {
		return status.Errorf(codes.Unimplemented, "unknown service %s: %s", service, hint)
	}
	return status.Errorf(codes.Unimplemented, "unknown service %s", service)
}
