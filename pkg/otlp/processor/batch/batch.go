// Package batch is otelcol.processor.batch.
package batch

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// Config is the configuration of otelcol.processor.batch.
type Config struct {
	Timeout                  time.Duration     `alloy:"timeout,attr,optional"`
	SendBatchSize            uint32            `alloy:"send_batch_size,attr,optional"`
	SendBatchMaxSize         uint32            `alloy:"send_batch_max_size,attr,optional"`
	MetadataKeys             []string          `alloy:"metadata_keys,attr,optional"`
	MetadataCardinalityLimit uint32            `alloy:"metadata_cardinality_limit,attr,optional"`
	DebugMetrics             flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
	Output                   flow.Output       `alloy:"output,block"`
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{Timeout: 200 * time.Millisecond, SendBatchSize: 2000, SendBatchMaxSize: 3000, MetadataCardinalityLimit: 1000}
	c.DebugMetrics.SetToDefault()
}

// Validate rejects what cannot work.
func (c *Config) Validate() error {
	var errs []error
	if c.SendBatchMaxSize > 0 && c.SendBatchMaxSize < c.SendBatchSize {
		errs = append(errs, component.At("send_batch_max_size", fmt.Errorf("%d is below send_batch_size, %d; raise it, or set 0 for no limit", c.SendBatchMaxSize, c.SendBatchSize)))
	}
	if c.Timeout < 0 {
		errs = append(errs, component.At("timeout", errors.New("it cannot be negative")))
	}
	seen := make(map[string]bool)
	for _, k := range c.MetadataKeys {
		if k = strings.ToLower(k); seen[k] {
			errs = append(errs, component.At("metadata_keys", fmt.Errorf("%q is listed twice; case makes no difference", k)))
		}
		seen[k] = true
	}
	return errors.Join(errs...)
}

// Processor is otelcol.processor.batch. It holds nothing back: what it is given is
// forwarded at once, so that its sender learns that it is durable, with a note
// of how to merge it. The exporter merges when it sends.
type Processor struct {
	config   Config
	outputs  map[pipeline.Signal]*flow.Fanout
	batching pipeline.Batching
	keys     []string // metadata_keys in lower case
	metrics  *metrics

	mu     sync.Mutex
	groups map[string]bool // seen; guarded by mu
}

//go:embed otelcol.processor.batch.md
var page string

// Definition defines otelcol.processor.batch.
func Definition() component.Definition {
	return component.Define("otelcol.processor.batch", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Processor, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	b := &Processor{
		config:   c,
		outputs:  make(map[pipeline.Signal]*flow.Fanout),
		batching: pipeline.Batching{Timeout: c.Timeout, MinItems: int(c.SendBatchSize), MaxItems: int(c.SendBatchMaxSize)},
		metrics:  newMetrics(o.Metrics, o.ID),
		groups:   make(map[string]bool),
	}
	for _, k := range c.MetadataKeys {
		b.keys = append(b.keys, strings.ToLower(k))
	}
	for _, s := range flow.Signals() {
		if sinks := c.Output.Sinks(s); len(sinks) > 0 {
			b.outputs[s] = flow.NewFanout(s, sinks, b.metrics.lost, o.Logger)
		}
	}
	if len(b.keys) == 0 {
		b.metrics.cardinality.Set(float64(len(b.outputs))) // each signal is one combination
	}
	return b, nil
}

// Exports is the sink for all signals.
func (b *Processor) Exports() map[string]any { return map[string]any{"input": pipeline.OTLPSink(b)} }

// Run waits for ctx to end.
func (b *Processor) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// WriteOTLP forwards request. A signal that has no output is dropped and counted.
func (b *Processor) WriteOTLP(ctx context.Context, request pipeline.OTLP) error {
	out := b.outputs[request.Signal]
	if out == nil {
		b.metrics.lost.WithLabelValues(string(request.Signal), "no_output").Add(float64(request.Items))
		return nil
	}
	if len(b.keys) > 0 {
		group := b.groupOf(ctx, request.Group)
		if err := b.admit(group); err != nil {
			return err
		}
		request.Group = group
	}
	request.Batching = &b.batching
	return out.WriteOTLP(flow.WithBatchCounter(ctx, b.metrics), request)
}

// ReadsOTLP reports whether a component after the processor decodes requests.
func (b *Processor) ReadsOTLP(s pipeline.Signal) bool {
	out := b.outputs[s]
	return out != nil && out.Reads()
}

// groupOf names the combination of the metadata's values, unambiguously.
func (b *Processor) groupOf(ctx context.Context, before string) string {
	metadata := flow.MetadataOf(ctx)
	name := []byte(before)
	for _, k := range b.keys {
		name = append(name, k...)
		for _, v := range metadata.Values(k) {
			name = append(name, '=')
			name = strconv.AppendQuote(name, v)
		}
		name = append(name, ';')
	}
	return string(name)
}

// admit refuses a combination above the limit. Its sender is at fault, and no
// retry fixes it.
func (b *Processor) admit(group string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.groups[group] {
		return nil
	}
	if limit := int(b.config.MetadataCardinalityLimit); limit > 0 && len(b.groups) >= limit {
		return pipeline.Permanent(fmt.Errorf("there are more than %d combinations of metadata, the metadata_cardinality_limit", limit))
	}
	b.groups[group] = true
	b.metrics.cardinality.Set(float64(len(b.groups)))
	return nil
}

// metrics are the metrics of a batch processor. Exporters after it count what they sent,
// merged as it asked.
type metrics struct {
	size, bytes       prometheus.Histogram
	bySize, byTimeout prometheus.Counter
	cardinality       prometheus.Gauge
	lost              *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, id string) *metrics {
	const prefix = "otelcol_processor_batch_"
	// The labels of the OpenTelemetry SDK, with which the processor's own metrics
	// come in Alloy.
	r = prometheus.WrapRegistererWith(prometheus.Labels{
		"processor": "batch/" + id, "otel_scope_name": "go.opentelemetry.io/collector/processor/batchprocessor",
		"otel_scope_version": "", "otel_scope_schema_url": "",
	}, r)
	m := &metrics{
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "batch_send_size", Help: "Items in the batches that were sent.",
			Buckets: []float64{10, 25, 50, 75, 100, 250, 500, 750, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000, 20000, 30000, 50000, 100000},
		}),
		bytes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "batch_send_size_bytes", Help: "Bytes in the batches that were sent, uncompressed.",
			Buckets: prometheus.ExponentialBuckets(1000, 4, 8),
		}),
		bySize:      prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + "batch_size_trigger_send_total", Help: "Batches that were sent because they were full."}),
		byTimeout:   prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + "timeout_trigger_send_total", Help: "Batches that were sent because their time was up."}),
		cardinality: prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + "metadata_cardinality", Help: "Combinations of metadata values that were seen."}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "lost_items_total", Help: "Items that one of several destinations accepted and another did not, or that have no output.",
		}, []string{"signal", "reason"}),
	}
	r.MustRegister(m.size, m.bytes, m.bySize, m.byTimeout, m.cardinality, m.lost)
	return m
}

// Sent implements flow.BatchCounter.
func (m *metrics) Sent(bytes, items, least int) {
	m.size.Observe(float64(items))
	m.bytes.Observe(float64(bytes))
	if items >= least {
		m.bySize.Inc()
	} else {
		m.byTimeout.Inc()
	}
}
