// Package static is prometheus.exporter.static: a page of metrics that the
// configuration has.
package static

import (
	_ "embed"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"collector/pkg/component"
	"collector/pkg/exporters/exporter"
)

//go:embed prometheus.exporter.static.md
var page string

// Definition is the component prometheus.exporter.static.
func Definition() component.Definition {
	return component.Define("prometheus.exporter.static", New, exporter.Doc(page))
}

// Config is the configuration of prometheus.exporter.static.
type Config struct {
	Text string `alloy:"text,attr"`
}

// Validate reports what is not in Prometheus's text format.
func (c *Config) Validate() error {
	_, err := c.families()
	return component.At("text", err)
}

// families reads the text.
func (c *Config) families() ([]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(c.Text))
	if err != nil {
		return nil, fmt.Errorf("read metrics in Prometheus's text format: %w", err)
	}
	return slices.SortedFunc(maps.Values(families), func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) }), nil
}

// New makes the exporter.
func New(cfg Config, o component.Options) (*exporter.Exporter, error) {
	families, err := cfg.families()
	if err != nil {
		return nil, component.At("text", err)
	}
	gathered := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })
	return exporter.New(o, "static", o.ID, http.Handler(promhttp.HandlerFor(gathered, promhttp.HandlerOpts{EnableOpenMetrics: true}))), nil
}
