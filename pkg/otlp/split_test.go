package otlp

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// flatten decodes a request and returns, for each item, a request that holds
// that item alone with all that it belongs to.
func flatten(t testing.TB, s pipeline.Signal, data []byte) []string {
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

// checkParts: the parts keep the limits, are well formed, and hold the items of
// data between them, in order.
func checkParts(t *testing.T, s pipeline.Signal, data []byte, parts []part, maxBytes, maxItems int) {
	t.Helper()
	var got []string
	for _, p := range parts {
		n, err := walk(s, p.data)
		if err != nil || n != p.items {
			t.Fatalf("%s: a part of %d items counts %d: %v", s, p.items, n, err)
		}
		if maxBytes > 0 && len(p.data) > maxBytes && p.items > 1 {
			t.Errorf("%s: a part of %d items has %d bytes, limit %d", s, p.items, len(p.data), maxBytes)
		}
		if maxItems > 0 && p.items > maxItems {
			t.Errorf("%s: a part has %d items, limit %d", s, p.items, maxItems)
		}
		got = append(got, flatten(t, s, p.data)...)
	}
	if diff := cmp.Diff(flatten(t, s, data), got); diff != "" {
		t.Errorf("%s: the parts are not the whole: %s", s, diff)
	}
}

func TestSplitKeepsContentAndLimits(t *testing.T) {
	for _, s := range flow.Signals() {
		data := request(t, s, 2, 3, 7, 200)
		for _, limit := range []struct{ bytes, items int }{
			{len(data) / 2, 0}, {len(data) / 7, 0}, {1500, 0}, {1, 0}, {0, 1}, {0, 10}, {3000, 4}, {1 << 20, 0},
		} {
			parts, err := split(s, data, limit.bytes, limit.items)
			if err != nil {
				t.Fatal(err)
			}
			checkParts(t, s, data, parts, limit.bytes, limit.items)
		}
	}
}

func TestSplitFillsParts(t *testing.T) {
	data := request(t, pipeline.SignalTraces, 1, 1, 1000, 200)
	limit := len(data) / 4
	parts, err := split(pipeline.SignalTraces, data, limit, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(parts) > 5 {
		t.Errorf("%d parts for four times the limit", len(parts))
	}
}

func TestSplitCutsOneMetricByItsPoints(t *testing.T) {
	md := pmetric.NewMetrics()
	m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("wide")
	fillSum(m, 500, 50)
	data, _ := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	parts, err := split(pipeline.SignalMetrics, data, len(data)/3, 0)
	if err != nil || len(parts) < 3 {
		t.Fatalf("%d parts: %v", len(parts), err)
	}
	checkParts(t, pipeline.SignalMetrics, data, parts, len(data)/3, 0)
}

func TestSplitKeepsWhatHasNoItems(t *testing.T) {
	td := ptrace.NewTraces()
	td.ResourceSpans().AppendEmpty().Resource().Attributes().PutStr("alone", "yes")
	data, _ := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	parts, err := split(pipeline.SignalTraces, data, 10, 0)
	if err != nil || len(parts) != 1 {
		t.Fatalf("%d parts: %v", len(parts), err)
	}
	_, want, _ := library(pipeline.SignalTraces, data)
	_, got, err := library(pipeline.SignalTraces, parts[0].data)
	if err != nil || string(got) != string(want) {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}

func TestSplitLeavesOutWhatNobodyReads(t *testing.T) {
	hidden := nested(1000, 2, 5, []byte("hidden"))
	data := nested(1, concat(hidden, nested(2, concat(nested(2), nested(2)))))
	parts, err := split(pipeline.SignalTraces, data, 0, 1)
	if err != nil || len(parts) != 2 {
		t.Fatalf("%d parts: %v", len(parts), err)
	}
	for _, p := range parts {
		if bytes.Contains(p.data, []byte("hidden")) {
			t.Errorf("a part repeats the deprecated scopes, which the current ones hide: %q", p.data)
		}
	}
}

// FuzzSplit: whatever request the walk accepts, its parts hold its items.
func FuzzSplit(f *testing.F) {
	for i, s := range flow.Signals() {
		f.Add(byte(i), uint16(100), uint8(0), request(f, s, 2, 2, 2, 3))
		f.Add(byte(i), uint16(0), uint8(1), request(f, s, 1, 1, 3, 3))
	}
	f.Add(byte(0), uint16(1), uint8(0), nested(1, concat(nested(1000, 2), nested(1000, 2))))
	f.Add(byte(0), uint16(1), uint8(0), nested(1, concat(nested(1000, 2), nested(2, 2))))
	f.Add(byte(1), uint16(1), uint8(0), nested(1, 2, 2, concat(nested(5, 1), nested(7, 1), nested(7, 1))))
	f.Fuzz(func(t *testing.T, which byte, maxBytes uint16, maxItems uint8, data []byte) {
		s := flow.Signals()[int(which)%3]
		if _, err := walk(s, data); err != nil {
			return
		}
		parts, err := split(s, data, int(maxBytes), int(maxItems))
		if err != nil {
			t.Fatal(err)
		}
		checkParts(t, s, data, parts, int(maxBytes), int(maxItems))
	})
}
