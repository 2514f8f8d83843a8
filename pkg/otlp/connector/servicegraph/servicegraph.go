// Package servicegraph is otelcol.connector.servicegraph.
package servicegraph

import (
	"context"
	_ "embed"
	"errors"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/connector/servicegraphconnector"
	otelconnector "go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// Config is the configuration of otelcol.connector.servicegraph.
type Config struct {
	LatencyHistogramBuckets     []time.Duration   `alloy:"latency_histogram_buckets,attr,optional"`
	Dimensions                  []string          `alloy:"dimensions,attr,optional"`
	Store                       Store             `alloy:"store,block,optional"`
	CacheLoop                   time.Duration     `alloy:"cache_loop,attr,optional"`
	StoreExpirationLoop         time.Duration     `alloy:"store_expiration_loop,attr,optional"`
	MetricsFlushInterval        time.Duration     `alloy:"metrics_flush_interval,attr,optional"`
	DatabaseNameAttributes      []string          `alloy:"database_name_attributes,attr,optional"`
	ExponentialHistogramMaxSize int32             `alloy:"exponential_histogram_max_size,attr,optional"`
	Output                      flow.Output       `alloy:"output,block"`
	DebugMetrics                flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
}

// Store is the block store.
type Store struct {
	MaxItems int           `alloy:"max_items,attr,optional"`
	TTL      time.Duration `alloy:"ttl,attr,optional"`
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{
		LatencyHistogramBuckets: bridge.LatencyBuckets(), Dimensions: []string{}, CacheLoop: time.Minute, StoreExpirationLoop: 2 * time.Second,
		DatabaseNameAttributes: []string{"db.name"}, MetricsFlushInterval: time.Minute,
	}
	c.Store.SetToDefault()
	c.DebugMetrics.SetToDefault()
}

// SetToDefault sets the defaults.
func (s *Store) SetToDefault() { *s = Store{MaxItems: 1000, TTL: 2 * time.Second} }

// Validate rejects what cannot work.
func (c *Config) Validate() error {
	var errs []error
	for argument, d := range map[string]time.Duration{"cache_loop": c.CacheLoop, "store_expiration_loop": c.StoreExpirationLoop} {
		if d <= 0 {
			errs = append(errs, component.At(argument, errors.New("it must be more than 0")))
		}
	}
	if c.ExponentialHistogramMaxSize < 0 {
		errs = append(errs, component.At("exponential_histogram_max_size", errors.New("it cannot be negative; 0 is a histogram with fixed buckets")))
	}
	return errors.Join(append(errs, c.Output.Only(pipeline.SignalMetrics))...)
}

// Validate rejects what cannot work.
func (s *Store) Validate() error {
	var errs []error
	if s.MaxItems <= 0 {
		errs = append(errs, component.At("max_items", errors.New("it must be more than 0")))
	}
	if s.TTL <= 0 {
		errs = append(errs, component.At("ttl", errors.New("it must be more than 0")))
	}
	return errors.Join(errs...)
}

//go:embed otelcol.connector.servicegraph.md
var page string

// Definition defines otelcol.connector.servicegraph.
func Definition() component.Definition {
	return component.Define("otelcol.connector.servicegraph", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*bridge.Connector, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	factory := servicegraphconnector.NewFactory()
	create := func(set otelconnector.Settings, next consumer.Metrics) (otelconnector.Traces, func(context.Context), error) {
		config := c.library()
		made, err := factory.CreateTracesToMetrics(context.Background(), set, config, next)
		flush := func(ctx context.Context) {
			// With this interval the library sends its metrics whenever it is given spans. It
			// reads the interval each time, and nobody else gives it spans now.
			*config.MetricsFlushInterval = 0
			_ = made.ConsumeTraces(ctx, ptrace.NewTraces()) // the library logs what fails
		}
		return made, flush, err
	}
	return bridge.NewConnector(factory.Type(), create, c.Output, o)
}

// library is the configuration as the library has it.
func (c *Config) library() *servicegraphconnector.Config {
	interval := c.MetricsFlushInterval
	return &servicegraphconnector.Config{
		LatencyHistogramBuckets: c.LatencyHistogramBuckets, Dimensions: c.Dimensions,
		Store:     servicegraphconnector.StoreConfig{MaxItems: c.Store.MaxItems, TTL: c.Store.TTL},
		CacheLoop: c.CacheLoop, StoreExpirationLoop: c.StoreExpirationLoop, MetricsFlushInterval: &interval,
		DatabaseNameAttributes: c.DatabaseNameAttributes, ExponentialHistogramMaxSize: c.ExponentialHistogramMaxSize,
	}
}
