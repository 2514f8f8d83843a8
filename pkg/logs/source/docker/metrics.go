package docker

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Reasons for which a source drops lines.
const (
	reasonRelabel  = "relabel"  // a rule drops them
	reasonRejected = "rejected" // a sink will never take them
)

// metrics are the metrics of loki.source.docker; the first two have
// Alloy's names.
type metrics struct {
	entries       prometheus.Counter
	parsingErrors prometheus.Counter
	cutLines      prometheus.Counter
	invalidLines  prometheus.Counter
	emptyLines    prometheus.Counter
	dropped       *prometheus.CounterVec
	reconnects    prometheus.Counter
	readErrors    prometheus.Counter
	damageSkipped prometheus.Counter
	cursorDamage  prometheus.Counter
	cursorErrors  prometheus.Counter
}

func newMetrics(r prometheus.Registerer, tails, lag func() float64) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	m := &metrics{
		entries:       counter("loki_source_docker_target_entries_total", "Log entries forwarded to every receiver."),
		parsingErrors: counter("loki_source_docker_target_parsing_errors_total", "Lines without a timestamp of the Docker Engine, and streams that it could not read."),
		cutLines:      counter("collector_log_lines_cut_total", "Lines that were longer than the limit and were cut."),
		invalidLines:  counter("collector_log_lines_invalid_utf8_total", "Lines in which bytes that are not UTF-8 were replaced."),
		emptyLines:    counter("collector_log_lines_empty_total", "Empty lines, which are skipped."),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "collector_log_lines_dropped_total", Help: "Lines that were read and not forwarded, by reason.",
		}, []string{"reason"}),
		reconnects:    counter("collector_log_reconnects_total", "Times that the logs of a running container were reopened."),
		readErrors:    counter("collector_log_read_errors_total", "Failed attempts to open or read the logs of a container."),
		damageSkipped: counter("collector_log_damage_skipped_total", "Times that a part of a log was skipped because the Engine cannot read it."),
		cursorDamage:  counter("collector_log_cursor_files_damaged_total", "Files of cursors that were damaged or unreadable."),
		cursorErrors:  counter("collector_log_cursor_write_errors_total", "Failed attempts to store cursors."),
	}
	for _, c := range []prometheus.Collector{
		m.entries, m.parsingErrors, m.cutLines, m.invalidLines, m.emptyLines, m.dropped,
		m.reconnects, m.readErrors, m.damageSkipped, m.cursorDamage, m.cursorErrors,
		gauge("collector_log_tails", "Containers whose logs are being tailed.", tails),
		gauge("collector_log_lag_seconds", "Age of the oldest line that was read and that a receiver has not accepted yet.", lag),
	} {
		r.MustRegister(c)
	}
	for _, reason := range []string{reasonRelabel, reasonRejected} {
		m.dropped.WithLabelValues(reason)
	}
	return m
}
