// Package cumulativetodelta is otelcol.processor.cumulativetodelta.
package cumulativetodelta

import (
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/cumulativetodeltaprocessor"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/flow"
)

// Config is the configuration of otelcol.processor.cumulativetodelta.
type Config struct {
	MaxStaleness time.Duration     `alloy:"max_staleness,attr,optional"`
	InitialValue string            `alloy:"initial_value,attr,optional"`
	Include      Match             `alloy:"include,block,optional"`
	Exclude      Match             `alloy:"exclude,block,optional"`
	DebugMetrics flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
	Output       flow.Output       `alloy:"output,block"`
}

// Match is a block include or exclude.
type Match struct {
	Metrics     []string `alloy:"metrics,attr,optional"`
	MatchType   string   `alloy:"match_type,attr,optional"`
	MetricTypes []string `alloy:"metric_types,attr,optional"`
}

// The ways to match.
const (
	strict     = "strict"
	byPatterns = "regexp"
)

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{InitialValue: "auto"}
	c.DebugMetrics.SetToDefault()
}

// Validate rejects what cannot work.
func (c *Config) Validate() error {
	var errs []error
	if c.MaxStaleness < 0 {
		errs = append(errs, component.At("max_staleness", errors.New("it cannot be negative; 0s keeps values forever")))
	}
	if values := []string{"auto", "keep", "drop"}; !slices.Contains(values, c.InitialValue) {
		errs = append(errs, component.At("initial_value", fmt.Errorf("%q is not known: use auto, keep or drop", c.InitialValue)))
	}
	return errors.Join(errs...)
}

// Validate rejects what cannot work.
func (m *Match) Validate() error {
	var errs []error
	switch {
	case m.MatchType == "" && len(m.Metrics) > 0:
		errs = append(errs, component.At("match_type", fmt.Errorf("it is needed with metrics: use %s or %s", strict, byPatterns)))
	case m.MatchType != "" && m.MatchType != strict && m.MatchType != byPatterns:
		errs = append(errs, component.At("match_type", fmt.Errorf("%q is not known: use %s or %s", m.MatchType, strict, byPatterns)))
	case m.MatchType != "" && len(m.Metrics) == 0:
		errs = append(errs, component.At("metrics", errors.New("it is needed with match_type: list names of metrics")))
	}
	if m.MatchType == byPatterns {
		for i, pattern := range m.Metrics {
			_, err := regexp.Compile(pattern)
			errs = append(errs, component.At(component.Block("metrics", i), err))
		}
	}
	for i, kind := range m.MetricTypes {
		if kind != "sum" && kind != "histogram" {
			errs = append(errs, component.At(component.Block("metric_types", i), fmt.Errorf("%q is not known: use sum or histogram", kind)))
		}
	}
	return errors.Join(errs...)
}

// settings are the processor's, without what is not set.
func (m *Match) settings() map[string]any {
	settings := map[string]any{}
	if len(m.Metrics) > 0 {
		settings["metrics"] = m.Metrics
	}
	if m.MatchType != "" {
		settings["match_type"] = m.MatchType
	}
	if len(m.MetricTypes) > 0 {
		settings["metric_types"] = m.MetricTypes
	}
	return settings
}

//go:embed otelcol.processor.cumulativetodelta.md
var page string

// Definition defines otelcol.processor.cumulativetodelta.
func Definition() component.Definition {
	return component.Define("otelcol.processor.cumulativetodelta", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*bridge.Processor, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	settings := bridge.Settings{
		"max_staleness": c.MaxStaleness, "initial_value": c.InitialValue,
		"include": c.Include.settings(), "exclude": c.Exclude.settings(),
	}
	return bridge.NewWith(bridge.Traits{Drops: "no_delta", Remembers: true}, cumulativetodeltaprocessor.NewFactory(), settings, c.Output, o)
}
