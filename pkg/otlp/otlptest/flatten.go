package otlptest

import (
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"collector/pkg/pipeline"
)

// Flatten decodes a request and returns, for each item, a request that holds
// that item alone with all that it belongs to.
func Flatten(t testing.TB, s pipeline.Signal, data []byte) []string {
	t.Helper()
	switch s {
	case pipeline.SignalTraces:
		return flattenTraces(t, data)
	case pipeline.SignalMetrics:
		return flattenMetrics(t, data)
	default:
		return flattenLogs(t, data)
	}
}

func flattenTraces(t testing.TB, data []byte) (flat []string) {
	r := ptraceotlp.NewExportRequest()
	if err := r.UnmarshalProto(data); err != nil {
		t.Fatal(err)
	}
	for _, rs := range r.Traces().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				one := ptrace.NewTraces()
				to := one.ResourceSpans().AppendEmpty()
				rs.Resource().CopyTo(to.Resource())
				to.SetSchemaUrl(rs.SchemaUrl())
				scope := to.ScopeSpans().AppendEmpty()
				ss.Scope().CopyTo(scope.Scope())
				scope.SetSchemaUrl(ss.SchemaUrl())
				span.CopyTo(scope.Spans().AppendEmpty())
				b, _ := ptraceotlp.NewExportRequestFromTraces(one).MarshalProto()
				flat = append(flat, string(b))
			}
		}
	}
	return flat
}

func flattenLogs(t testing.TB, data []byte) (flat []string) {
	r := plogotlp.NewExportRequest()
	if err := r.UnmarshalProto(data); err != nil {
		t.Fatal(err)
	}
	for _, rl := range r.Logs().ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				one := plog.NewLogs()
				to := one.ResourceLogs().AppendEmpty()
				rl.Resource().CopyTo(to.Resource())
				to.SetSchemaUrl(rl.SchemaUrl())
				scope := to.ScopeLogs().AppendEmpty()
				sl.Scope().CopyTo(scope.Scope())
				scope.SetSchemaUrl(sl.SchemaUrl())
				record.CopyTo(scope.LogRecords().AppendEmpty())
				b, _ := plogotlp.NewExportRequestFromLogs(one).MarshalProto()
				flat = append(flat, string(b))
			}
		}
	}
	return flat
}

func flattenMetrics(t testing.TB, data []byte) (flat []string) {
	r := pmetricotlp.NewExportRequest()
	if err := r.UnmarshalProto(data); err != nil {
		t.Fatal(err)
	}
	for _, rm := range r.Metrics().ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				for i := range points(m) {
					one := pmetric.NewMetrics()
					to := one.ResourceMetrics().AppendEmpty()
					rm.Resource().CopyTo(to.Resource())
					to.SetSchemaUrl(rm.SchemaUrl())
					scope := to.ScopeMetrics().AppendEmpty()
					sm.Scope().CopyTo(scope.Scope())
					scope.SetSchemaUrl(sm.SchemaUrl())
					single := scope.Metrics().AppendEmpty()
					m.CopyTo(single)
					keepPoint(single, i)
					b, _ := pmetricotlp.NewExportRequestFromMetrics(one).MarshalProto()
					flat = append(flat, string(b))
				}
			}
		}
	}
	return flat
}

func points(m pmetric.Metric) int {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return m.Gauge().DataPoints().Len()
	case pmetric.MetricTypeSum:
		return m.Sum().DataPoints().Len()
	case pmetric.MetricTypeHistogram:
		return m.Histogram().DataPoints().Len()
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().DataPoints().Len()
	case pmetric.MetricTypeSummary:
		return m.Summary().DataPoints().Len()
	}
	return 0
}

// keepPoint removes all data points but the i-th.
func keepPoint(m pmetric.Metric, i int) {
	at := -1
	other := func() bool { at++; return at != i }
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		m.Gauge().DataPoints().RemoveIf(func(pmetric.NumberDataPoint) bool { return other() })
	case pmetric.MetricTypeSum:
		m.Sum().DataPoints().RemoveIf(func(pmetric.NumberDataPoint) bool { return other() })
	case pmetric.MetricTypeHistogram:
		m.Histogram().DataPoints().RemoveIf(func(pmetric.HistogramDataPoint) bool { return other() })
	case pmetric.MetricTypeExponentialHistogram:
		m.ExponentialHistogram().DataPoints().RemoveIf(func(pmetric.ExponentialHistogramDataPoint) bool { return other() })
	case pmetric.MetricTypeSummary:
		m.Summary().DataPoints().RemoveIf(func(pmetric.SummaryDataPoint) bool { return other() })
	}
}
