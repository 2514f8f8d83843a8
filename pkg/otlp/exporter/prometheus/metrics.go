package prometheus

import "github.com/prometheus/client_golang/prometheus"

// reason is why data points are dropped.
type reason int

const (
	deltaTemporality reason = iota
	noTemporality
	outOfOrder
	coarseScale
	tooLarge
	reasons // how many there are
)

func (r reason) String() string {
	return [...]string{"delta_temporality", "unspecified_temporality", "out_of_order", "unsupported_scale", "too_large"}[r]
}

// metrics are this program's own, but for the first two, which Alloy has.
type metrics struct {
	fanoutLatency prometheus.Histogram
	forwarded     prometheus.Counter
	received      prometheus.Counter
	converted     prometheus.Counter
	dropped       [reasons]prometheus.Counter
	exemplars     prometheus.Counter
	lost          prometheus.Counter
	forwardErrors prometheus.Counter
}

const prefix = "otelcol_exporter_prometheus_"

func newMetrics(reg prometheus.Registerer, series func() float64) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	m := &metrics{
		fanoutLatency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "prometheus_fanout_latency", Help: "Time in seconds to forward a batch to all receivers.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}),
		forwarded:     counter("prometheus_forwarded_samples_total", "Samples forwarded to receivers."),
		received:      counter(prefix+"received_points_total", "Data points of requests that were accepted. Equals converted + dropped."),
		converted:     counter(prefix+"converted_points_total", "Data points whose samples were forwarded."),
		exemplars:     counter(prefix+"dropped_exemplars_total", "Exemplars that are older than another one of their series."),
		lost:          counter(prefix+"lost_samples_total", "Samples that one of several receivers accepted and another did not."),
		forwardErrors: counter(prefix+"forward_errors_total", "Requests that no receiver accepted; their senders got an error."),
	}
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + "dropped_points_total", Help: "Data points that became no sample, by reason."}, []string{"reason"})
	for r := range reasons {
		m.dropped[r] = dropped.WithLabelValues(r.String())
	}
	reg.MustRegister(m.fanoutLatency, dropped, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + "series", Help: "Series that are remembered."}, series))
	return m
}

// add counts a batch that was forwarded.
func (m *metrics) add(b *batch) {
	converted := b.points
	for r, n := range b.dropped {
		if n > 0 {
			m.dropped[r].Add(float64(n))
			converted -= n
		}
	}
	m.received.Add(float64(b.points))
	m.converted.Add(float64(converted))
	m.exemplars.Add(float64(b.exemplars))
}
