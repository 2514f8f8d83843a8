package write

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Alloy's reasons for entries that were dropped.
const (
	reasonGeneric       = "ingester_error"
	reasonRateLimited   = "rate_limited"
	reasonStreamLimited = "stream_limited"
	reasonLineTooLong   = "line_too_long"
)

// reasonInvalidUTF8 is the reason for entries that were changed. Alloy doesn't have it.
const reasonInvalidUTF8 = "invalid_utf8"

// metrics are the metrics of loki.write, by Alloy's names.
type metrics struct {
	encodedBytes   *prometheus.CounterVec // host, tenant
	sentBytes      *prometheus.CounterVec
	sentEntries    *prometheus.CounterVec
	batchRetries   *prometheus.CounterVec
	droppedBytes   *prometheus.CounterVec // host, tenant, reason
	droppedEntries *prometheus.CounterVec
	mutatedBytes   *prometheus.CounterVec
	mutatedEntries *prometheus.CounterVec
	duration       *prometheus.HistogramVec // status_code, host, tenant
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string, more ...string) *prometheus.CounterVec {
		opts := prometheus.CounterOpts{Name: "loki_write_" + name + "_total", Help: help}
		return prometheus.NewCounterVec(opts, append([]string{"host", "tenant"}, more...))
	}
	m := &metrics{
		encodedBytes:   counter("encoded_bytes", "Bytes encoded and ready to be sent."),
		sentBytes:      counter("sent_bytes", "Bytes sent."),
		sentEntries:    counter("sent_entries", "Log entries sent."),
		batchRetries:   counter("batch_retries", "Requests that failed and are retried."),
		droppedBytes:   counter("dropped_bytes", "Bytes of log entries that were dropped.", "reason"),
		droppedEntries: counter("dropped_entries", "Log entries that were dropped.", "reason"),
		mutatedBytes:   counter("mutated_bytes", "Bytes of log entries that were changed.", "reason"),
		mutatedEntries: counter("mutated_entries", "Log entries that were changed.", "reason"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "loki_write_request_duration_seconds", Help: "Duration of requests.",
		}, []string{"status_code", "host", "tenant"}),
	}
	for _, c := range []prometheus.Collector{
		m.encodedBytes, m.sentBytes, m.sentEntries, m.batchRetries,
		m.droppedBytes, m.droppedEntries, m.mutatedBytes, m.mutatedEntries, m.duration,
	} {
		r.MustRegister(c)
	}
	return m
}

// begin makes the series of a destination, so that a first increase is seen.
func (m *metrics) begin(host, tenant string) {
	for _, c := range []*prometheus.CounterVec{m.encodedBytes, m.sentBytes, m.sentEntries, m.batchRetries} {
		c.WithLabelValues(host, tenant)
	}
	for _, c := range []*prometheus.CounterVec{m.droppedBytes, m.droppedEntries, m.mutatedBytes, m.mutatedEntries} {
		for _, reason := range []string{reasonGeneric, reasonRateLimited, reasonStreamLimited, reasonLineTooLong} {
			c.WithLabelValues(host, tenant, reason)
		}
	}
}

func (m *metrics) drop(host, tenant, reason string, entries, bytes int) {
	m.droppedEntries.WithLabelValues(host, tenant, reason).Add(float64(entries))
	m.droppedBytes.WithLabelValues(host, tenant, reason).Add(float64(bytes))
}
