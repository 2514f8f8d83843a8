package relabel

import (
	"github.com/prometheus/client_golang/prometheus"
)

// The reasons for which entries are dropped.
const (
	reasonRelabeled = "relabeled" // by a rule, or as no label is left
	reasonRejected  = "rejected"  // by a receiver, permanently or for now, although another one accepted them
)

// metrics have Alloy's names, but for the last.
type metrics struct {
	processed prometheus.Counter
	written   prometheus.Counter
	misses    prometheus.Counter
	hits      prometheus.Counter
	dropped   *prometheus.CounterVec
}

const prefix = "loki_relabel_"

func newMetrics(reg prometheus.Registerer, size func() float64) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help})
	}
	m := &metrics{
		processed: counter("entries_processed", "Log entries received."),
		written:   counter("entries_written", "Log entries forwarded after relabeling."),
		misses:    counter("cache_misses", "Log entries whose labels had to be relabeled."),
		hits:      counter("cache_hits", "Log entries whose labels were in the cache."),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "collector_relabel_entries_dropped_total", Help: "Log entries that were not forwarded, by reason.",
		}, []string{"reason"}),
	}
	for _, reason := range []string{reasonRelabeled, reasonRejected} {
		m.dropped.WithLabelValues(reason)
	}
	for _, c := range []prometheus.Collector{
		m.processed, m.written, m.misses, m.hits, m.dropped,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + "cache_size", Help: "Label sets in the cache."}, size),
	} {
		reg.MustRegister(c)
	}
	return m
}

func (m *metrics) drop(reason string, entries int) {
	if entries > 0 {
		m.dropped.WithLabelValues(reason).Add(float64(entries))
	}
}
