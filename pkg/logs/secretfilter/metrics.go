package secretfilter

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of loki.secretfilter; all but the last have Alloy's names.
type metrics struct {
	redacted   prometheus.Counter
	byRule     *prometheus.CounterVec
	byOrigin   *prometheus.CounterVec // nil: not wanted
	lowEntropy *prometheus.CounterVec
	allowed    *prometheus.CounterVec
	took       prometheus.Summary
	dropped    prometheus.Counter

	count atomic.Uint64 // what redacted counts, for the UI
}

func newMetrics(r prometheus.Registerer, origin string) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	by := func(label, name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "collector_log_lines_dropped_total", Help: "Lines that were read and not forwarded, by reason.",
	}, []string{"reason"})
	m := &metrics{
		redacted:   counter("loki_secretfilter_secrets_redacted_total", "Secrets that were redacted."),
		byRule:     by("rule", "loki_secretfilter_secrets_redacted_by_rule_total", "Secrets that were redacted, by rule."),
		lowEntropy: by("rule", "loki_secretfilter_secrets_skipped_entropy_by_rule_total", "Texts that a rule matched and whose entropy was too low for a secret, by rule."),
		allowed:    by("source", "loki_secretfilter_secrets_allowlisted_total", "Texts that a rule matched and an allow list contains, by list."),
		took: prometheus.NewSummary(prometheus.SummaryOpts{
			Name: "loki_secretfilter_processing_duration_seconds", Help: "Time taken to redact a log entry.",
			Objectives: map[float64]float64{0.5: 0.05, 0.9: 0.01, 0.99: 0.001},
		}),
		dropped: dropped.WithLabelValues("rejected"),
	}
	all := []prometheus.Collector{m.redacted, m.byRule, m.lowEntropy, m.allowed, m.took, dropped}
	if origin != "" {
		m.byOrigin = by("origin", "loki_secretfilter_secrets_redacted_by_origin", "Secrets that were redacted, by the value of the origin label.")
		all = append(all, m.byOrigin)
	}
	r.MustRegister(all...)
	return m
}

// add counts what a call did.
func (m *metrics) add(t *tally) {
	m.redacted.Add(float64(len(t.redacted)))
	m.count.Add(uint64(len(t.redacted)))
	for _, rule := range t.redacted {
		m.byRule.WithLabelValues(rule).Inc()
	}
	for _, rule := range t.lowEntropy {
		m.lowEntropy.WithLabelValues(rule).Inc()
	}
	for _, source := range t.allowed {
		m.allowed.WithLabelValues(source).Inc()
	}
	for _, origin := range t.origins {
		m.byOrigin.WithLabelValues(origin).Inc()
	}
	for _, d := range t.took {
		m.took.Observe(d.Seconds())
	}
}
