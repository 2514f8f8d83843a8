package ui

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
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

// runWindow is a window that takes every edge's traffic.
func runWindow(t *testing.T) *explore.Window {
	t.Helper()
	w := explore.New(explore.Options{MaxBytes: 64 << 20, MaxAge: time.Hour, Take: func(*live.Edge, live.Signal) bool { return true }})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func exploreUI(t *testing.T, w *explore.Window) *testUI {
	return newTestUI(t, small, func(o *Options) { o.Explore = w })
}

var someEdge = live.NewEdge(&live.Hub{}, "a", "b")

// traceIDOf is the id of the i-th trace.
func traceIDOf(i int) string { return fmt.Sprintf("%030x%02x", 7, i) }

// keepAll fills w with a little of everything, made long by stuffing.
func keepAll(t *testing.T, w *explore.Window, n int, stuffing string) {
	t.Helper()
	lset := labels.FromStrings("service", "shop", "evil", `<script>alert("x")</script>`+stuffing)
	stream := pipeline.Stream{Labels: lset}
	for i := range n {
		line := fmt.Sprintf("level=error msg=\"line %d <b>\" trace_id=%s %s", i, traceIDOf(0), stuffing)
		stream.Entries = append(stream.Entries, pipeline.Entry{Time: time.Now(), Line: line})
	}
	w.ObserveLogs(someEdge, pipeline.Logs{Streams: []pipeline.Stream{stream}})
	var m pipeline.Metrics
	for i := range n {
		s := pipeline.NewSeries(labels.FromStrings(labels.MetricName, "requests_total", "i", fmt.Sprint(i), "long", "<i>"+stuffing))
		other := pipeline.NewSeries(labels.FromStrings(labels.MetricName, fmt.Sprintf("metric_%d_%s", i, stuffing)))
		at := time.Now().Add(-time.Minute).UnixMilli()
		m.Samples = append(m.Samples, pipeline.Sample{Series: s, T: at, V: 10}, pipeline.Sample{Series: s, T: at + 10_000, V: 30}, pipeline.Sample{Series: other, T: at, V: 1})
	}
	w.ObserveMetrics(someEdge, m)
	w.ObserveOTLP(someEdge, spansRequest(t, n, stuffing))
	w.ObserveProfile(someEdge, pipeline.Profile{Route: pipeline.ProfileIngest, Query: "name=shop%7Bversion%3D1%7D&format=pprof", ContentType: "application/octet-stream", Body: deepProfile(t, n, stuffing), Items: 1})
	for _, s := range statsOf(t, w) {
		if s.Items == 0 || s.Skipped > 0 {
			t.Fatalf("%s: %+v", s.Signal, s)
		}
	}
}

func statsOf(t *testing.T, w *explore.Window) []explore.Stats {
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

// deepProfile has n functions below main.
func deepProfile(t *testing.T, n int, stuffing string) []byte {
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

func TestExploreShowsWhatIsInTheWindow(t *testing.T) {
	w := runWindow(t)
	keepAll(t, w, 3, "")
	u := exploreUI(t, w)
	id := traceIDOf(0)
	for path, wants := range map[string][]string{
		"/explore":                               {"3 lines", "6\u202fseries"[:1], "of 64.0 MiB", "Skipped"},
		"/explore/metrics":                       {"requests_total", "/explore/metrics?name=requests_total", "4 in all"},
		"/explore/metrics?q=metric":              {"metric_1_", "3 in all"},
		"/explore/metrics?name=requests_total":   {"chart.js", "uPlot", `data-points="/api/v1/explore/metrics?name=requests_total"`, `label=i%3D1`, "the increase per second"},
		"/explore/metrics?name=nothing":          {"No series in the window matches"},
		"/explore/logs":                          {"line 2 &lt;b&gt;", "/explore/traces/" + id, "label=service%3Dshop", "error"},
		"/explore/logs?q=LINE+1":                 {"line 1"},
		"/explore/logs?level=debug":              {"No line in the window matches"},
		"/explore/logs?label=service%3Dshop":     {"Without service=shop", "line 0"},
		"/explore/logs?trace=" + id:              {"line 0"},
		"/explore/traces":                        {"GET /&lt;0&gt;", "/explore/traces/" + id},
		"/explore/traces?min=10s":                {"No trace in the window matches"},
		"/explore/traces/" + id:                  {"db.statement", "SELECT &lt;x&gt;", "exception", "/explore/logs?trace=" + id, "/explore/profiles?service=shop&amp;since=", "no luck"},
		"/explore/profiles":                      {"main.main", "pkg.work&lt;1&gt;", "6.0 s of cpu in 1 profile", "flame.js", "33.33 %"},
		"/explore/profiles?service=shop&type=no": {"No profile of this kind"},
		"/explore/profiles?until=2001-01-01T00:00:00Z&since=2000-01-01T00:00:00Z": {"No profile of this kind", "All the time there is"},
	} {
		page := get(t, u, path)
		checkPage(t, path, page)
		for _, want := range wants {
			if !strings.Contains(page, want) {
				t.Errorf("%s: no %s", path, want)
			}
		}
	}
	for path, wants := range map[string][]string{
		"/api/v1/explore":                                    {`"enabled":true`, `"signal":"traces"`},
		"/api/v1/explore/metrics":                            {`"name":"requests_total"`},
		"/api/v1/explore/metrics?name=requests_total":        {`"rate":true`, `"v":2}`, `"total":3`},
		"/api/v1/explore/metrics?name=requests_total&rate=0": {`"rate":false`, `"v":30}`},
		"/api/v1/explore/logs?limit=2":                       {`"before":2`, `"level":"error"`},
		"/api/v1/explore/traces":                             {`"spans":3`, `"errors":1`},
		"/api/v1/explore/traces/" + id:                       {`"depth":2`},
		"/api/v1/explore/profiles":                           {`"service":"shop"`, `"total":6000000000`},
		"/api/v1/explore/flame":                              {`"name":"main.main","value":6000000000`},
	} {
		text := get(t, u, path)
		if !json.Valid([]byte(text)) {
			t.Errorf("%s is not JSON: %s", path, text)
		}
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %s in %s", path, want, text)
			}
		}
	}
	for _, path := range []string{"/explore/traces/nothing", "/api/v1/explore/traces/nothing", "/api/v1/explore/flame?type=no"} {
		if w := u.ask("GET", path); w.Code != 404 {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}

// A chart of a few series is read, one of many is not: the others are counted.
func TestAChartSaysWhatItLeavesOut(t *testing.T) {
	w := runWindow(t)
	keepAll(t, w, 130, "")
	u := exploreUI(t, w)
	for path, want := range map[string]string{
		"/explore/metrics?name=requests_total":           "the 10 series with the highest last values; there are 120 more",
		"/explore/metrics?name=requests_total&limit=50":  "the 50 series with the highest last values; there are 80 more",
		"/explore/metrics?name=requests_total&limit=100": "there are 30 more. Narrow them down by a label",
	} {
		page := get(t, u, path)
		checkPage(t, path, page)
		if !strings.Contains(page, want) {
			t.Errorf("%s does not say %q", path, want)
		}
	}
	if page := get(t, u, "/explore/metrics?name=metric_1_"); strings.Contains(page, "more. ") {
		t.Error("one series is said to be of more")
	}
}

func TestLogsArePagedByACursor(t *testing.T) {
	w := runWindow(t)
	keepAll(t, w, 250, "")
	u := exploreUI(t, w)
	seen, path := 0, "/explore/logs?q=line&level=error"
	for range 3 {
		page := get(t, u, path)
		checkPage(t, path, page)
		seen += strings.Count(page, ">trace<span")
		_, next, ok := strings.Cut(page, `<a rel="next" href="`)
		if !ok {
			break
		}
		path, _, _ = strings.Cut(strings.ReplaceAll(next, "&amp;", "&"), `"`)
	}
	if seen != 250 {
		t.Errorf("%d lines were shown", seen)
	}
}

func TestExplorePagesStaySmall(t *testing.T) {
	w := runWindow(t)
	keepAll(t, w, 1500, strings.Repeat("<&\"long>", 200))
	u := exploreUI(t, w)
	for _, path := range []string{"/explore", "/explore/metrics", "/explore/metrics?name=requests_total&limit=100", "/explore/logs?limit=1000", "/explore/traces", "/explore/traces/" + traceIDOf(0), "/explore/traces/" + traceIDOf(0) + "?page=8", "/explore/profiles"} {
		page := get(t, u, path)
		checkPage(t, path, page)
		if len(page) > maxPage {
			t.Errorf("%s has %d bytes", path, len(page))
		}
	}
	if page := get(t, u, "/explore/traces/"+traceIDOf(0)+"?page=8"); !strings.Contains(page, "GET /&lt;1499&gt;") || !strings.Contains(page, "Page 8 of 8") {
		t.Error("the last spans are not on the last page")
	}
}

func TestAWindowThatIsOffSaysHowToSwitchItOn(t *testing.T) {
	u := exploreUI(t, nil)
	for _, name := range []string{"", "/metrics", "/logs", "/traces", "/profiles"} {
		page := get(t, u, "/explore"+name)
		checkPage(t, name, page)
		if !strings.Contains(page, "--explore.memory=16MiB") {
			t.Errorf("%s does not say how to switch it on", name)
		}
		if text := get(t, u, "/api/v1/explore"+name); !strings.Contains(text, `"enabled":false`) || strings.Contains(text, "null") {
			t.Errorf("%s: %s", name, text)
		}
	}
	for _, path := range []string{"/explore/traces/1", "/api/v1/explore/traces/1", "/api/v1/explore/flame"} {
		if w := u.ask("GET", path); w.Code != 404 || !strings.Contains(w.Body.String(), "--explore.memory") {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
