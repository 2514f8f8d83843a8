package uitest

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	pprof "github.com/google/pprof/profile"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/explore"
	"collector/pkg/live"
	"collector/pkg/pipeline"
)

// RunWindow is a window that takes every edge's traffic.
func RunWindow(t *testing.T) *explore.Window {
	t.Helper()
	w := explore.New(explore.Options{MaxBytes: 64 << 20, MaxAge: time.Hour, Take: func(*live.Edge, live.Signal) bool { return true }})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// SomeEdge is an edge that nobody watches.
func SomeEdge() *live.Edge { return live.NewEdge(&live.Hub{}, "a", "b") }

// TraceIDOf is the id of the i-th trace.
func TraceIDOf(i int) string { return fmt.Sprintf("%030x%02x", 7, i) }

// KeepAll fills w with a little of everything, made long by stuffing.
func KeepAll(t *testing.T, w *explore.Window, n int, stuffing string) {
	t.Helper()
	lset := labels.FromStrings("service", "shop", "evil", `<script>alert("x")</script>`+stuffing)
	stream := pipeline.Stream{Labels: lset}
	for i := range n {
		line := fmt.Sprintf("level=error msg=\"line %d <b>\" trace_id=%s %s", i, TraceIDOf(0), stuffing)
		stream.Entries = append(stream.Entries, pipeline.Entry{Time: time.Now(), Line: line})
	}
	edge := SomeEdge()
	w.ObserveLogs(edge, pipeline.Logs{Streams: []pipeline.Stream{stream}})
	var m pipeline.Metrics
	for i := range n {
		s := pipeline.NewSeries(labels.FromStrings(labels.MetricName, "requests_total", "i", fmt.Sprint(i), "long", "<i>"+stuffing))
		other := pipeline.NewSeries(labels.FromStrings(labels.MetricName, fmt.Sprintf("metric_%d_%s", i, stuffing)))
		at := time.Now().Add(-time.Minute).UnixMilli()
		m.Samples = append(m.Samples, pipeline.Sample{Series: s, T: at, V: 10}, pipeline.Sample{Series: s, T: at + 10_000, V: 30}, pipeline.Sample{Series: other, T: at, V: 1})
	}
	w.ObserveMetrics(edge, m)
	w.ObserveOTLP(edge, spansRequest(t, n, stuffing))
	w.ObserveProfile(edge, pipeline.Profile{Route: pipeline.ProfileIngest, Query: "name=shop%7Bversion%3D1%7D&format=pprof", ContentType: "application/octet-stream", Body: DeepProfile(t, n, stuffing), Items: 1})
	for _, s := range StatsOf(t, w) {
		if s.Items == 0 || s.Skipped > 0 {
			t.Fatalf("%s: %+v", s.Signal, s)
		}
	}
}

// StatsOf is how full the window is.
func StatsOf(t *testing.T, w *explore.Window) []explore.Stats {
	t.Helper()
	all, err := w.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// spansRequest is a trace of n spans, each within the one before.
func spansRequest(t *testing.T, n int, stuffing string) pipeline.OTLP {
	all := ptrace.NewTraces()
	rs := all.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	start := time.Now().Add(-time.Second)
	for i := range n {
		span := spans.AppendEmpty()
		span.SetTraceID(pcommon.TraceID([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00")))
		span.SetSpanID(pcommon.SpanID{1, byte(i >> 8), byte(i)})
		if i > 0 {
			span.SetParentSpanID(pcommon.SpanID{1, byte((i - 1) >> 8), byte(i - 1)})
		}
		span.SetName(fmt.Sprintf("GET /<%d>", i))
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Duration(i) * time.Millisecond)))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Second)))
		span.Attributes().PutStr("db.statement", "SELECT <x> "+stuffing)
		if i == 0 {
			span.Status().SetCode(ptrace.StatusCodeError)
			span.Status().SetMessage("no luck")
			span.Events().AppendEmpty().SetName("exception")
		}
	}
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(all)
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.OTLP{Signal: pipeline.SignalTraces, Data: data, Items: n}
}

// DeepProfile has n functions below main.
func DeepProfile(t *testing.T, n int, stuffing string) []byte {
	p := &pprof.Profile{SampleType: []*pprof.ValueType{{Type: "cpu", Unit: "nanoseconds"}}}
	for i := range n + 1 {
		name := "main.main"
		if i > 0 {
			name = fmt.Sprintf("pkg.work<%d>%s", i, stuffing)
		}
		f := &pprof.Function{ID: uint64(i + 1), Name: name}
		p.Function = append(p.Function, f)
		p.Location = append(p.Location, &pprof.Location{ID: uint64(i + 1), Line: []pprof.Line{{Function: f}}})
	}
	for i := range n {
		p.Sample = append(p.Sample, &pprof.Sample{Location: []*pprof.Location{p.Location[i+1], p.Location[0]}, Value: []int64{2e9}})
	}
	var buf bytes.Buffer
	if err := p.WriteUncompressed(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}
