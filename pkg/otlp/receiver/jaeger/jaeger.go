// Package jaeger is otelcol.receiver.jaeger: spans of Jaeger's clients and agents, by
// gRPC, HTTP and UDP.
package jaeger

import (
	"context"
	_ "embed"
	"errors"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/otlp/server"
	"collector/pkg/otlp/translate"
	"collector/pkg/pipeline"
)

// The transports, as metrics name them.
const (
	overGRPC   = "grpc"
	overHTTP   = "collector_http"
	udpBinary  = "udp_thrift_binary"
	udpCompact = "udp_thrift_compact"
)

// Receiver is otelcol.receiver.jaeger.
type Receiver struct {
	config Protocols
	intake *server.Intake
	grpc   *server.GRPC // nil: not served
	http   *server.HTTP // nil: not served
	group  *server.Group
}

//go:embed otelcol.receiver.jaeger.md
var page string

// Definition defines otelcol.receiver.jaeger.
func Definition() component.Definition {
	return component.Define("otelcol.receiver.jaeger", New, component.Doc{Page: page})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Receiver, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	c.Output.WarnOther(pipeline.SignalTraces, o)
	p := c.Protocols
	var transports []string
	for transport, served := range map[string]bool{
		overGRPC: p.GRPC != nil, overHTTP: p.ThriftHTTP != nil, udpBinary: p.ThriftBinary != nil, udpCompact: p.ThriftCompact != nil,
	} {
		if served {
			transports = append(transports, transport)
		}
	}
	in := server.NewIntake(server.Accepts{Receiver: "jaeger", Signals: []pipeline.Signal{pipeline.SignalTraces}, Transports: transports}, c.Output, o)
	r := &Receiver{config: p, intake: in}
	r.group = server.NewGroup("Jaeger spans", o, r.endpoints(o)...)
	r.group.Load = r.loadTLS
	if err := r.loadTLS(); err != nil && !component.Lacks(err) {
		return nil, err
	}
	return r, nil
}

// endpoints makes the servers, and says where they listen.
func (r *Receiver) endpoints(o component.Options) (all []server.Endpoint) {
	p, in := r.config, r.intake
	paths, limit := listen.NewPaths(o.Metrics, o.Logger), listen.NewLimit(listen.MaxConnections(), o.Metrics, o.Logger)
	paths.Tally = in.Tally
	if p.GRPC != nil {
		r.grpc = server.NewGRPC(server.GRPCOptions{
			Config: p.GRPC.GRPCConfig, Methods: methods(), Intake: in, Logger: o.Logger, Paths: paths, Limit: limit, Block: "protocols > grpc > ",
			HTTPHint: "this port serves Jaeger's gRPC, and this looks like HTTP: use the port of thrift_http, usually 14268",
		})
		all = append(all, server.Endpoint{Network: p.GRPC.Transport, Address: p.GRPC.Endpoint, Argument: "protocols > grpc > endpoint", Transport: overGRPC, Serve: r.grpc.Serve})
	}
	if p.ThriftHTTP != nil {
		r.http = server.NewHTTP(server.HTTPOptions{
			Config: p.ThriftHTTP.HTTPConfig, Protocol: thriftHTTP{}, Intake: in, Logger: o.Logger, Paths: paths, Limit: limit, Block: "protocols > thrift_http > ",
			GRPCHint: "this port serves Jaeger's Thrift over HTTP, and this looks like gRPC: use the gRPC port, usually 14250",
		})
		p.ThriftHTTP.CORS.Warn("protocols/thrift_http/cors", o)
		all = append(all, server.Endpoint{Network: "tcp", Address: p.ThriftHTTP.Endpoint, Argument: "protocols > thrift_http > endpoint", Transport: overHTTP, Serve: r.http.Serve})
	}
	lost := newLost(o.Metrics)
	add := func(c UDP, block, transport string, protocol newThrift) {
		u := newUDP(c, transport, protocol, in, lost, o.Logger)
		all = append(all, server.Endpoint{Network: "udp", Address: c.Endpoint, Argument: "protocols > " + block + " > endpoint", Transport: transport, ServePackets: func(ctx context.Context, p *listen.Packets) error {
			return u.serve(ctx, p)
		}})
	}
	if p.ThriftBinary != nil {
		add(p.ThriftBinary.UDP, "thrift_binary", udpBinary, translate.Binary)
	}
	if p.ThriftCompact != nil {
		add(p.ThriftCompact.UDP, "thrift_compact", udpCompact, translate.Compact)
	}
	return all
}

func (r *Receiver) loadTLS() error {
	var err1, err2 error
	if r.grpc != nil {
		err1 = server.LoadTLS(&r.grpc.TLS, "protocols/grpc/", r.config.GRPC.TLS, "h2")
	}
	if r.http != nil {
		err2 = server.LoadTLS(&r.http.TLS, "protocols/thrift_http/", r.config.ThriftHTTP.TLS, "h2", "http/1.1")
	}
	return errors.Join(err1, err2)
}

// Bind takes the listeners. Calling it again does nothing.
func (r *Receiver) Bind() error { return r.group.Bind() }

// Close gives back what Bind took.
func (r *Receiver) Close() { r.group.Close() }

// Run serves until ctx ends, and gives requests in progress, and datagrams that wait, a
// moment to end.
func (r *Receiver) Run(ctx context.Context) error { return r.group.Run(ctx) }

// Receiving is part of inspect.Receiver.
func (r *Receiver) Receiving() listen.Received {
	return r.intake.Tally.Received(r.group.Listens(func(e server.Endpoint) string {
		return map[string]string{overGRPC: "gRPC", overHTTP: "HTTP", udpBinary: "Thrift binary over UDP", udpCompact: "Thrift compact over UDP"}[e.Transport]
	})...)
}
