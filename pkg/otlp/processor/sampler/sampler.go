// Package sampler is otelcol.processor.probabilistic_sampler.
package sampler

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/probabilisticsamplerprocessor"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/flow"
)

// Config is the configuration of otelcol.processor.probabilistic_sampler.
type Config struct {
	SamplingPercentage float64           `alloy:"sampling_percentage,attr,optional"`
	HashSeed           uint32            `alloy:"hash_seed,attr,optional"`
	Mode               string            `alloy:"mode,attr,optional"`
	FailClosed         bool              `alloy:"fail_closed,attr,optional"`
	SamplingPrecision  int               `alloy:"sampling_precision,attr,optional"`
	AttributeSource    string            `alloy:"attribute_source,attr,optional"`
	FromAttribute      string            `alloy:"from_attribute,attr,optional"`
	SamplingPriority   string            `alloy:"sampling_priority,attr,optional"`
	DebugMetrics       flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
	Output             flow.Output       `alloy:"output,block"`
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{FailClosed: true, SamplingPrecision: 4, AttributeSource: "traceID"}
	c.DebugMetrics.SetToDefault()
}

const (
	mostDigits = 14                // hexadecimal, of a sampling threshold
	leastShare = 100.0 / (1 << 56) // percent that a threshold can express
)

// Validate rejects what cannot work.
func (c *Config) Validate() error {
	var errs []error
	if p := c.SamplingPercentage; !(p >= 0) || p != 0 && p < leastShare {
		errs = append(errs, component.At("sampling_percentage", fmt.Errorf("%v is not a percentage: use 0 to 100", p)))
	}
	if modes := []string{"", "hash_seed", "equalizing", "proportional"}; !slices.Contains(modes, c.Mode) {
		errs = append(errs, component.At("mode", fmt.Errorf("%q is not known: use hash_seed, equalizing or proportional", c.Mode)))
	}
	if c.SamplingPrecision < 1 || c.SamplingPrecision > mostDigits {
		errs = append(errs, component.At("sampling_precision", fmt.Errorf("%d is not a number of hexadecimal digits from 1 to %d", c.SamplingPrecision, mostDigits)))
	}
	if sources := []string{"", "traceID", "record"}; !slices.Contains(sources, c.AttributeSource) {
		errs = append(errs, component.At("attribute_source", fmt.Errorf("%q is not known: use traceID or record", c.AttributeSource)))
	}
	return errors.Join(errs...)
}

//go:embed otelcol.processor.probabilistic_sampler.md
var page string

// Definition defines otelcol.processor.probabilistic_sampler.
func Definition() component.Definition {
	return component.Define("otelcol.processor.probabilistic_sampler", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*bridge.Processor, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	settings := bridge.Settings{
		"sampling_percentage": c.SamplingPercentage, "hash_seed": c.HashSeed, "mode": c.Mode, "fail_closed": c.FailClosed,
		"sampling_precision": c.SamplingPrecision, "attribute_source": c.AttributeSource, "from_attribute": c.FromAttribute,
		"sampling_priority": c.SamplingPriority,
	}
	return bridge.NewWith(bridge.Traits{Drops: "sampled_out"}, probabilisticsamplerprocessor.NewFactory(), settings, c.Output, o)
}
