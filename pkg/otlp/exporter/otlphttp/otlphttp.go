// Package otlphttp is otelcol.exporter.otlphttp: OTLP by HTTP.
package otlphttp

import (
	_ "embed"

	"collector/pkg/component"
	"collector/pkg/otlp/exporter"
)

//go:embed otelcol.exporter.otlphttp.md
var page string

// Definition defines otelcol.exporter.otlphttp.
func Definition() component.Definition {
	return component.Define("otelcol.exporter.otlphttp", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*exporter.Exporter, error) {
	o = o.WithDefaults()
	h, err := newTransport(c, o)
	if err != nil {
		return nil, err
	}
	return exporter.New("otlphttp", exporter.Blocks{Queue: c.Queue, Retry: c.Retry, DebugMetrics: c.DebugMetrics, Auth: c.Client.Auth}, h, o), nil
}
