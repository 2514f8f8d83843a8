// Package zipkin is otelcol.receiver.zipkin: spans of Zipkin's clients, by HTTP.
package zipkin

import (
	"context"
	_ "embed"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/server"
	"collector/pkg/pipeline"
)

// Config is the configuration of otelcol.receiver.zipkin.
type Config struct {
	ParseStringTags   bool `alloy:"parse_string_tags,attr,optional"`
	server.HTTPConfig `alloy:",squash"`
	DebugMetrics      flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
	Output            flow.Output       `alloy:"output,block"`
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{HTTPConfig: server.HTTPDefaults("0.0.0.0:9411")}
	c.DebugMetrics.SetToDefault()
}

// Receiver is otelcol.receiver.zipkin.
type Receiver struct {
	config Config
	intake *server.Intake
	http   *server.HTTP
	group  *server.Group
}

//go:embed otelcol.receiver.zipkin.md
var page string

// Definition defines otelcol.receiver.zipkin.
func Definition() component.Definition {
	return component.Define("otelcol.receiver.zipkin", New, component.Doc{Page: page})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Receiver, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	c.Output.WarnOther(pipeline.SignalTraces, o)
	in := server.NewIntake(server.Accepts{
		Receiver: "zipkin", Signals: []pipeline.Signal{pipeline.SignalTraces}, Transports: transports(),
	}, c.Output, o)
	paths := listen.NewPaths(o.Metrics, o.Logger)
	paths.Tally = in.Tally
	r := &Receiver{config: c, intake: in, http: server.NewHTTP(server.HTTPOptions{
		Config: c.HTTPConfig, Protocol: newProtocol(c.ParseStringTags), Intake: in, Logger: o.Logger,
		Paths: paths, Limit: listen.NewLimit(listen.MaxConnections(), o.Metrics, o.Logger),
		GRPCHint: "this port serves Zipkin's HTTP API, and this looks like gRPC: use a port that serves gRPC",
	})}
	c.CORS.Warn("cors", o)
	r.group = server.NewGroup("Zipkin spans", o, server.Endpoint{
		Network: "tcp", Address: c.Endpoint, Argument: "endpoint", Transport: server.TransportHTTP, Serve: r.http.Serve,
	})
	r.group.Load = r.loadTLS
	if err := r.loadTLS(); err != nil && !component.Lacks(err) {
		return nil, err
	}
	return r, nil
}

func (r *Receiver) loadTLS() error {
	return server.LoadTLS(&r.http.TLS, "", r.config.TLS, "h2", "http/1.1")
}

// Bind takes the listener. Calling it again does nothing.
func (r *Receiver) Bind() error { return r.group.Bind() }

// Close gives back what Bind took.
func (r *Receiver) Close() { r.group.Close() }

// Run serves until ctx ends, and gives requests in progress a moment to end.
func (r *Receiver) Run(ctx context.Context) error { return r.group.Run(ctx) }

// Receiving is part of inspect.Receiver.
func (r *Receiver) Receiving() listen.Received {
	return r.intake.Tally.Received(r.group.Listens(func(server.Endpoint) string { return "HTTP" })...)
}
