// Package spanmetrics is otelcol.connector.spanmetrics.
package spanmetrics

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/connector/spanmetricsconnector"
	"go.opentelemetry.io/collector/config/configoptional"
	otelconnector "go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// Config is the configuration of otelcol.connector.spanmetrics.
type Config struct {
	Dimensions                   []Dimension       `alloy:"dimension,block,optional"`
	CallsDimensions              []Dimension       `alloy:"calls_dimension,block,optional"`
	ExcludeDimensions            []string          `alloy:"exclude_dimensions,attr,optional"`
	DimensionsCacheSize          int               `alloy:"dimensions_cache_size,attr,optional"`
	ResourceMetricsCacheSize     int               `alloy:"resource_metrics_cache_size,attr,optional"`
	ResourceMetricsKeyAttributes []string          `alloy:"resource_metrics_key_attributes,attr,optional"`
	AggregationCardinalityLimit  int               `alloy:"aggregation_cardinality_limit,attr,optional"`
	AggregationTemporality       string            `alloy:"aggregation_temporality,attr,optional"`
	Histogram                    Histogram         `alloy:"histogram,block"`
	MetricsFlushInterval         time.Duration     `alloy:"metrics_flush_interval,attr,optional"`
	MetricsExpiration            time.Duration     `alloy:"metrics_expiration,attr,optional"`
	TimestampCacheSize           int               `alloy:"metric_timestamp_cache_size,attr,optional"`
	Namespace                    string            `alloy:"namespace,attr,optional"`
	Exemplars                    Exemplars         `alloy:"exemplars,block,optional"`
	Events                       Events            `alloy:"events,block,optional"`
	Output                       flow.Output       `alloy:"output,block"`
	DebugMetrics                 flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
	IncludeInstrumentationScope  []string          `alloy:"include_instrumentation_scope,attr,optional"`
}

// Dimension is an attribute of spans, events or resources that becomes one of metrics.
type Dimension struct {
	Name    string  `alloy:"name,attr"`
	Default *string `alloy:"default,attr,optional"`
}

// Histogram is the block histogram.
type Histogram struct {
	Disable     bool         `alloy:"disable,attr,optional"`
	Dimensions  []Dimension  `alloy:"dimension,block,optional"`
	Unit        string       `alloy:"unit,attr,optional"`
	Exponential *Exponential `alloy:"exponential,block,optional"`
	Explicit    *Explicit    `alloy:"explicit,block,optional"`
}

// Exponential is the block exponential.
type Exponential struct {
	MaxSize int32 `alloy:"max_size,attr,optional"`
}

// Explicit is the block explicit.
type Explicit struct {
	Buckets []time.Duration `alloy:"buckets,attr,optional"`
}

// Exemplars is the block exemplars.
type Exemplars struct {
	Enabled         bool `alloy:"enabled,attr,optional"`
	MaxPerDataPoint int  `alloy:"max_per_data_point,attr,optional"`
}

// Events is the block events.
type Events struct {
	Enabled    bool        `alloy:"enabled,attr,optional"`
	Dimensions []Dimension `alloy:"dimension,block,optional"`
}

// temporalities are the library's names of those of aggregation_temporality.
func temporalities() map[string]string {
	return map[string]string{"CUMULATIVE": "AGGREGATION_TEMPORALITY_CUMULATIVE", "DELTA": "AGGREGATION_TEMPORALITY_DELTA"}
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{
		AggregationTemporality: "CUMULATIVE", MetricsFlushInterval: time.Minute, ResourceMetricsCacheSize: 1000,
		TimestampCacheSize: 1000, Namespace: "traces.span.metrics", Exemplars: Exemplars{MaxPerDataPoint: 5},
	}
	c.DebugMetrics.SetToDefault()
}

// SetToDefault sets the defaults.
func (h *Histogram) SetToDefault() { *h = Histogram{Unit: "ms"} }

// SetToDefault sets the defaults.
func (e *Exponential) SetToDefault() { *e = Exponential{MaxSize: 160} }

// SetToDefault sets the defaults.
func (e *Explicit) SetToDefault() { *e = Explicit{Buckets: bridge.LatencyBuckets()} }

// Validate rejects what cannot work.
func (c *Config) Validate() error {
	var errs []error
	reject := func(wrong bool, argument, why string) {
		if wrong {
			errs = append(errs, component.At(argument, errors.New(why)))
		}
	}
	reject(c.MetricsFlushInterval <= 0, "metrics_flush_interval", "it must be more than 0")
	if temporalities()[c.AggregationTemporality] == "" {
		errs = append(errs, component.At("aggregation_temporality", fmt.Errorf("%q is not known: use CUMULATIVE or DELTA", c.AggregationTemporality)))
	}
	reject(c.AggregationCardinalityLimit < 0, "aggregation_cardinality_limit", "it cannot be negative; 0 is no limit")
	reject(c.AggregationTemporality == "DELTA" && c.TimestampCacheSize <= 0, "metric_timestamp_cache_size", "it must be more than 0")
	reject(c.ResourceMetricsCacheSize <= 0, "resource_metrics_cache_size", "it must be more than 0")
	return errors.Join(append(errs, c.Output.Only(pipeline.SignalMetrics))...)
}

// Validate rejects what cannot work.
func (h *Histogram) Validate() error {
	var errs []error
	if h.Unit != "ms" && h.Unit != "s" {
		errs = append(errs, component.At("unit", fmt.Errorf("%q is not known: use ms or s", h.Unit)))
	}
	switch {
	case h.Exponential != nil && h.Explicit != nil:
		errs = append(errs, component.At("exponential", errors.New("a histogram is either exponential or explicit: remove one of the two blocks")))
	case h.Exponential == nil && h.Explicit == nil:
		errs = append(errs, errors.New("add a block: exponential { } or explicit { }"))
	}
	return errors.Join(errs...)
}

// Validate rejects what cannot work.
func (e *Exponential) Validate() error {
	if e.MaxSize <= 0 {
		return component.At("max_size", errors.New("it must be more than 0"))
	}
	return nil
}

//go:embed otelcol.connector.spanmetrics.md
var page string

// Definition defines otelcol.connector.spanmetrics.
func Definition() component.Definition {
	return component.Define("otelcol.connector.spanmetrics", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*bridge.Connector, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	if c.DimensionsCacheSize != 0 {
		o.Warn("dimensions_cache_size", "it has no effect: use aggregation_cardinality_limit")
	}
	factory := spanmetricsconnector.NewFactory()
	create := func(set otelconnector.Settings, next consumer.Metrics) (otelconnector.Traces, func(context.Context), error) {
		config, err := c.library()
		if err != nil {
			return nil, nil, err
		}
		clock := newClock()
		made, err := factory.CreateTracesToMetrics(clock.within(context.Background()), set, config, next)
		return made, clock.flush, err
	}
	return bridge.NewConnector(factory.Type(), create, c.Output, o)
}

// library is the configuration as the library has it.
func (c *Config) library() (*spanmetricsconnector.Config, error) {
	out := &spanmetricsconnector.Config{
		Dimensions: dimensions(c.Dimensions), CallsDimensions: dimensions(c.CallsDimensions), ExcludeDimensions: c.ExcludeDimensions,
		ResourceMetricsCacheSize: c.ResourceMetricsCacheSize, ResourceMetricsKeyAttributes: c.ResourceMetricsKeyAttributes,
		AggregationTemporality: temporalities()[c.AggregationTemporality], MetricsFlushInterval: c.MetricsFlushInterval,
		MetricsExpiration: c.MetricsExpiration, TimestampCacheSize: &c.TimestampCacheSize, Namespace: c.Namespace,
		Exemplars:                   spanmetricsconnector.ExemplarsConfig{Enabled: c.Exemplars.Enabled, MaxPerDataPoint: c.Exemplars.MaxPerDataPoint},
		Events:                      spanmetricsconnector.EventsConfig{Enabled: c.Events.Enabled, Dimensions: dimensions(c.Events.Dimensions)},
		IncludeInstrumentationScope: c.IncludeInstrumentationScope, AggregationCardinalityLimit: c.AggregationCardinalityLimit,
		Histogram: spanmetricsconnector.HistogramConfig{Disable: c.Histogram.Disable, Dimensions: dimensions(c.Histogram.Dimensions)},
	}
	if e := c.Histogram.Exponential; e != nil {
		out.Histogram.Exponential = configoptional.Some(spanmetricsconnector.ExponentialHistogramConfig{MaxSize: e.MaxSize})
	}
	if e := c.Histogram.Explicit; e != nil {
		out.Histogram.Explicit = configoptional.Some(spanmetricsconnector.ExplicitHistogramConfig{Buckets: e.Buckets})
	}
	return out, out.Histogram.Unit.UnmarshalText([]byte(c.Histogram.Unit))
}

func dimensions(all []Dimension) (out []spanmetricsconnector.Dimension) {
	for _, d := range all {
		out = append(out, spanmetricsconnector.Dimension{Name: d.Name, Default: d.Default})
	}
	return out
}
