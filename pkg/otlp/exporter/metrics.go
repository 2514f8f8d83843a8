package exporter

import (
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// metrics are what an exporter counts beside the accounts of its writers.
type metrics struct {
	enqueueFailed map[pipeline.Signal]prometheus.Counter
}

// newMetrics registers the metrics of e, which is called kind in them.
func newMetrics(e *Exporter, kind string) *metrics {
	m := &metrics{enqueueFailed: make(map[pipeline.Signal]prometheus.Counter)}
	for _, s := range flow.Signals() {
		m.enqueueFailed[s] = prometheus.NewCounter(prometheus.CounterOpts{
			Name: "otelcol_exporter_enqueue_failed_" + flow.Items(s) + "_total", Help: "Items that could not be queued; their sender got an error.",
			ConstLabels: prometheus.Labels{"exporter": kind},
		})
		e.o.Metrics.MustRegister(m.enqueueFailed[s])
	}
	e.o.Metrics.MustRegister(newCollector(e, kind))
	return m
}

// collector shows the accounts of an exporter's writers under the
// names that Alloy's dashboards use.
type collector struct {
	e            *Exporter
	sent, failed map[pipeline.Signal]*prometheus.Desc
}

func newCollector(e *Exporter, kind string) *collector {
	c := &collector{e: e, sent: make(map[pipeline.Signal]*prometheus.Desc), failed: make(map[pipeline.Signal]*prometheus.Desc)}
	labels := prometheus.Labels{"exporter": kind}
	for _, s := range flow.Signals() {
		c.sent[s] = prometheus.NewDesc("otelcol_exporter_sent_"+flow.Items(s)+"_total", "Items that the destination accepted.", nil, labels)
		c.failed[s] = prometheus.NewDesc("otelcol_exporter_send_failed_"+flow.Items(s)+"_total", "Items that were dropped.", nil, labels)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, s := range flow.Signals() {
		ch <- c.sent[s]
		ch <- c.failed[s]
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	for _, l := range c.e.started() {
		for _, st := range l.writer.Status() {
			dropped := uint64(0)
			for _, n := range st.Dropped {
				dropped += n
			}
			ch <- prometheus.MustNewConstMetric(c.sent[l.signal], prometheus.CounterValue, float64(st.Delivered))
			ch <- prometheus.MustNewConstMetric(c.failed[l.signal], prometheus.CounterValue, float64(dropped))
		}
	}
}
