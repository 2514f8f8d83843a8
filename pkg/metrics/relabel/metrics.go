package relabel

import (
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/pipeline"
)

// The reasons by which samples are dropped.
const (
	reasonRelabeled     = "relabeled"
	reasonDuplicate     = "duplicate"
	reasonForwardFailed = "forward_failed"
)

// metrics have Alloy's names, but for the last three.
type metrics struct {
	processed     prometheus.Counter
	written       prometheus.Counter
	misses        prometheus.Counter
	hits          prometheus.Counter
	deletes       prometheus.Counter
	fanoutLatency prometheus.Histogram
	forwarded     prometheus.Counter
	dropped       *prometheus.CounterVec
	exemplars     prometheus.Counter
	forwardErrors prometheus.Counter
}

const prefix = "alloy_prometheus_relabel_"

func newMetrics(reg prometheus.Registerer, size func() float64) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	m := &metrics{
		processed: counter(prefix+"metrics_processed", "Samples received of batches that were forwarded."),
		written:   counter(prefix+"metrics_written", "Samples forwarded after relabeling."),
		misses:    counter(prefix+"cache_misses", "Samples whose series had to be relabeled."),
		hits:      counter(prefix+"cache_hits", "Samples whose series was in the cache."),
		deletes:   counter(prefix+"cache_deletes", "Series that were removed from the cache because they ended."),
		fanoutLatency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "prometheus_fanout_latency", Help: "Time in seconds to forward a batch to all receivers.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}),
		forwarded: counter("prometheus_forwarded_samples_total", "Samples forwarded to receivers."),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "prometheus_relabel_dropped_samples_total", Help: "Samples that were not forwarded, by reason.",
		}, []string{"reason"}),
		exemplars:     counter("prometheus_relabel_dropped_exemplars_total", "Exemplars of series that the rules drop."),
		forwardErrors: counter("prometheus_relabel_forward_errors_total", "Batches that no receiver accepted; their sources got an error."),
	}
	reg.MustRegister(m.fanoutLatency)
	reg.MustRegister(m.dropped)
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + "cache_size", Help: "Series in the cache."}, size))
	return m
}

func (m *metrics) drop(reason string, n int) {
	if n > 0 {
		m.dropped.WithLabelValues(reason).Add(float64(n))
	}
}

// add counts a batch that was forwarded: out is what the rules made of in.
func (m *metrics) add(in, out pipeline.Metrics, b *batch) {
	m.processed.Add(float64(in.Items()))
	m.written.Add(float64(out.Items()))
	m.drop(reasonRelabeled, b.relabeled)
	m.drop(reasonDuplicate, b.duplicate)
	if b.exemplars > 0 {
		m.exemplars.Add(float64(b.exemplars))
	}
}
