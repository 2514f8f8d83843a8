// Package groupbyattrs is otelcol.processor.groupbyattrs.
package groupbyattrs

import (
	_ "embed"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/groupbyattrsprocessor"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/flow"
)

// Config is the configuration of otelcol.processor.groupbyattrs.
type Config struct {
	Keys         []string          `alloy:"keys,attr,optional"`
	DebugMetrics flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
	Output       flow.Output       `alloy:"output,block"`
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{}
	c.DebugMetrics.SetToDefault()
}

//go:embed otelcol.processor.groupbyattrs.md
var page string

// Definition defines otelcol.processor.groupbyattrs.
func Definition() component.Definition {
	return component.Define("otelcol.processor.groupbyattrs", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*bridge.Processor, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	return bridge.New(limited{groupbyattrsprocessor.NewFactory()}, bridge.Settings{"keys": c.Keys}, c.Output, o)
}
