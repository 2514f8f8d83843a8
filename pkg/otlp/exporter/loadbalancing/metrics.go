package loadbalancing

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
)

// metrics are Alloy's, and what is lost.
type metrics struct {
	resolutions, updates, outcomes, lost *prometheus.CounterVec
	backends                             *prometheus.GaugeVec
	latency                              *prometheus.HistogramVec
}

func newMetrics(o component.Options) *metrics {
	const prefix = "otelcol_loadbalancer_"
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		resolutions: counters(prefix+"num_resolutions_total", "How often the endpoints were looked up.", "resolver", "success"),
		updates:     counters(prefix+"num_backend_updates_total", "How often the endpoints have changed.", "resolver"),
		outcomes:    counters(prefix+"backend_outcome_total", "Parts of requests that were queued for an endpoint, or not.", "endpoint", "success"),
		lost:        counters("otelcol_exporter_lost_items_total", "Items that were rejected when other parts of their request were not, or that the routing key does not apply to.", "signal", "reason"),
		backends:    prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + "num_backends", Help: "Endpoints."}, []string{"resolver"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "backend_latency_milliseconds", Help: "How long it took to queue a part of a request for an endpoint.",
			Buckets: []float64{0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000},
		}, []string{"endpoint"}),
	}
	o.Metrics.MustRegister(m.resolutions, m.updates, m.outcomes, m.lost, m.backends, m.latency)
	return m
}

func (m *metrics) outcome(endpoint string, took time.Duration, err error) {
	m.latency.WithLabelValues(endpoint).Observe(float64(took.Milliseconds()))
	m.outcomes.WithLabelValues(endpoint, strconv.FormatBool(err == nil)).Inc()
}

func (m *metrics) forget(endpoint string) {
	m.latency.DeleteLabelValues(endpoint)
	m.outcomes.DeletePartialMatch(prometheus.Labels{"endpoint": endpoint})
}

// leaving is a registry whose metrics can leave.
type leaving struct {
	prometheus.Registerer

	mu  sync.Mutex
	all []prometheus.Collector // guarded by mu
}

// MustRegister implements prometheus.Registerer.
func (l *leaving) MustRegister(collectors ...prometheus.Collector) {
	l.Registerer.MustRegister(collectors...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, collectors...)
}

// leave removes the metrics.
func (l *leaving) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.all {
		l.Unregister(c)
	}
	l.all = nil
}
