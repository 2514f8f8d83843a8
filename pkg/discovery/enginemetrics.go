package discovery

import (
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/docker"
)

// engineMetrics show what an Engine refuses and what it answers too much of.
type engineMetrics struct {
	engine            *docker.Engine
	refused, oversize *prometheus.Desc
}

// EngineMetrics returns the metrics of an Engine for a component that uses it.
func EngineMetrics(e *docker.Engine) prometheus.Collector {
	host := prometheus.Labels{"docker_host": e.Status().Host}
	return &engineMetrics{
		engine: e,
		refused: prometheus.NewDesc("collector_docker_request_refused",
			"1 while the Docker Engine, or a proxy in front of it, does not allow a request.", []string{"request"}, host),
		oversize: prometheus.NewDesc("collector_docker_oversize_answers_total",
			"Docker Engine responses that exceeded a limit and were ignored.", nil, host),
	}
}

// Describe implements prometheus.Collector.
func (m *engineMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- m.refused
	out <- m.oversize
}

// Collect implements prometheus.Collector.
func (m *engineMetrics) Collect(out chan<- prometheus.Metric) {
	s := m.engine.Status()
	for _, request := range s.Refused {
		out <- prometheus.MustNewConstMetric(m.refused, prometheus.GaugeValue, 1, request)
	}
	out <- prometheus.MustNewConstMetric(m.oversize, prometheus.CounterValue, float64(s.Oversize))
}
