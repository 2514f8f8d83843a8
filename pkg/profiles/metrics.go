package profiles

import "github.com/prometheus/client_golang/prometheus"

type receiveMetrics struct {
	dropped *prometheus.CounterVec
	lost    *prometheus.CounterVec
}

func newReceiveMetrics(reg prometheus.Registerer) *receiveMetrics {
	m := &receiveMetrics{
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pyroscope_receive_http_dropped_profiles_total",
			Help: "Profiles that were not queued, by reason; the client got an error, except for no_destination.",
		}, []string{"reason"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pyroscope_receive_http_lost_profiles_total",
			Help: "Profiles that one of several destinations accepted and another did not, by reason.",
		}, []string{"reason"}),
	}
	// A rate needs the series before its first event.
	for _, reason := range []string{"bad_request", "too_large", "overloaded"} {
		m.dropped.WithLabelValues(reason)
	}
	reg.MustRegister(m.dropped, m.lost)
	return m
}

type writeMetrics struct {
	sentBytes, sentProfiles *prometheus.CounterVec
	droppedBytes            *prometheus.CounterVec
	retries                 *prometheus.CounterVec
	latency                 *prometheus.HistogramVec
}

func newWriteMetrics(reg prometheus.Registerer) *writeMetrics {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"endpoint"})
	}
	m := &writeMetrics{
		sentBytes:    counter("pyroscope_write_sent_bytes_total", "Bytes of profiles that the endpoint accepted."),
		sentProfiles: counter("pyroscope_write_sent_profiles_total", "Profiles that the endpoint accepted."),
		droppedBytes: counter("pyroscope_write_dropped_bytes_total", "Bytes of profiles that the endpoint rejected permanently."),
		retries:      counter("pyroscope_write_retries_total", "Requests that failed and will be retried."),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pyroscope_write_latency",
			Help: "Seconds to queue a profile (…_total), to send it once (…_downstream) and from its receipt to its delivery (…_endpoint).",
		}, []string{"endpoint", "type"}),
	}
	reg.MustRegister(m.sentBytes, m.sentProfiles, m.droppedBytes, m.retries, m.latency)
	return m
}

// begin shows the counters of an endpoint at 0, so that their first increase is
// seen as one.
func (m *writeMetrics) begin(endpoint string) {
	for _, c := range []*prometheus.CounterVec{m.sentBytes, m.sentProfiles, m.droppedBytes, m.retries} {
		c.WithLabelValues(endpoint)
	}
}

// droppedProfiles reads the profiles that were dropped for whatever reason out
// of a writer's accounting.
type droppedProfiles struct {
	desc  *prometheus.Desc
	count func() map[string]uint64 // by endpoint
}

func newDroppedProfiles(count func() map[string]uint64) *droppedProfiles {
	return &droppedProfiles{
		desc: prometheus.NewDesc("pyroscope_write_dropped_profiles_total",
			"Profiles that were dropped instead of delivered to the endpoint.", []string{"endpoint"}, nil),
		count: count,
	}
}

// Describe implements prometheus.Collector.
func (d *droppedProfiles) Describe(descs chan<- *prometheus.Desc) { descs <- d.desc }

// Collect implements prometheus.Collector.
func (d *droppedProfiles) Collect(metrics chan<- prometheus.Metric) {
	for endpoint, n := range d.count() {
		metrics <- prometheus.MustNewConstMetric(d.desc, prometheus.CounterValue, float64(n), endpoint)
	}
}
