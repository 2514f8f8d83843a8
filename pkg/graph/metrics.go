package graph

import (
	"path"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// slowEvaluation is the time from which an evaluation counts as slow.
const slowEvaluation = time.Minute

// metrics are the controller's own, under the names that Alloy's dashboards
// and alerts use.
type metrics struct {
	evaluationSeconds prometheus.Histogram
	waitSeconds       prometheus.Histogram
	slowSeconds       *prometheus.CounterVec
	evaluating        prometheus.Gauge
	queueSize         prometheus.Gauge
	configHash        *prometheus.GaugeVec
	lastLoadOK        prometheus.Gauge
	lastLoadTime      prometheus.Gauge
	loadFailures      prometheus.Counter
}

// newMetrics makes the metrics of the controller of a module; that of the user's own
// configuration is "".
func newMetrics(module string) *metrics {
	labels := prometheus.Labels{"controller_path": "/", "controller_id": module}
	buckets := []float64{.005, .025, .1, .5, 1, 5, 10, 30, 60, 120, 300, 600}
	return &metrics{
		evaluationSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "alloy_component_evaluation_seconds", Help: "Time spent evaluating a component.",
			ConstLabels: labels, Buckets: buckets, NativeHistogramBucketFactor: 1.1,
			NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}),
		waitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "alloy_component_dependencies_wait_seconds", Help: "Time that a component waited to be evaluated after one of its dependencies changed.",
			ConstLabels: labels, Buckets: buckets, NativeHistogramBucketFactor: 1.1,
			NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}),
		slowSeconds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "alloy_component_evaluation_slow_seconds", Help: "Time spent in evaluations that took longer than a minute.",
			ConstLabels: labels,
		}, []string{"component_id"}),
		evaluating: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "alloy_component_controller_evaluating", Help: "Whether a configuration is being loaded.", ConstLabels: labels,
		}),
		queueSize: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "alloy_component_evaluation_queue_size", Help: "Components waiting to be evaluated.", ConstLabels: labels,
		}),
		configHash: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "alloy_config_hash", Help: "Hash of the running configuration.", ConstLabels: prometheus.Labels{"cluster_name": ""},
		}, []string{"sha256"}),
		lastLoadOK: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "alloy_config_last_load_successful", Help: "Whether the last load of the configuration succeeded.",
		}),
		lastLoadTime: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "alloy_config_last_load_success_timestamp_seconds", Help: "When the configuration was last loaded successfully.",
		}),
		loadFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "alloy_config_load_failures_total", Help: "Loads of the configuration that failed.",
		}),
	}
}

func (m *metrics) ofEvaluation() []prometheus.Collector {
	return []prometheus.Collector{m.evaluationSeconds, m.waitSeconds, m.slowSeconds, m.evaluating, m.queueSize}
}

func (m *metrics) ofLoading() []prometheus.Collector {
	return []prometheus.Collector{m.configHash, m.lastLoadOK, m.lastLoadTime, m.loadFailures}
}

// evaluated counts one evaluation of a component.
func (m *metrics) evaluated(id string, took time.Duration) {
	m.evaluationSeconds.Observe(took.Seconds())
	if took >= slowEvaluation {
		m.slowSeconds.WithLabelValues(id).Add(took.Seconds())
	}
}

// loadedConfig records that the configuration with this hash is in force.
func (m *metrics) loadedConfig(hash string, at time.Time) {
	m.configHash.Reset()
	m.configHash.WithLabelValues(hash).Set(1)
	m.lastLoadOK.Set(1)
	m.lastLoadTime.Set(float64(at.UnixMilli()) / 1000)
}

func (m *metrics) loadFailed() {
	m.lastLoadOK.Set(0)
	m.loadFailures.Inc()
}

// runningComponents counts the components by health, for each module as Alloy does: the
// one in which the module is, and its id there.
type runningComponents struct {
	controller *Controller
	desc       *prometheus.Desc
}

func newRunningComponents(c *Controller) runningComponents {
	return runningComponents{c, prometheus.NewDesc("alloy_component_controller_running_components",
		"Components by their health.", []string{"controller_path", "controller_id", "health_type"}, nil)}
}

// Describe implements prometheus.Collector.
func (r runningComponents) Describe(out chan<- *prometheus.Desc) { out <- r.desc }

// Collect implements prometheus.Collector.
func (r runningComponents) Collect(out chan<- prometheus.Metric) {
	type key struct {
		module string
		health HealthState
	}
	const root = "/"
	count := map[key]int{}
	for _, c := range r.controller.both() {
		own := root + c.options.module
		for _, h := range []HealthState{Healthy, Unhealthy, Unknown, Exited} {
			count[key{own, h}] = 0
		}
		for _, n := range c.graph().nodes {
			module := n.path
			if n.silent { // a foreach without metrics of its own
				module = own
			}
			if !n.hidden {
				count[key{module, n.health().Alloy}]++
			}
		}
	}
	for k, n := range count {
		parent, id := path.Split(k.module)
		if parent != root {
			parent = strings.TrimSuffix(parent, "/")
		}
		out <- prometheus.MustNewConstMetric(r.desc, prometheus.GaugeValue, float64(n), parent, id, string(k.health))
	}
}
