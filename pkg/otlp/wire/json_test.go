package wire

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"collector/pkg/pipeline"
)

// bad is a string that isn't UTF-8, of each kind: a lone byte, an end that is
// cut off, a surrogate, beside what JSON escapes.
const bad = "a\xffb\xe2\x82\"\n\xed\xa0\x80\u20ac\x00"

func TestJSONIsValidWhateverStringsHold(t *testing.T) {
	traces := ptrace.NewTraces()
	resource := traces.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr(bad, bad)
	span := resource.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetName(bad)
	span.Status().SetMessage(bad)
	span.TraceState().FromRaw(bad)
	span.Attributes().PutEmptySlice("list").AppendEmpty().SetStr(bad)
	span.Attributes().PutDouble("nan", math.NaN())
	span.Events().AppendEmpty().SetName(bad)

	metrics := pmetric.NewMetrics()
	metric := metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName(bad)
	metric.SetUnit(bad)
	point := metric.SetEmptyGauge().DataPoints().AppendEmpty()
	point.SetDoubleValue(math.Inf(-1))
	point.Attributes().PutStr("k", bad)

	logs := plog.NewLogs()
	record := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.Body().SetStr(bad)
	record.SetSeverityText(bad)
	record.Attributes().PutEmptyBytes("bytes").FromRaw([]byte(bad))

	for signal, marshal := range map[pipeline.Signal]func() ([]byte, error){
		pipeline.SignalTraces:  ptraceotlp.NewExportRequestFromTraces(traces).MarshalProto,
		pipeline.SignalMetrics: pmetricotlp.NewExportRequestFromMetrics(metrics).MarshalProto,
		pipeline.SignalLogs:    plogotlp.NewExportRequestFromLogs(logs).MarshalProto,
	} {
		request, err := marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ToJSON(signal, request)
		if err != nil {
			t.Fatalf("%s: %v", signal, err)
		}
		if !json.Valid(got) || !utf8.Valid(got) {
			t.Errorf("%s: not JSON: %q", signal, got)
		}
		if !strings.Contains(string(got), "a\uFFFDb\uFFFD\\\"\\n\uFFFD\u20ac\\u0000") {
			t.Errorf("%s: the text has not arrived: %s", signal, got)
		}
		if _, err := fromJSON(signal, got); err != nil {
			t.Errorf("%s: it can't be read again: %v", signal, err)
		}
	}
}
