// Package filter is otelcol.processor.filter.
package filter

import (
	_ "embed"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/filterprocessor"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/processor/ottl"
)

// Config is the configuration of otelcol.processor.filter. Items for which one of the
// conditions holds are dropped.
type Config struct {
	ErrorMode    ottl.ErrorMode    `alloy:"error_mode,attr,optional"`
	Traces       Traces            `alloy:"traces,block,optional"`
	Metrics      Metrics           `alloy:"metrics,block,optional"`
	Logs         Logs              `alloy:"logs,block,optional"`
	DebugMetrics flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
	Output       flow.Output       `alloy:"output,block"`
}

// Traces is the block traces.
type Traces struct {
	Span      []string `alloy:"span,attr,optional"`
	SpanEvent []string `alloy:"spanevent,attr,optional"`
}

// Metrics is the block metrics.
type Metrics struct {
	Metric    []string `alloy:"metric,attr,optional"`
	DataPoint []string `alloy:"datapoint,attr,optional"`
}

// Logs is the block logs.
type Logs struct {
	LogRecord []string `alloy:"log_record,attr,optional"`
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{ErrorMode: ottl.Propagate}
	c.DebugMetrics.SetToDefault()
}

// list is one of the arguments.
type list struct {
	block, argument string
	conditions      []string
}

func (c *Config) lists() []list {
	return []list{
		{"traces", "span", c.Traces.Span},
		{"traces", "spanevent", c.Traces.SpanEvent},
		{"metrics", "metric", c.Metrics.Metric},
		{"metrics", "datapoint", c.Metrics.DataPoint},
		{"logs", "log_record", c.Logs.LogRecord},
	}
}

// Validate rejects conditions that the language does not know.
func (c *Config) Validate() error {
	var parts []ottl.Part
	for _, l := range c.lists() {
		for i, condition := range l.conditions {
			parts = append(parts, ottl.Part{
				Path:     l.block + "/" + component.Block(l.argument, i),
				Settings: bridge.Settings{l.block: map[string]any{l.argument: []string{condition}}},
			})
		}
	}
	return ottl.Check(filterprocessor.NewFactory(), c.settings(), parts)
}

// settings are the processor's.
func (c *Config) settings() bridge.Settings {
	settings := bridge.Settings{"error_mode": string(c.ErrorMode)}
	for _, l := range c.lists() {
		if len(l.conditions) == 0 {
			continue
		}
		block, ok := settings[l.block].(map[string]any)
		if !ok {
			block = map[string]any{}
			settings[l.block] = block
		}
		block[l.argument] = l.conditions
	}
	return settings
}

//go:embed otelcol.processor.filter.md
var page string

// Definition defines otelcol.processor.filter.
func Definition() component.Definition {
	return component.Define("otelcol.processor.filter", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*bridge.Processor, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	return bridge.NewWith(bridge.Traits{Drops: "filtered"}, filterprocessor.NewFactory(), c.settings(), c.Output, o)
}
