package remotecfg

import "github.com/prometheus/client_golang/prometheus"

// metrics are the block's own, under Alloy's names and, as there, also without a
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
			Name: "remotecfg_hash", Help: "Hash of the configuration of the server that is in force."}, []string{"hash"}),
		receivedHash: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "remotecfg_last_received_hash", Help: "Hash of the configuration that the server gave last."}, []string{"hash"}),
		lastOK: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "remotecfg_last_load_successful", Help: "Whether what the server gave last could be fetched and is in force."}),
		notModified: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "remotecfg_last_load_not_modified", Help: "Whether the server said last that nothing has changed."}),
		lastSuccess: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "remotecfg_last_load_success_timestamp_seconds", Help: "When the server last gave a configuration."}),
		attempts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "remotecfg_load_attempts_total", Help: "Polls of the server."}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "remotecfg_load_failures_total", Help: "Polls after which the server's configuration was not in force."}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "remotecfg_request_duration_seconds", Help: "Time that the server took to answer with success."}),
	}
	only(m.hash, "")
	if registry != nil {
		registry.MustRegister(m.hash, m.receivedHash, m.lastOK, m.notModified, m.lastSuccess, m.attempts, m.failures, m.duration)
	}
	return m
}

// only makes hash the one that v has.
func only(v *prometheus.GaugeVec, hash string) {
	v.Reset()
	v.WithLabelValues(hash).Set(1)
}
