package tailsampling

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/pipeline"
)

// metrics are Alloy's, and what becomes of the spans that are not forwarded.
type metrics struct {
	policies []string // their names in the label policy

	traces, spans, decided, cached *prometheus.CounterVec
	arrived, failed, early         prometheus.Counter
	latency                        *prometheus.HistogramVec
	rounds, late, age              prometheus.Histogram
	dropped                        *prometheus.CounterVec
}

// Reasons for which spans are dropped as configured.
const (
	reasonNotSampled = "not_sampled"
	reasonNumTraces  = "num_traces"
)

func newMetrics(o component.Options, policies []named, held, waiting func() float64) *metrics {
	const prefix = "otelcol_processor_tail_sampling_"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help})
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels)
	}
	short := []float64{1, 2, 5, 10, 25, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1000, 2000, 3000, 4000, 5000, 10000, 20000, 30000, 50000}
	long := []float64{0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets})
	}
	m := &metrics{
		traces:  counters("count_traces_sampled_total", "Traces that a policy has sampled or not.", "policy", "sampled", "decision"),
		spans:   counters("count_spans_sampled_total", "Spans of the traces that a policy has sampled or not.", "policy", "sampled", "decision"),
		decided: counters("global_count_traces_sampled_total", "Traces that were sampled or not.", "sampled", "decision"),
		cached:  counters("early_releases_from_cache_decision_total", "Spans of traces whose decision was in a decision cache.", "sampled"),
		arrived: counter("new_trace_id_received_total", "Traces of which a first span was received."),
		failed:  counter("sampling_policy_evaluation_error_total", "Traces that a policy failed to evaluate."),
		early:   counter("sampling_trace_dropped_too_early_total", "Traces that were dropped before their decision, to make room for others."),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "sampling_decision_latency_microseconds", Help: "How long policies took for a trace, up to and including this one.", Buckets: short,
		}, []string{"policy"}),
		rounds: histogram("sampling_decision_timer_latency_milliseconds", "How long it took to decide on all traces that were due, and to forward them.", short),
		late:   histogram("sampling_late_span_age_seconds", "How long after the decision late spans were received.", long),
		age:    histogram("sampling_trace_removal_age_seconds", "How long after its first span a trace was forgotten.", long),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otelcol_processor_dropped_items_total", Help: "Items that were received and, as configured, not forwarded, by reason.",
		}, []string{"signal", "reason"}),
	}
	for _, p := range policies {
		m.policies = append(m.policies, o.ID+"."+p.name)
	}
	o.Metrics.MustRegister(m.traces, m.spans, m.decided, m.cached, m.arrived, m.failed, m.early, m.latency, m.rounds, m.late, m.age, m.dropped,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + "sampling_traces_on_memory", Help: "Traces that are remembered, decided or not."}, held),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + "waiting_spans", Help: "Spans that are kept on disk until they are forwarded or dropped."}, waiting))
	return m
}

// opinion counts what a policy says of a trace, for which all so far took that long.
func (m *metrics) opinion(of int, v verdict, err error, spans int64, took time.Duration) {
	policy := m.policies[of]
	m.latency.WithLabelValues(policy).Observe(float64(took.Microseconds()))
	if err != nil {
		m.failed.Inc()
		return
	}
	v = v.plain()
	yes := strconv.FormatBool(v == sampled)
	m.traces.WithLabelValues(policy, yes, string(v)).Inc()
	m.spans.WithLabelValues(policy, yes, string(v)).Add(float64(spans))
}

func (m *metrics) decision(v verdict) {
	m.decided.WithLabelValues(strconv.FormatBool(v == sampled), string(v)).Inc()
}

// drop counts spans that are not forwarded.
func (m *metrics) drop(reason string, spans int64) {
	m.dropped.WithLabelValues(string(pipeline.SignalTraces), reason).Add(float64(spans))
}
