package file

import "github.com/prometheus/client_golang/prometheus"

// reasonRejected is why lines are dropped: a sink will never accept them.
const reasonRejected = "rejected"

// metrics are the metrics of loki.source.file; the first four have Alloy's names.
type metrics struct {
	readBytes    *prometheus.GaugeVec
	totalBytes   *prometheus.GaugeVec
	lines        *prometheus.CounterVec
	cutLines     prometheus.Counter
	invalidLines prometheus.Counter
	rejected     prometheus.Counter
	readErrors   prometheus.Counter
	truncations  prometheus.Counter
	lostFiles    prometheus.Counter
	abandoned    prometheus.Counter
	damaged      prometheus.Counter
	failed       prometheus.Counter
}

func newMetrics(r prometheus.Registerer, active func() float64) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"path"})
	}
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "collector_log_lines_dropped_total", Help: "Lines that were read and not forwarded, by reason.",
	}, []string{"reason"})
	m := &metrics{
		readBytes:  gauge("loki_source_file_read_bytes_total", "Number of bytes read."),
		totalBytes: gauge("loki_source_file_file_bytes_total", "Number of bytes total."),
		lines: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loki_source_file_read_lines_total", Help: "Number of lines read.",
		}, []string{"path"}),
		cutLines:     counter("collector_log_lines_cut_total", "Lines that were longer than the limit and were cut."),
		invalidLines: counter("collector_log_lines_invalid_utf8_total", "Lines in which bytes that are not UTF-8 were replaced."),
		rejected:     dropped.WithLabelValues(reasonRejected),
		readErrors:   counter("collector_file_read_errors_total", "Failed attempts to open or read a file."),
		truncations:  counter("collector_file_truncations_total", "Times that a file was truncated while it was followed."),
		lostFiles:    counter("collector_file_lost_total", "Files that were being read when the collector stopped, and were not found when it started: what they got since then was not read."),
		abandoned:    counter("collector_file_abandoned_total", "Rotated or removed files that were closed while a program may have had them open: what it wrote after that was not read."),
		damaged:      counter("collector_log_cursor_files_damaged_total", "Files of cursors that were damaged or unreadable."),
		failed:       counter("collector_log_cursor_write_errors_total", "Failed attempts to store cursors."),
	}
	for _, c := range []prometheus.Collector{
		m.readBytes, m.totalBytes, m.lines, m.cutLines, m.invalidLines, dropped, m.readErrors, m.truncations, m.lostFiles,
		m.abandoned, m.damaged, m.failed,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "loki_source_file_files_active_total", Help: "Number of active files."}, active),
	} {
		r.MustRegister(c)
	}
	return m
}

// forget removes a file's metrics.
func (m *metrics) forget(path string) {
	m.readBytes.DeleteLabelValues(path)
	m.totalBytes.DeleteLabelValues(path)
	m.lines.DeleteLabelValues(path)
}
