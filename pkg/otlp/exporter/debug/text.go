package debug

import (
	"encoding/json"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/pipeline"
)

// whole logs a request in OTLP's JSON.
func (e *Exporter) whole(s pipeline.Signal, d pipeline.Decoded) {
	var text []byte
	var err error
	switch s {
	case pipeline.SignalTraces:
		text, err = (&ptrace.JSONMarshaler{}).MarshalTraces(d.Traces)
	case pipeline.SignalMetrics:
		text, err = (&pmetric.JSONMarshaler{}).MarshalMetrics(d.Metrics)
	default:
		text, err = (&plog.JSONMarshaler{}).MarshalLogs(d.Logs)
	}
	if err != nil {
		e.logger.Warn("the request has no form in JSON", "err", err)
		return
	}
	e.logger.Info("content of the request", "otlp", string(text))
}

// each logs every span, metric or log record of a request.
func (e *Exporter) each(s pipeline.Signal, d pipeline.Decoded) {
	switch s {
	case pipeline.SignalTraces:
		e.spans(d.Traces)
	case pipeline.SignalMetrics:
		e.metrics(d.Metrics)
	default:
		e.records(d.Logs)
	}
}

func (e *Exporter) spans(td ptrace.Traces) {
	for _, rs := range td.ResourceSpans().All() {
		resource := words(rs.Resource().Attributes())
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				e.logger.Info("span received", "name", span.Name(), "trace_id", span.TraceID().String(), "span_id", span.SpanID().String(),
					"duration", span.EndTimestamp().AsTime().Sub(span.StartTimestamp().AsTime()), "status", span.Status().Code().String(),
					"attributes", words(span.Attributes()), "resource", resource, "scope", ss.Scope().Name())
			}
		}
	}
}

func (e *Exporter) metrics(md pmetric.Metrics) {
	for _, rm := range md.ResourceMetrics().All() {
		resource := words(rm.Resource().Attributes())
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				log := func(attributes pcommon.Map, value ...any) {
					e.logger.Info("data point received", append([]any{"name", m.Name(), "type", m.Type().String(),
						"attributes", words(attributes), "resource", resource, "scope", sm.Scope().Name()}, value...)...)
				}
				points(m, log)
			}
		}
	}
}

// points calls log for each data point of a metric.
func points(m pmetric.Metric, log func(attributes pcommon.Map, value ...any)) {
	numbers := func(all pmetric.NumberDataPointSlice) {
		for _, p := range all.All() {
			if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
				log(p.Attributes(), "value", p.IntValue())
			} else {
				log(p.Attributes(), "value", p.DoubleValue())
			}
		}
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		numbers(m.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		numbers(m.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			log(p.Attributes(), "count", p.Count(), "sum", p.Sum(), "buckets", p.BucketCounts().AsRaw(), "bounds", p.ExplicitBounds().AsRaw())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			log(p.Attributes(), "count", p.Count(), "sum", p.Sum(), "scale", p.Scale(), "buckets", p.Positive().BucketCounts().AsRaw())
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			log(p.Attributes(), "count", p.Count(), "sum", p.Sum())
		}
	}
}

func (e *Exporter) records(ld plog.Logs) {
	for _, rl := range ld.ResourceLogs().All() {
		resource := words(rl.Resource().Attributes())
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				e.logger.Info("log record received", "body", r.Body().AsString(), "severity", r.SeverityText(), "timestamp", r.Timestamp().AsTime(),
					"attributes", words(r.Attributes()), "resource", resource, "scope", sl.Scope().Name())
			}
		}
	}
}

// words are attributes as JSON.
func words(m pcommon.Map) string {
	text, err := json.Marshal(m.AsRaw())
	if err != nil {
		return err.Error() // of a number that JSON does not have
	}
	return string(text)
}
