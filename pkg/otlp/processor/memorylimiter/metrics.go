package memorylimiter

import (
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// counters are the metrics of a limiter.
type counters struct {
	accepted, refused map[pipeline.Signal]prometheus.Counter
}

func newCounters(r prometheus.Registerer, id string, l *Limiter) *counters {
	// The labels of the OpenTelemetry SDK, with which the processor's own metrics
	// come in Alloy.
	sdk := prometheus.WrapRegistererWith(prometheus.Labels{
		"processor": "memory_limiter/" + id, "otel_scope_name": "go.opentelemetry.io/collector/processor/memorylimiterprocessor",
		"otel_scope_version": "", "otel_scope_schema_url": "",
	}, r)
	c := &counters{accepted: map[pipeline.Signal]prometheus.Counter{}, refused: map[pipeline.Signal]prometheus.Counter{}}
	for _, s := range flow.Signals() {
		items := flow.Items(s)
		c.accepted[s] = prometheus.NewCounter(prometheus.CounterOpts{
			Name: "otelcol_processor_accepted_" + items + "_total", Help: "Items that were forwarded.",
		})
		c.refused[s] = prometheus.NewCounter(prometheus.CounterOpts{
			Name: "otelcol_processor_refused_" + items + "_total", Help: "Items that were rejected because memory is above the limit. Their senders send them again.",
		})
		sdk.MustRegister(c.accepted[s], c.refused[s])
	}
	gauge := func(name, help string, value func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "collector_memory_limiter_" + name, Help: help}, value))
	}
	gauge("used_bytes", "Bytes of the heap, as the limiter compares them.", func() float64 { return float64(l.used()) })
	gauge("soft_limit_bytes", "Bytes of the heap above which requests are rejected.", func() float64 { return float64(l.soft) })
	gauge("refusing", "1 while requests are rejected.", func() float64 {
		if l.full.Load() != nil {
			return 1
		}
		return 0
	})
	return c
}
