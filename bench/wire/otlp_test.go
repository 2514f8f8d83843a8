package wire

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/grafana/loki/pkg/push"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// TestSpanRequestsAreOTLP reads with pdata what the generator sends, and with
// the receiver's reader what pdata writes.
func TestSpanRequestsAreOTLP(t *testing.T) {
	const spans = 30
	now := time.Unix(1700000000, 123456789)
	made := NewSpanRequest(spans)
	made.Fill(1<<40, now)
	request := ptraceotlp.NewExportRequest()
	if err := request.UnmarshalProto(made.Bytes); err != nil {
		t.Fatal(err)
	}
	traces := request.Traces()
	if traces.SpanCount() != spans {
		t.Fatalf("it has %d spans, want %d", traces.SpanCount(), spans)
	}
	resource := traces.ResourceSpans().At(0)
	if name, _ := resource.Resource().Attributes().Get("service.name"); name.Str() != "shop" {
		t.Errorf("the service is %q", name.Str())
	}
	for i, span := range resource.ScopeSpans().At(0).Spans().All() {
		id := span.SpanID()
		if want := (pcommon.SpanID{0, 0, 1, 0, 0, 0, 0, byte(i)}); id != want {
			t.Errorf("span %d has id %v, want %v", i, id, want)
		}
		if span.EndTimestamp().AsTime().UnixNano() != now.UnixNano() || span.StartTimestamp() >= span.EndTimestamp() {
			t.Errorf("span %d is from %v to %v", i, span.StartTimestamp(), span.EndTimestamp())
		}
		if span.TraceID().IsEmpty() || span.Name() == "" || span.Attributes().Len() != 8 {
			t.Errorf("span %d: %v %q, %d attributes", i, span.TraceID(), span.Name(), span.Attributes().Len())
		}
	}
	written, err := request.MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	var got, want []Span
	for i := range uint64(spans) {
		want = append(want, Span{1<<40 + i, now.UnixNano()})
	}
	if err := Spans(written, func(s Span) { got = append(got, s) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLinesAreReadAsLokisClientsWriteThem(t *testing.T) {
	entry := func(text string) push.Entry { return push.Entry{Timestamp: time.Unix(1, 2), Line: text} }
	text := func(l Line) string {
		line := AppendLine(nil, l, 200)
		if len(line) != 201 || line[200] != '\n' {
			t.Errorf("the line has %d bytes: %q", len(line), line)
		}
		return string(line[:200])
	}
	request := push.PushRequest{Streams: []push.Stream{
		{Labels: `{service="a"}`, Entries: []push.Entry{entry(text(Line{1, 1700000000123456789})), entry("another line"), entry(text(Line{2, 5}))}},
		{Labels: `{service="b"}`, Entries: []push.Entry{entry(text(Line{1 << 63, 6}))}},
	}}
	encoded, err := request.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var got []Line
	others, err := Lines(encoded, func(l Line) { got = append(got, l) })
	if err != nil || others != 1 {
		t.Errorf("%d other lines, %v, want 1", others, err)
	}
	if diff := cmp.Diff([]Line{{1, 1700000000123456789}, {2, 5}, {1 << 63, 6}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestOtherLinesAreNotLinesOfTheBenchmark(t *testing.T) {
	for _, text := range []string{"", "x", linePrefix, linePrefix + "1", linePrefix + "1 t=", linePrefix + "a t=1 x", linePrefix + "1 t=b x"} {
		if l, ok := ParseLine([]byte(text)); ok {
			t.Errorf("%q is %+v", text, l)
		}
	}
}

func TestProfilesAreOfTheSizeAndDiffer(t *testing.T) {
	a, b := Profile(1), Profile(2)
	if string(a) == string(b) || string(a) != string(Profile(1)) {
		t.Error("they do not depend on the seed alone")
	}
	if len(a) < 6<<10 || len(a) > 10<<10 {
		t.Errorf("it has %d bytes, want some 8 KB", len(a))
	}
}
