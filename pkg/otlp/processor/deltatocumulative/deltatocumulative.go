// Package deltatocumulative is otelcol.processor.deltatocumulative.
package deltatocumulative

import (
	_ "embed"
	"errors"
	"math"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/deltatocumulativeprocessor"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/flow"
)

// Config is the configuration of otelcol.processor.deltatocumulative.
type Config struct {
	MaxStale     time.Duration     `alloy:"max_stale,attr,optional"`
	MaxStreams   int               `alloy:"max_streams,attr,optional"`
	Output       flow.Output       `alloy:"output,block"`
	DebugMetrics flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{MaxStale: 5 * time.Minute, MaxStreams: math.MaxInt}
	c.DebugMetrics.SetToDefault()
}

// Validate rejects what cannot work.
func (c *Config) Validate() error {
	var errs []error
	if c.MaxStale <= 0 {
		errs = append(errs, component.At("max_stale", errors.New("it must be more than 0")))
	}
	if c.MaxStreams < 0 {
		errs = append(errs, component.At("max_streams", errors.New("it cannot be negative")))
	}
	return errors.Join(errs...)
}

//go:embed otelcol.processor.deltatocumulative.md
var page string

// Definition defines otelcol.processor.deltatocumulative.
func Definition() component.Definition {
	return component.Define("otelcol.processor.deltatocumulative", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*bridge.Processor, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	settings := bridge.Settings{"max_stale": c.MaxStale, "max_streams": c.MaxStreams}
	return bridge.NewWith(bridge.Traits{Drops: "no_sum", Remembers: true}, deltatocumulativeprocessor.NewFactory(), settings, c.Output, o)
}
