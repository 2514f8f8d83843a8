package otlptest

import (
	"bytes"
	"fmt"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"collector/pkg/pipeline"
)

// Request makes a request of every kind of field, with resources × scopes ×
// items items of about size bytes.
func Request(t testing.TB, s pipeline.Signal, resources, scopes, items, size int) []byte {
	t.Helper()
	var b []byte
	var err error
	switch s {
	case pipeline.SignalTraces:
		b, err = ptraceotlp.NewExportRequestFromTraces(traces(resources, scopes, items, size)).MarshalProto()
	case pipeline.SignalMetrics:
		b, err = pmetricotlp.NewExportRequestFromMetrics(metrics(resources, scopes, items, size)).MarshalProto()
	default:
		b, err = plogotlp.NewExportRequestFromLogs(logs(resources, scopes, items, size)).MarshalProto()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func attributesOf(m pcommon.Map, i, size int) {
	m.PutStr("text", string(bytes.Repeat([]byte{'a' + byte(i%26)}, size)))
	m.PutInt("n", int64(i))
	m.PutBool("even", i%2 == 0)
	m.PutDouble("half", float64(i)/2)
	m.PutEmptyBytes("bytes").FromRaw([]byte{0, 1, 2})
	list := m.PutEmptySlice("list")
	list.AppendEmpty().SetStr("x")
	list.AppendEmpty().SetEmptyMap().PutStr("k", "v")
	m.PutEmpty("empty")
}

func describe(r pcommon.Resource, scope pcommon.InstrumentationScope, i int) {
	r.Attributes().PutStr("service.name", fmt.Sprint("service-", i))
	scope.SetName("library")
	scope.SetVersion("1.0")
	scope.Attributes().PutInt("scope", int64(i))
}

func traces(resources, scopes, items, size int) ptrace.Traces {
	td := ptrace.NewTraces()
	for r := range resources {
		rs := td.ResourceSpans().AppendEmpty()
		rs.SetSchemaUrl("https://example.com/resource")
		for s := range scopes {
			ss := rs.ScopeSpans().AppendEmpty()
			ss.SetSchemaUrl("https://example.com/scope")
			describe(rs.Resource(), ss.Scope(), s)
			for i := range items {
				span := ss.Spans().AppendEmpty()
				span.SetTraceID([16]byte{1, byte(r), byte(s), byte(i), byte(i >> 8)})
				span.SetSpanID([8]byte{2, byte(i), byte(i >> 8)})
				span.SetParentSpanID([8]byte{3})
				span.SetName(fmt.Sprintf("span-%d-%d-%d", r, s, i))
				span.SetKind(ptrace.SpanKindServer)
				span.SetStartTimestamp(1_700_000_000_000_000_000)
				span.SetEndTimestamp(1_700_000_000_000_000_100)
				span.TraceState().FromRaw("a=b")
				span.SetFlags(1)
				attributesOf(span.Attributes(), i, size)
				e := span.Events().AppendEmpty()
				e.SetName("event")
				e.SetTimestamp(7)
				e.Attributes().PutStr("k", "v")
				l := span.Links().AppendEmpty()
				l.SetTraceID([16]byte{9})
				l.SetSpanID([8]byte{9})
				l.SetFlags(1)
				l.Attributes().PutStr("k", "v")
				span.Status().SetCode(ptrace.StatusCodeError)
				span.Status().SetMessage("no")
			}
		}
	}
	return td
}

func logs(resources, scopes, items, size int) plog.Logs {
	ld := plog.NewLogs()
	for range resources {
		rl := ld.ResourceLogs().AppendEmpty()
		for s := range scopes {
			sl := rl.ScopeLogs().AppendEmpty()
			describe(rl.Resource(), sl.Scope(), s)
			for i := range items {
				r := sl.LogRecords().AppendEmpty()
				r.SetTimestamp(1)
				r.SetObservedTimestamp(2)
				r.SetSeverityNumber(plog.SeverityNumberInfo)
				r.SetSeverityText("INFO")
				r.Body().SetStr(fmt.Sprint("line ", i))
				r.SetTraceID([16]byte{1})
				r.SetSpanID([8]byte{1})
				r.SetFlags(1)
				r.SetEventName("event")
				attributesOf(r.Attributes(), i, size)
			}
		}
	}
	return ld
}

// metrics makes one metric of each type for each scope, with items points each.
func metrics(resources, scopes, items, size int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for range resources {
		rm := md.ResourceMetrics().AppendEmpty()
		for s := range scopes {
			sm := rm.ScopeMetrics().AppendEmpty()
			describe(rm.Resource(), sm.Scope(), s)
			for _, fill := range []func(pmetric.Metric, int, int){fillGauge, fillSum, fillHistogram, fillExponential, fillSummary} {
				m := sm.Metrics().AppendEmpty()
				m.SetName("metric")
				m.SetDescription("what it is")
				m.SetUnit("By")
				m.Metadata().PutStr("k", "v")
				fill(m, items, size)
			}
		}
	}
	return md
}

func fillGauge(m pmetric.Metric, items, size int) {
	g := m.SetEmptyGauge()
	for i := range items {
		p := g.DataPoints().AppendEmpty()
		p.SetDoubleValue(float64(i))
		p.SetTimestamp(5)
		attributesOf(p.Attributes(), i, size)
		e := p.Exemplars().AppendEmpty()
		e.SetTraceID([16]byte{1})
		e.SetSpanID([8]byte{1})
		e.SetIntValue(4)
		e.FilteredAttributes().PutStr("k", "v")
	}
}

func fillSum(m pmetric.Metric, items, size int) {
	s := m.SetEmptySum()
	s.SetIsMonotonic(true)
	s.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	for i := range items {
		p := s.DataPoints().AppendEmpty()
		p.SetIntValue(int64(i))
		p.SetStartTimestamp(4)
		p.SetFlags(1)
		attributesOf(p.Attributes(), i, size)
	}
}

func fillHistogram(m pmetric.Metric, items, size int) {
	h := m.SetEmptyHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	for i := range items {
		p := h.DataPoints().AppendEmpty()
		p.BucketCounts().FromRaw([]uint64{1, 2, 3})
		p.ExplicitBounds().FromRaw([]float64{1, 2})
		p.SetSum(5)
		p.SetMin(1)
		p.SetMax(4)
		p.SetCount(6)
		attributesOf(p.Attributes(), i, size)
	}
}

func fillExponential(m pmetric.Metric, items, size int) {
	h := m.SetEmptyExponentialHistogram()
	for i := range items {
		p := h.DataPoints().AppendEmpty()
		p.Positive().BucketCounts().FromRaw([]uint64{1, 200, 3})
		p.Positive().SetOffset(-3)
		p.Negative().BucketCounts().FromRaw([]uint64{1})
		p.SetScale(2)
		p.SetZeroCount(1)
		p.SetZeroThreshold(.1)
		attributesOf(p.Attributes(), i, size)
	}
}

func fillSummary(m pmetric.Metric, items, size int) {
	s := m.SetEmptySummary()
	for i := range items {
		p := s.DataPoints().AppendEmpty()
		p.SetCount(4)
		q := p.QuantileValues().AppendEmpty()
		q.SetQuantile(.5)
		q.SetValue(3)
		attributesOf(p.Attributes(), i, size)
	}
}
