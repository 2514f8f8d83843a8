package explore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"mime/multipart"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	pprof "github.com/google/pprof/profile"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/live"
	"collector/pkg/pipeline"
)

// running is a window that takes every edge's traffic.
func running(t testing.TB, maxBytes int) *Window {
	t.Helper()
	w := New(Options{MaxBytes: maxBytes, MaxAge: time.Hour, Take: func(*live.Edge, live.Signal) bool { return true }})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s differ (-want +got):\n%s", what, diff)
	}
}

var edge = live.NewEdge(&live.Hub{}, "a", "b")

func logLines(service string, texts ...string) pipeline.Logs {
	s := pipeline.Stream{Labels: labels.FromStrings("service", service, "__tenant_id__", "t")}
	for _, text := range texts {
		s.Entries = append(s.Entries, pipeline.Entry{Time: time.Now(), Line: text})
	}
	return pipeline.Logs{Streams: []pipeline.Stream{s}}
}

const traceID = "0102030405060708090a0b0c0d0e0f10"

func TestLogsAreFoundByTextLevelLabelsAndTrace(t *testing.T) {
	w := running(t, 1<<20)
	w.ObserveLogs(edge, logLines("shop", "level=info message=One", `{"level":"ERROR","trace_id":"`+traceID+`"}`, "plain"))
	w.ObserveLogs(edge, logLines("bank", "level=warning message=two"))
	f := func(q LogQuery, want ...string) {
		t.Helper()
		r := must[LogResult](t)(w.Logs(t.Context(), q))
		var got []string
		for _, e := range r.Entries {
			got = append(got, e.Labels.Get("service")+" "+e.Level)
			if e.Labels.Get("__tenant_id__") != "" {
				t.Error("an internal label is shown")
			}
		}
		check(t, fmt.Sprintf("%+v", q), got, want)
	}
	f(LogQuery{}, "bank warn", "shop ", "shop error", "shop info")
	f(LogQuery{Text: "ONE"}, "shop info")
	f(LogQuery{Level: "error"}, "shop error")
	f(LogQuery{Labels: map[string]string{"service": "bank"}}, "bank warn")
	f(LogQuery{TraceID: strings.ToUpper(traceID)}, "shop error")
	f(LogQuery{Text: "nowhere"})
}

func TestLogsAreReadPageByPage(t *testing.T) {
	w := running(t, 1<<20)
	for i := range 25 {
		w.ObserveLogs(edge, logLines("shop", fmt.Sprint("line ", i)))
	}
	q, pages := LogQuery{Limit: 10}, []int{}
	for {
		r := must[LogResult](t)(w.Logs(t.Context(), q))
		pages = append(pages, len(r.Entries))
		if q.Before = r.Before; q.Before == 0 {
			break
		}
	}
	check(t, "pages", pages, []int{10, 10, 5})
}

func samples(series string, values ...float64) pipeline.Metrics {
	s := pipeline.NewSeries(labels.FromStrings(labels.MetricName, series, "job", "x"))
	m := pipeline.Metrics{}
	for i, v := range values {
		m.Samples = append(m.Samples, pipeline.Sample{Series: s, T: time.Now().UnixMilli() - int64(len(values)-i)*1000, V: v})
	}
	return m
}

// Of many series, those that are highest now are shown: of counters, those that
// grow fastest.
func TestTheHighestSeriesComeFirst(t *testing.T) {
	w := running(t, 1<<20)
	now := time.Now().UnixMilli()
	for i := range 15 {
		s := pipeline.NewSeries(labels.FromStrings(labels.MetricName, "m", "n", fmt.Sprintf("%02d", i)))
		w.ObserveMetrics(edge, pipeline.Metrics{Samples: []pipeline.Sample{
			{Series: s, T: now - 1000, V: float64(1000 - 10*i)}, {Series: s, T: now, V: float64(1000 - 9*i)},
		}})
	}
	for rate, want := range map[bool]string{false: "00", true: "14"} {
		r := must[MetricResult](t)(w.Metrics(t.Context(), MetricQuery{Name: "m", Rate: rate}))
		if r.Total != 15 || len(r.Series) != 10 || r.Series[0].Labels.Get("n") != want {
			t.Errorf("rate %v: %d of %d series, the first is %s", rate, len(r.Series), r.Total, r.Series[0].Labels)
		}
	}
}

func TestCountersAreShownAsRates(t *testing.T) {
	w := running(t, 1<<20)
	w.ObserveMetrics(edge, samples("requests_total", 1, 3, math.NaN(), 7, 2))
	r := must[MetricResult](t)(w.Metrics(t.Context(), MetricQuery{Name: "requests_total", Rate: true, Labels: map[string]string{"job": "x"}}))
	if r.Total != 1 || len(r.Series) != 1 {
		t.Fatalf("got %+v", r)
	}
	var got []float64
	for _, p := range r.Series[0].Points {
		got = append(got, p.V)
	}
	check(t, "rates", got, []float64{2, 2, 2}) // from 3 to 7 in two seconds; from 7 down to 2 after a restart
	if none := must[MetricResult](t)(w.Metrics(t.Context(), MetricQuery{Name: "requests_total", Labels: map[string]string{"job": "y"}})); none.Total != 0 {
		t.Errorf("a foreign label is no obstacle: %+v", none)
	}
	check(t, "names", must[[]MetricName](t)(w.MetricNames(t.Context())), []MetricName{{"requests_total", 1}})
}

// spansOf makes a request of a trace: a root with two children, one of which
// failed.
func spansOf(t testing.TB) pipeline.OTLP {
	all := ptrace.NewTraces()
	rs := all.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	at := time.Unix(100, 0)
	add := func(id, parent byte, name string, from, to time.Duration) ptrace.Span {
		span := spans.AppendEmpty()
		span.SetTraceID(pcommon.TraceID([]byte("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10")))
		span.SetSpanID(pcommon.SpanID{id})
		if parent != 0 {
			span.SetParentSpanID(pcommon.SpanID{parent})
		}
		span.SetName(name)
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(at.Add(from)))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(at.Add(to)))
		return span
	}
	add(3, 1, "late", 5*time.Millisecond, 6*time.Millisecond).Status().SetCode(ptrace.StatusCodeError)
	add(2, 1, "early", time.Millisecond, 2*time.Millisecond)
	add(1, 0, "GET /", 0, 10*time.Millisecond)
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(all)
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.OTLP{Signal: pipeline.SignalTraces, Data: data, Items: 3}
}

func TestATraceIsATreeOfItsSpans(t *testing.T) {
	w := running(t, 1<<20)
	w.ObserveOTLP(edge, spansOf(t))
	want := TraceInfo{TraceID: traceID, Root: "GET /", Service: "shop", Start: time.Unix(100, 0).UTC(), Duration: 10 * time.Millisecond, Spans: 3, Errors: 1}
	check(t, "traces", must[[]TraceInfo](t)(w.Traces(t.Context(), TraceQuery{Errors: true, Service: "shop", Text: "EARLY"})), []TraceInfo{want})
	for _, q := range []TraceQuery{{Service: "bank"}, {Text: "no"}, {MinDuration: time.Second}} {
		if got := must[[]TraceInfo](t)(w.Traces(t.Context(), q)); len(got) != 0 {
			t.Errorf("%+v finds %+v", q, got)
		}
	}
	found, ok, err := w.Trace(t.Context(), traceID)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	var got []string
	for _, s := range found.Tree {
		got = append(got, fmt.Sprintf("%d %s +%s", s.Depth, s.Name, s.Offset))
	}
	check(t, "tree", got, []string{"0 GET / +0s", "1 early +1ms", "1 late +5ms"})
}

// cpuProfile has two stacks: main → work 30, main → rest 10.
func cpuProfile(t testing.TB) []byte {
	names := []string{"main", "work", "rest"}
	p := &pprof.Profile{SampleType: []*pprof.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}}
	for i, name := range names {
		f := &pprof.Function{ID: uint64(i + 1), Name: name}
		p.Function = append(p.Function, f)
		p.Location = append(p.Location, &pprof.Location{ID: uint64(i + 1), Line: []pprof.Line{{Function: f}}})
	}
	for leaf, v := range map[int]int64{1: 30, 2: 10} {
		p.Sample = append(p.Sample, &pprof.Sample{Location: []*pprof.Location{p.Location[leaf], p.Location[0]}, Value: []int64{v / 10, v}})
	}
	var buf bytes.Buffer
	if err := p.Write(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func ingested(t testing.TB) pipeline.Profile {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("profile", "profile.pprof")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = part.Write(cpuProfile(t)); err == nil {
		err = form.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.Profile{
		Route: pipeline.ProfileIngest, Query: "name=shop%7Bversion%3D1%7D&format=pprof", ContentType: form.FormDataContentType(),
		Body: body.Bytes(), Items: 1,
	}
}

// over is a context whose end nothing waits for.
type over struct{ context.Context }

func (over) Err() error { return context.Canceled }

func TestAFlameGraphThatNobodyWaitsForIsNotMade(t *testing.T) {
	w := running(t, 1<<20)
	w.ObserveProfile(edge, ingested(t))
	query := ProfileQuery{Service: "shop", Type: "cpu"}
	must[FlameResult](t)(w.Flame(t.Context(), query))
	if _, err := w.Flame(over{context.Background()}, query); err != context.Canceled {
		t.Errorf("who asked has gone: %v", err)
	}
	w.ObserveProfile(edge, ingested(t)) // what has been summed up is at hand
	for range maxFlames {
		w.flames <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := w.Flame(ctx, query); err != context.DeadlineExceeded {
		t.Errorf("%d are being made: %v", maxFlames, err)
	}
	<-w.flames
	must[FlameResult](t)(w.Flame(t.Context(), query))
	if n := len(w.flames); n != maxFlames-1 {
		t.Errorf("%d places are taken", n)
	}
}

func TestProfilesAreSummedUpToAFlameGraph(t *testing.T) {
	w := running(t, 1<<20)
	w.ObserveProfile(edge, ingested(t))
	raw := ingested(t)
	raw.Body, raw.ContentType = cpuProfile(t), "application/octet-stream"
	w.ObserveProfile(edge, raw)

	list := must[[]Profile](t)(w.Profiles(t.Context(), ProfileQuery{Service: "shop", Type: "cpu", Labels: map[string]string{"version": "1"}}))
	if len(list) != 2 {
		t.Fatalf("got %+v", list)
	}
	check(t, "types", list[0].Types, []ProfileType{{"samples", "count", 4}, {"cpu", "nanoseconds", 40}})
	r := must[FlameResult](t)(w.Flame(t.Context(), ProfileQuery{Service: "shop", Type: "cpu"}))
	got := must[[]byte](t)(json.Marshal(r))
	want := `{"type":"cpu","unit":"nanoseconds","profiles":2,"root":{"name":"total","value":80,"self":0,"children":[` +
		`{"name":"main","value":80,"self":0,"children":[{"name":"work","value":60,"self":60},{"name":"rest","value":20,"self":20}]}]},` +
		`"functions":[{"name":"work","self":60,"total":60},{"name":"rest","self":20,"total":20},{"name":"main","self":0,"total":80}]}`
	check(t, "flame graphs", string(got), want)
	if _, err := w.Flame(t.Context(), ProfileQuery{Service: "shop", Type: "heap"}); err != ErrNoProfile {
		t.Errorf("got %v", err)
	}
	check(t, "services", must[map[string][]string](t)(w.ProfileServices(t.Context())), map[string][]string{"shop": {"cpu", "samples"}})
}

func TestTheWindowStaysBelowItsLimits(t *testing.T) {
	const limit = 100_000
	w := running(t, limit)
	for i := range 200 {
		w.ObserveLogs(edge, logLines("shop", strings.Repeat("x", 1000)))
		w.ObserveMetrics(edge, samples(fmt.Sprint("m", i), 1, 2, 3))
		w.ObserveProfile(edge, ingested(t))
		request := spansOf(t)
		request.Data = bytes.ReplaceAll(request.Data, []byte{1, 2, 3, 4}, []byte{byte(i), 2, 3, 4})
		w.ObserveOTLP(edge, request)
		for _, s := range must[[]Stats](t)(w.Stats(t.Context())) {
			if s.Bytes > limit {
				t.Fatalf("%s: %d bytes", s.Signal, s.Bytes)
			}
		}
	}
	for _, s := range must[[]Stats](t)(w.Stats(t.Context())) {
		if s.Items == 0 || s.Bytes < limit/2 {
			t.Errorf("%s: %+v: the window is not used", s.Signal, s)
		}
	}
	// What is too old is dropped, and its memory is freed.
	if _, err := ask(t.Context(), w, func() bool { w.forget(time.Now().Add(time.Hour)); return true }); err != nil {
		t.Fatal(err)
	}
	wantEmpty(t, w)
}

// wantEmpty fails the test if a window holds anything.
func wantEmpty(t *testing.T, w *Window) {
	t.Helper()
	for _, s := range must[[]Stats](t)(w.Stats(t.Context())) {
		if s.Items != 0 || s.Bytes != 0 {
			t.Errorf("%s: %d items, %d bytes are left", s.Signal, s.Items, s.Bytes)
		}
	}
}

func TestLabelsAndResourcesCountAsWell(t *testing.T) {
	const limit = 100_000
	w := running(t, limit)
	long := strings.Repeat("x", limit)
	all := ptrace.NewTraces()
	rs := all.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("long", long)
	rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetTraceID(pcommon.TraceID{1})
	data := must[[]byte](t)((&ptrace.ProtoMarshaler{}).MarshalTraces(all))
	w.ObserveOTLP(edge, pipeline.OTLP{Signal: pipeline.SignalTraces, Data: data, Items: 1})
	w.ObserveMetrics(edge, samples(long, 1))
	logs := logLines("shop", "x")
	logs.Streams[0].Entries[0].Metadata = labels.FromStrings("long", long)
	w.ObserveLogs(edge, logs)
	profile := ingested(t)
	profile.Query = "format=pprof&name=shop{long=" + long + "}"
	w.ObserveProfile(edge, profile)
	for _, s := range must[[]Stats](t)(w.Stats(t.Context())) {
		if s.Items != 0 || s.Bytes != 0 {
			t.Errorf("%s: %d items, %d bytes", s.Signal, s.Items, s.Bytes)
		}
	}
}

func TestItemsFromTheFutureExpireToo(t *testing.T) {
	w := running(t, 1<<20)
	future := time.Now().AddDate(100, 0, 0)
	logs := logLines("shop", "x")
	logs.Streams[0].Entries[0].Time = future
	w.ObserveLogs(edge, logs)
	w.ObserveLogs(edge, logLines("shop", "y"))
	m := samples("m", 1)
	m.Samples[0].T = future.UnixMilli()
	w.ObserveMetrics(edge, m)
	profile := ingested(t)
	profile.Query += fmt.Sprint("&until=", future.Unix())
	w.ObserveProfile(edge, profile)
	if _, err := ask(t.Context(), w, func() bool { w.forget(time.Now().Add(time.Second)); return true }); err != nil {
		t.Fatal(err)
	}
	wantEmpty(t, w)
}

func TestABusyWindowDelaysNobody(t *testing.T) {
	w := New(Options{MaxBytes: 1 << 20, MaxAge: time.Hour, Take: func(*live.Edge, live.Signal) bool { return true }})
	for range waitingCalls + 5 { // nobody runs it
		w.ObserveLogs(edge, logLines("shop", "x"))
	}
	if got := w.skipped[live.Logs].Load(); got != 5 {
		t.Errorf("%d entries skipped, want 5", got)
	}
}

func TestOnlyChosenEdgesAreKept(t *testing.T) {
	w := running(t, 1<<20)
	w.options.Take = func(e *live.Edge, _ live.Signal) bool { return e.To != "b" }
	w.ObserveLogs(edge, logLines("shop", "x"))
	w.ObserveMetrics(edge, samples("m", 1))
	w.ObserveOTLP(edge, spansOf(t))
	w.ObserveProfile(edge, ingested(t))
	for _, s := range must[[]Stats](t)(w.Stats(t.Context())) {
		if s.Items != 0 || s.Skipped != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// FuzzWindow checks that no bytes make a window fail, or answer with what JSON
// cannot hold, and that it stays below its limit.
func FuzzWindow(f *testing.F) {
	f.Add(spansOf(f).Data, uint8(0), "name=a")
	f.Add(cpuProfile(f), uint8(3), "name=a{b=c}&until=1")
	f.Add(ingested(f).Body, uint8(3), "name=x")
	f.Add([]byte("\x0a\x02\x0a\x00"), uint8(4), "")
	f.Fuzz(func(t *testing.T, data []byte, kind uint8, query string) {
		const limit = 10_000
		w := running(t, limit)
		switch kind % 5 {
		case 0, 1, 2:
			signal := []pipeline.Signal{pipeline.SignalTraces, pipeline.SignalMetrics, pipeline.SignalLogs}[kind%5]
			w.ObserveOTLP(edge, pipeline.OTLP{Signal: signal, Data: data, Items: 1})
		case 3:
			w.ObserveProfile(edge, pipeline.Profile{Route: pipeline.ProfileIngest, Query: query, Body: data, Items: 1})
		case 4:
			w.ObserveProfile(edge, pipeline.Profile{Route: pipeline.ProfilePush, Body: data, Items: 1})
		}
		answers := []any{must[[]Stats](t)(w.Stats(t.Context())), must[LogResult](t)(w.Logs(t.Context(), LogQuery{}))}
		for _, s := range answers[0].([]Stats) {
			if s.Bytes > limit || s.Bytes < 0 {
				t.Errorf("%s: %d bytes", s.Signal, s.Bytes)
			}
		}
		for _, info := range must[[]TraceInfo](t)(w.Traces(t.Context(), TraceQuery{})) {
			whole, ok, err := w.Trace(t.Context(), info.TraceID)
			if !ok || err != nil || len(whole.Tree) != info.Spans {
				t.Errorf("trace %s: %d of %d spans, %v", info.TraceID, len(whole.Tree), info.Spans, err)
			}
			answers = append(answers, whole)
		}
		for _, p := range must[[]Profile](t)(w.Profiles(t.Context(), ProfileQuery{})) {
			for _, kind := range p.Types {
				flame, err := w.Flame(t.Context(), ProfileQuery{Service: p.Service, Type: kind.Name})
				if err != nil && kind.Name != "" {
					t.Error(err)
				}
				answers = append(answers, p, flame)
			}
		}
		for _, name := range must[[]MetricName](t)(w.MetricNames(t.Context())) {
			answers = append(answers, must[MetricResult](t)(w.Metrics(t.Context(), MetricQuery{Name: name.Name})))
		}
		if _, err := json.Marshal(answers); err != nil {
			t.Error(err)
		}
	})
}

func TestARequestOfManyEmptyPartsIsNotDecoded(t *testing.T) {
	for name, request := range map[string]pipeline.OTLP{
		"spans":     {Signal: pipeline.SignalTraces, Data: []byte("\x0a\x00"), Items: 500_000},
		"resources": {Signal: pipeline.SignalTraces, Data: bytes.Repeat([]byte("\x0a\x00"), 2_000_000), Items: 1},
		"logs":      {Signal: pipeline.SignalLogs, Data: bytes.Repeat([]byte("\x0a\x00"), 2_000_000), Items: 1},
		"metrics":   {Signal: pipeline.SignalMetrics, Data: bytes.Repeat([]byte("\x0a\x00"), 2_000_000), Items: 1},
	} {
		w := running(t, 1<<20)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w.ObserveOTLP(edge, request)
		stats := must[[]Stats](t)(w.Stats(t.Context()))
		runtime.ReadMemStats(&after)
		if n := int(after.TotalAlloc - before.TotalAlloc); n > 2*len(request.Data)+1<<20 {
			t.Errorf("%s: %d bytes are allocated for %d", name, n, len(request.Data))
		}
		skipped := uint64(0)
		for _, s := range stats {
			skipped += s.Skipped
		}
		check(t, name+" skipped", skipped, uint64(request.Items))
	}
}
