package journal

import "github.com/prometheus/client_golang/prometheus"

const (
	// Why entries are not sent, as Alloy counts it.
	errorNoMessage   = "no_message"
	errorEmptyLabels = "empty_labels"
	// reasonRejected is why lines are dropped: a sink will never take them.
	reasonRejected = "rejected"
)

// metrics are the metrics of loki.source.journal; the first two have Alloy's names.
type metrics struct {
	lines         prometheus.Counter
	errors        *prometheus.CounterVec
	cutLines      prometheus.Counter
	invalidLines  prometheus.Counter
	rejected      prometheus.Counter
	lostEntries   prometheus.Counter
	lostFiles     prometheus.Counter
	damagedFields prometheus.Counter
	damagedFiles  prometheus.Counter
	readErrors    prometheus.Counter
	copies        prometheus.Counter
	damaged       prometheus.Counter
	failed        prometheus.Counter
}

func newMetrics(r prometheus.Registerer, files func() float64) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "collector_log_lines_dropped_total", Help: "Lines that were read and not forwarded, by reason.",
	}, []string{"reason"})
	m := &metrics{
		lines: counter("loki_source_journal_target_lines_total", "Total number of successful journal lines read."),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loki_source_journal_target_parsing_errors_total", Help: "Total number of parsing errors while reading journal messages.",
		}, []string{"error"}),
		cutLines:      counter("collector_log_lines_cut_total", "Lines that were longer than the limit and were cut."),
		invalidLines:  counter("collector_log_lines_invalid_utf8_total", "Lines in which bytes that are not UTF-8 were replaced."),
		rejected:      dropped.WithLabelValues(reasonRejected),
		lostEntries:   counter("collector_journal_entries_lost_total", "Entries that could not be read: they are damaged, or the file was removed before."),
		lostFiles:     counter("collector_journal_files_lost_total", "Journal files that were removed while the collector did not run, and had not been read to their end."),
		damagedFields: counter("collector_journal_fields_damaged_total", "Fields that could not be read, of entries that were."),
		damagedFiles:  counter("collector_journal_files_damaged_total", "Journal files in which damage was found."),
		readErrors:    counter("collector_journal_read_errors_total", "Failed attempts to open or read a journal file or folder."),
		copies:        counter("collector_journal_copies_total", "Entries that were not read again when journald copied them from memory to disk."),
		damaged:       counter("collector_log_cursor_files_damaged_total", "Files of cursors that were damaged or unreadable."),
		failed:        counter("collector_log_cursor_write_errors_total", "Failed attempts to store cursors."),
	}
	for _, c := range []prometheus.Collector{
		m.lines, m.errors, m.cutLines, m.invalidLines, dropped, m.lostEntries, m.lostFiles, m.damagedFields, m.damagedFiles,
		m.readErrors, m.copies, m.damaged, m.failed,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "collector_journal_files_open", Help: "Journal files that are being read."}, files),
	} {
		r.MustRegister(c)
	}
	return m
}
