package statsd

import "github.com/prometheus/client_golang/prometheus"

// metrics are those that statsd_exporter has of itself.
type metrics struct {
	udpPackets, udpDrops, unixgramPackets    prometheus.Counter
	tcpConnections, tcpErrors, tcpTooLong    prometheus.Counter
	lines, samples, tags, tagErrors, flushed prometheus.Counter
	unmapped                                 prometheus.Counter
	sampleErrors, events, conflicts          *prometheus.CounterVec
	eventErrors, actions                     *prometheus.CounterVec
	mappings                                 prometheus.Gauge
	kinds                                    *prometheus.GaugeVec
	relayPackets, relayLong, relayLines      prometheus.Counter // nil without a relay
}

func newMetrics(r prometheus.Registerer, relay string) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "statsd_exporter_" + name, Help: help})
		r.MustRegister(c)
		return c
	}
	counters := func(name, help, label string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "statsd_exporter_" + name, Help: help}, []string{label})
		r.MustRegister(c)
		return c
	}
	m := &metrics{
		udpPackets:      counter("udp_packets_total", "StatsD packets received over UDP."),
		udpDrops:        counter("udp_packet_drops_total", "StatsD packets that the kernel dropped, as they came faster than they were read."),
		unixgramPackets: counter("unixgram_packets_total", "StatsD packets received by the Unix socket."),
		tcpConnections:  counter("tcp_connections_total", "TCP connections accepted."),
		tcpErrors:       counter("tcp_connection_errors_total", "Errors of reading from TCP connections."),
		tcpTooLong:      counter("tcp_too_long_lines_total", "Lines discarded because they were too long."),
		lines:           counter("lines_total", "StatsD lines received."),
		samples:         counter("samples_total", "StatsD samples received."),
		tags:            counter("tags_total", "Tags processed."),
		tagErrors:       counter("tag_errors_total", "Tags that could not be parsed."),
		flushed:         counter("event_queue_flushed_total", "Times that events were flushed from the queue."),
		unmapped:        counter("events_unmapped_total", "StatsD events without a mapping."),
		sampleErrors:    counters("sample_errors_total", "StatsD samples that could not be parsed.", "reason"),
		events:          counters("events_total", "StatsD events.", "type"),
		conflicts:       counters("events_conflict_total", "StatsD events with conflicting names, or beyond the limit of series.", "type"),
		eventErrors:     counters("events_error_total", "StatsD events discarded because of errors.", "reason"),
		actions:         counters("events_actions_total", "StatsD events by action.", "action"),
		mappings:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "statsd_exporter_loaded_mappings", Help: "Mappings that are configured."}),
		kinds:           prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "statsd_exporter_metrics_total", Help: "Metrics by type."}, []string{"type"}),
	}
	r.MustRegister(m.mappings, m.kinds)
	if relay != "" {
		r = prometheus.WrapRegistererWith(prometheus.Labels{"target": relay}, r)
		m.relayPackets = counter("relay_packets_total", "StatsD packets relayed.")
		m.relayLong = counter("relay_long_lines_total", "Lines that were too long to relay.")
		m.relayLines = counter("relay_lines_relayed_total", "Lines that were put into packets to be relayed.")
	}
	return m
}
