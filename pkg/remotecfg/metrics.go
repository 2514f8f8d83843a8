package remotecfg

import "github.com/prometheus/client_golang/prometheus"

// metrics are the block's own, under Alloy's names and, as in Alloy, even without a
// block.
type metrics struct {
	hash, receivedHash               *prometheus.GaugeVec
	lastOK, notModified, lastSuccess prometheus.Gauge
	attempts, failures               prometheus.Counter
	duration                         prometheus.Histogram
}

// newMetrics makes metrics and registers them if registry is not nil.
func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		hash: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "remotecfg_hash", Help: "Hash of the server's configuration that is running."}, []string{"hash"}),
		receivedHash: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "remotecfg_last_received_hash", Help: "Hash of the last configuration received from the server."}, []string{"hash"}),
		lastOK: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "remotecfg_last_load_successful", Help: "Whether the last configuration was fetched and is running."}),
		notModified: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "remotecfg_last_load_not_modified", Help: "Whether the last response said that nothing had changed."}),
		lastSuccess: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "remotecfg_last_load_success_timestamp_seconds", Help: "When a configuration was last received from the server."}),
		attempts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "remotecfg_load_attempts_total", Help: "Polls of the server."}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "remotecfg_load_failures_total", Help: "Polls after which the server's configuration was not in force."}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "remotecfg_request_duration_seconds", Help: "Duration of successful requests to the server."}),
	}
	only(m.hash, "")
	if registry != nil {
		registry.MustRegister(m.hash, m.receivedHash, m.lastOK, m.notModified, m.lastSuccess, m.attempts, m.failures, m.duration)
	}
	return m
}

// only makes hash the only one in v.
func only(v *prometheus.GaugeVec, hash string) {
	v.Reset()
	v.WithLabelValues(hash).Set(1)
}
