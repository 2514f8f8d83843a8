package syslog

import "github.com/prometheus/client_golang/prometheus"

// Reasons for which messages are dropped, datagrams lost and connections ended.
const (
	reasonRelabel  = "relabel"    // a rule drops them
	reasonRejected = "rejected"   // a receiver will never take them
	reasonTooLong  = "too_long"   // longer than max_message_length
	reasonStopped  = "stopped"    // no receiver took them in time when the component stopped
	reasonFull     = "full"       // receivers do not keep up
	reasonKernel   = "kernel"     // the kernel's buffer was full
	reasonFraming  = "framing"    // it is unknown where the next message begins
	reasonTLS      = "tls"        // no handshake
	reasonOverload = "overload"   // no memory for a long message
	reasonTooSlow  = "too_slow"   // a long message trickled in
	reasonBroken   = "connection" // it broke within a message
)

// metrics are the metrics of loki.source.syslog; the first three have Alloy's
// names.
type metrics struct {
	entries     prometheus.Counter
	malformed   prometheus.Counter
	empty       prometheus.Counter
	cut         prometheus.Counter
	invalid     prometheus.Counter
	dropped     *prometheus.CounterVec // messages, by reason
	datagrams   *prometheus.CounterVec // dropped, by reason
	connections *prometheus.CounterVec // ended, by reason
}

func newMetrics(r prometheus.Registerer, queued func() float64) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	reasons := func(name, help string, reasons ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"reason"})
		for _, reason := range reasons {
			c.WithLabelValues(reason)
		}
		return c
	}
	m := &metrics{
		entries:   counter("loki_source_syslog_entries_total", "Messages that were forwarded."),
		malformed: counter("loki_source_syslog_parsing_errors_total", "Messages that are not valid, and are dropped."),
		empty:     counter("loki_source_syslog_empty_messages_total", "Messages without a text, which are skipped."),
		cut:       counter("collector_log_lines_cut_total", "Lines that were longer than the limit and were cut."),
		invalid:   counter("collector_log_lines_invalid_utf8_total", "Lines in which bytes that are not UTF-8 were replaced."),
		dropped: reasons("collector_log_lines_dropped_total", "Lines that were read and not forwarded, by reason.",
			reasonRelabel, reasonRejected, reasonTooLong, reasonStopped),
		datagrams: reasons("collector_syslog_dropped_datagrams_total", "Datagrams that were dropped because receivers do not keep up, by reason.",
			reasonFull, reasonKernel),
		connections: reasons("collector_syslog_failed_connections_total", "Connections that were closed because of what they carried, by reason.",
			reasonFraming, reasonTLS, reasonOverload, reasonTooSlow, reasonBroken),
	}
	for _, c := range []prometheus.Collector{
		m.entries, m.malformed, m.empty, m.cut, m.invalid, m.dropped, m.datagrams, m.connections,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "collector_syslog_waiting_datagrams_bytes", Help: "Memory of the datagrams that are waiting for receivers.",
		}, queued),
	} {
		r.MustRegister(c)
	}
	return m
}

func (m *metrics) drop(reason string, n int) { m.dropped.WithLabelValues(reason).Add(float64(n)) }
