package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/httpserver"
)

// Reasons for which requests are refused, and entries dropped or lost.
const (
	reasonMalformed  = "malformed"
	reasonEncoding   = "encoding" // of the content, or its type
	reasonTooLarge   = "too_large"
	reasonOverload   = "overload" // too many bytes in memory at once
	reasonTooSlow    = "too_slow" // it trickled in
	reasonUnreadable = "body_unreadable"
	reasonOtherSite  = "other_site"

	reasonQueueFull   = httpserver.QueueFull
	reasonQueueFailed = httpserver.QueueFailed
	reasonStopped     = httpserver.Stopped
	reasonClientGone  = httpserver.ClientGone
	reasonRejected    = httpserver.Rejected

	reasonRelabeled     = "relabeled" // by a rule, or as no label is left
	reasonNoDestination = "no_destination"
)

// metrics count entries; the server counts requests. The first has
// Alloy's name.
type metrics struct {
	written                prometheus.Counter
	refused, dropped, lost *prometheus.CounterVec // by reason
}

func newMetrics(reg prometheus.Registerer) *metrics {
	const prefix = "loki_source_api_"
	byReason := func(name, help string, reasons ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, []string{"reason"})
		for _, reason := range reasons { // a rate needs the series before its first event
			c.WithLabelValues(reason)
		}
		return c
	}
	m := &metrics{
		written: prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + "entries_written", Help: "Log entries that were forwarded."}),
		refused: byReason("refused_requests_total", "Requests that were not accepted, by reason; the client got an error.",
			reasonMalformed, reasonTooLarge, reasonOverload, reasonQueueFull),
		dropped: byReason("dropped_entries_total", "Log entries of accepted requests that were not forwarded, by reason.",
			reasonRelabeled, reasonNoDestination),
		lost: byReason("lost_entries_total", "Log entries that one of several receivers accepted and another did not, by reason.",
			reasonQueueFull, reasonRejected),
	}
	for _, c := range []prometheus.Collector{m.written, m.refused, m.dropped, m.lost} {
		reg.MustRegister(c)
	}
	return m
}

func (m *metrics) drop(reason string, entries int) {
	if entries > 0 {
		m.dropped.WithLabelValues(reason).Add(float64(entries))
	}
}
