package process

import "github.com/prometheus/client_golang/prometheus"

// Status is a snapshot of loki.process.
type Status struct {
	Streams      int // of which a block is held
	Lines        int
	Bytes        int
	JournalBytes int64
	Backlog      int // entries that no receiver has accepted yet
}

// Status returns a snapshot of what is held.
func (p *Process) Status() any {
	p.shown.Lock()
	defer p.shown.Unlock()
	return p.shown.Status
}

// HeldLines implements inspect.Holder.
func (p *Process) HeldLines() int {
	p.shown.Lock()
	defer p.shown.Unlock()
	return p.shown.Lines
}

func (p *Process) show() {
	s := Status{Backlog: p.backlog.entries}
	s.Streams, s.Lines, s.Bytes = p.chain.held()
	if p.journal != nil {
		s.JournalBytes = p.journal.size
	}
	p.metrics.heldStreams.Set(float64(s.Streams))
	p.metrics.heldLines.Set(float64(s.Lines))
	p.metrics.heldBytes.Set(float64(s.Bytes))
	p.metrics.journalBytes.Set(float64(s.JournalBytes))
	p.shown.Lock()
	defer p.shown.Unlock()
	p.shown.Status = s
}

// reasonRejected counts entries that a receiver will never take.
const reasonRejected = "rejected"

// metrics are the metrics of loki.process; dropped has Alloy's name.
type metrics struct {
	dropped       *prometheus.CounterVec
	taken         prometheus.Counter
	passed        prometheus.Counter
	flushed       *prometheus.CounterVec
	heldStreams   prometheus.Gauge
	heldLines     prometheus.Gauge
	heldBytes     prometheus.Gauge
	journalBytes  prometheus.Gauge
	damage        prometheus.Counter
	journalErrors prometheus.Counter
	repeated      prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	reasons := func(name, help string, reasons ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"reason"})
		for _, reason := range reasons {
			v.WithLabelValues(reason)
		}
		return v
	}
	m := &metrics{
		dropped: reasons("loki_process_dropped_lines_total", "Log entries that were dropped.", reasonRejected),
		taken:   counter("collector_process_entries_taken_total", "Log entries that came in."),
		passed:  counter("collector_process_entries_passed_total", "Log entries that were forwarded to every receiver."),
		flushed: reasons("collector_process_multiline_blocks_total", "Entries made of several lines, by what ended them.",
			endedByFirstLine, endedByLines, endedByBytes, endedByFlush, endedByMemory),
		heldStreams:   gauge("collector_process_held_streams", "Streams with held lines."),
		heldLines:     gauge("collector_process_held_lines", "Held lines."),
		heldBytes:     gauge("collector_process_held_bytes", "Bytes of held lines."),
		journalBytes:  gauge("collector_process_journal_bytes", "Size of the journal of held lines."),
		damage:        counter("collector_process_journal_damage_total", "Damaged places found in the journal of held lines."),
		journalErrors: counter("collector_process_journal_errors_total", "Failed attempts to write the journal of held lines."),
		repeated:      counter("collector_process_entries_repeated_total", "Log entries that came again after a crash or a failed call, and were skipped."),
	}
	for _, c := range []prometheus.Collector{
		m.dropped, m.taken, m.passed, m.flushed, m.heldStreams, m.heldLines, m.heldBytes, m.journalBytes,
		m.damage, m.journalErrors, m.repeated,
	} {
		r.MustRegister(c)
	}
	return m
}
