// Package otlp is otelcol.receiver.otlp: OTLP over gRPC and HTTP, received as bytes.
package otlp

import (
	"context"
	_ "embed"
	"errors"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/rawgrpc"
	"collector/pkg/otlp/server"
)

// Receiver is otelcol.receiver.otlp.
type Receiver struct {
	config Config
	intake *server.Intake
	grpc   *server.GRPC // nil: not served
	http   *server.HTTP // nil: not served
	group  *server.Group
}

//go:embed otelcol.receiver.otlp.md
var page string

// Definition defines otelcol.receiver.otlp.
func Definition() component.Definition {
	return component.Define("otelcol.receiver.otlp", New, component.Doc{Page: page})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Receiver, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	in := server.NewIntake(server.Accepts{
		Receiver: "otlp", Signals: flow.Signals(), Transports: []string{server.TransportGRPC, server.TransportHTTP},
	}, c.Output, o)
	r := &Receiver{config: c, intake: in}
	paths, limit := listen.NewPaths(o.Metrics, o.Logger), listen.NewLimit(listen.MaxConnections(), o.Metrics, o.Logger)
	paths.Tally = in.Tally
	var endpoints []server.Endpoint
	if c.GRPC != nil {
		r.grpc = server.NewGRPC(server.GRPCOptions{
			Config: c.GRPC.GRPCConfig, Methods: methods(), Intake: in, Logger: o.Logger, Paths: paths, Limit: limit, Block: "grpc > ",
			HTTPHint: "this port serves OTLP/gRPC, and this looks like OTLP/HTTP: use the HTTP port, usually 4318, or set the client's protocol to grpc",
		})
		endpoints = append(endpoints, server.Endpoint{Network: c.GRPC.Transport, Address: c.GRPC.Endpoint, Argument: "grpc > endpoint", Transport: server.TransportGRPC, Serve: r.grpc.Serve})
	}
	if c.HTTP != nil {
		r.http = server.NewHTTP(server.HTTPOptions{
			Config: c.HTTP.HTTPConfig, Protocol: newProtocol(*c.HTTP), Intake: in, Logger: o.Logger, Paths: paths, Limit: limit, Block: "http > ",
			GRPCHint: "this port serves OTLP/HTTP, and this looks like OTLP/gRPC: use the gRPC port, usually 4317, or set the client's protocol to http/protobuf",
		})
		c.HTTP.CORS.Warn("http/cors", o)
		endpoints = append(endpoints, server.Endpoint{Network: "tcp", Address: c.HTTP.Endpoint, Argument: "http > endpoint", Transport: server.TransportHTTP, Serve: r.http.Serve})
	}
	r.group = server.NewGroup("OTLP", o, endpoints...)
	r.group.Load = r.loadTLS
	if err := r.loadTLS(); err != nil && !component.Lacks(err) {
		return nil, err
	}
	return r, nil
}

// methods lists the methods of OTLP/gRPC.
func methods() (all []server.Method) {
	for _, s := range flow.Signals() {
		all = append(all, server.Method{Service: rawgrpc.Service(s), Name: "Export", Signal: s})
	}
	return all
}

func (r *Receiver) loadTLS() error {
	var err1, err2 error
	if r.grpc != nil {
		err1 = server.LoadTLS(&r.grpc.TLS, "grpc/", r.config.GRPC.TLS, "h2")
	}
	if r.http != nil {
		err2 = server.LoadTLS(&r.http.TLS, "http/", r.config.HTTP.TLS, "h2", "http/1.1")
	}
	return errors.Join(err1, err2)
}

// Bind takes the listeners. Calling it again does nothing.
func (r *Receiver) Bind() error { return r.group.Bind() }

// Close gives back what Bind took.
func (r *Receiver) Close() { r.group.Close() }

// Run serves until ctx ends, and gives requests in progress a moment to end.
func (r *Receiver) Run(ctx context.Context) error { return r.group.Run(ctx) }

// Receiving is part of inspect.Receiver.
func (r *Receiver) Receiving() listen.Received {
	return r.intake.Tally.Received(r.group.Listens(func(e server.Endpoint) string {
		return map[string]string{server.TransportGRPC: "gRPC", server.TransportHTTP: "HTTP"}[e.Transport]
	})...)
}
