package wire

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

// checkParts: the parts keep the limits, are well formed, and hold the items of
// data between them, in order.
func checkParts(t *testing.T, s pipeline.Signal, data []byte, parts []Part, maxBytes, maxItems int) {
	t.Helper()
	var got []string
	for _, p := range parts {
		n, err := walk(s, p.Data)
		if err != nil || n != p.Items {
			t.Fatalf("%s: a part of %d items counts %d: %v", s, p.Items, n, err)
		}
		if maxBytes > 0 && len(p.Data) > maxBytes && p.Items > 1 {
			t.Errorf("%s: a part of %d items has %d bytes, limit %d", s, p.Items, len(p.Data), maxBytes)
		}
		if maxItems > 0 && p.Items > maxItems {
			t.Errorf("%s: a part has %d items, limit %d", s, p.Items, maxItems)
		}
		got = append(got, otlptest.Flatten(t, s, p.Data)...)
	}
	if diff := cmp.Diff(otlptest.Flatten(t, s, data), got); diff != "" {
		t.Errorf("%s: the parts are not the whole: %s", s, diff)
	}
}

func TestSplitKeepsContentAndLimits(t *testing.T) {
	for _, s := range flow.Signals() {
		data := otlptest.Request(t, s, 2, 3, 7, 200)
		for _, limit := range []struct{ bytes, items int }{
			{len(data) / 2, 0}, {len(data) / 7, 0}, {1500, 0}, {1, 0}, {0, 1}, {0, 10}, {3000, 4}, {1 << 20, 0},
		} {
			parts, err := Split(s, data, limit.bytes, limit.items)
			if err != nil {
				t.Fatal(err)
			}
			checkParts(t, s, data, parts, limit.bytes, limit.items)
		}
	}
}

func TestSplitFillsParts(t *testing.T) {
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1000, 200)
	limit := len(data) / 4
	parts, err := Split(pipeline.SignalTraces, data, limit, 0)
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
	points := m.SetEmptySum().DataPoints()
	for i := range 500 {
		p := points.AppendEmpty()
		p.SetIntValue(int64(i))
		p.Attributes().PutStr("text", strings.Repeat("x", 50))
	}
	data, _ := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	parts, err := Split(pipeline.SignalMetrics, data, len(data)/3, 0)
	if err != nil || len(parts) < 3 {
		t.Fatalf("%d parts: %v", len(parts), err)
	}
	checkParts(t, pipeline.SignalMetrics, data, parts, len(data)/3, 0)
}

func TestSplitKeepsWhatHasNoItems(t *testing.T) {
	td := ptrace.NewTraces()
	td.ResourceSpans().AppendEmpty().Resource().Attributes().PutStr("alone", "yes")
	data, _ := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	parts, err := Split(pipeline.SignalTraces, data, 10, 0)
	if err != nil || len(parts) != 1 {
		t.Fatalf("%d parts: %v", len(parts), err)
	}
	_, want, _ := library(pipeline.SignalTraces, data)
	_, got, err := library(pipeline.SignalTraces, parts[0].Data)
	if err != nil || string(got) != string(want) {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}

func TestSplitOmitsWhatNobodyReads(t *testing.T) {
	hidden := otlptest.Nested(1000, 2, 5, []byte("hidden"))
	data := otlptest.Nested(1, otlptest.Concat(hidden, otlptest.Nested(2, otlptest.Concat(otlptest.Nested(2), otlptest.Nested(2)))))
	parts, err := Split(pipeline.SignalTraces, data, 0, 1)
	if err != nil || len(parts) != 2 {
		t.Fatalf("%d parts: %v", len(parts), err)
	}
	for _, p := range parts {
		if bytes.Contains(p.Data, []byte("hidden")) {
			t.Errorf("a part repeats the deprecated scopes, which the current ones hide: %q", p.Data)
		}
	}
}

// FuzzSplit: whatever request the walk accepts, its parts hold its items. Requests are
// short and of few items: each is compared with everything that it belongs to, which
// takes quadratic time and finds no more.
func FuzzSplit(f *testing.F) {
	for i, s := range flow.Signals() {
		f.Add(byte(i), uint16(100), uint8(0), otlptest.Request(f, s, 2, 2, 2, 3))
		f.Add(byte(i), uint16(0), uint8(1), otlptest.Request(f, s, 1, 1, 3, 3))
	}
	f.Add(byte(0), uint16(1), uint8(0), otlptest.Nested(1, otlptest.Concat(otlptest.Nested(1000, 2), otlptest.Nested(1000, 2))))
	f.Add(byte(0), uint16(1), uint8(0), otlptest.Nested(1, otlptest.Concat(otlptest.Nested(1000, 2), otlptest.Nested(2, 2))))
	f.Add(byte(1), uint16(1), uint8(0), otlptest.Nested(1, 2, 2, otlptest.Concat(otlptest.Nested(5, 1), otlptest.Nested(7, 1), otlptest.Nested(7, 1))))
	f.Fuzz(func(t *testing.T, which byte, maxBytes uint16, maxItems uint8, data []byte) {
		s := flow.Signals()[int(which)%3]
		const longest, most = 4 << 10, 64
		if n, err := walk(s, data); err != nil || len(data) > longest || n > most {
			return
		}
		parts, err := Split(s, data, int(maxBytes), int(maxItems))
		if err != nil {
			t.Fatal(err)
		}
		checkParts(t, s, data, parts, int(maxBytes), int(maxItems))
	})
}
