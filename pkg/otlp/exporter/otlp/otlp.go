// Package otlp is otelcol.exporter.otlp: OTLP by gRPC.
package otlp

import (
	_ "embed"
	"strings"

	"collector/pkg/component"
	"collector/pkg/otlp/exporter"
)

//go:embed otelcol.exporter.otlp.md
var page string

// Definition defines otelcol.exporter.otlp.
func Definition() component.Definition {
	return component.Define("otelcol.exporter.otlp", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*exporter.Exporter, error) {
	o = o.WithDefaults()
	g, err := newTransport(c, o)
	if err != nil {
		return nil, err
	}
	if _, port, _ := c.Client.hostPort(); g.off == "" && !strings.HasSuffix(g.target, ":"+port) {
		o.Warn("client/endpoint", "it names no port, so port "+grpcPort+" is used, as gRPC does")
	}
	return exporter.New("otlp", exporter.Blocks{Queue: c.Queue, Retry: c.Retry, DebugMetrics: c.DebugMetrics, Auth: c.Client.Auth}, g, o), nil
}

// NewTransport makes what sends to the endpoint of c, and connects to nothing. o has its
// defaults.
func NewTransport(c Config, o component.Options) (exporter.Transport, error) {
	return newTransport(c, o)
}
