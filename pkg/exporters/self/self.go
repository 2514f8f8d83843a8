// Package self is prometheus.exporter.self: the collector's own metrics.
package self

import (
	_ "embed"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/exporters/exporter"
)

//go:embed prometheus.exporter.self.md
var page string

// Config is the configuration of prometheus.exporter.self, which has no settings.
type Config struct{}

// Definition is the component prometheus.exporter.self, whose page has metrics.
func Definition(metrics prometheus.Gatherer) component.Definition {
	construct := func(_ Config, o component.Options) (*exporter.Exporter, error) {
		return exporter.New(o, "self", exporter.Host(), exporter.Page(o, metrics, nil)), nil
	}
	return component.Define("prometheus.exporter.self", construct, exporter.Doc(page))
}
