package ui

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/pipeline"
)

// send has a toy send lines to the components behind it.
func (u *testUI) send(t *testing.T, id string, lines ...string) {
	t.Helper()
	logs := pipeline.Logs{Streams: []pipeline.Stream{{Labels: labels.FromStrings("service", "shop")}}}
	for _, line := range lines {
		logs.Streams[0].Entries = append(logs.Streams[0].Entries, pipeline.Entry{Time: time.Now(), Line: line})
	}
	u.graph.Components(func(name string, c any) {
		if name != id {
			return
		}
		for _, to := range c.(*toy).config.Forward {
			if err := to.WriteLogs(t.Context(), logs); err != nil {
				t.Error(err)
			}
		}
	})
}

// watching is a stream of events that a client reads line by line.
type watching struct {
	response *http.Response
	lines    *bufio.Scanner
	leave    func()
}

func watch(t *testing.T, server *httptest.Server, path, accept string) *watching {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, "GET", server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return &watching{response, bufio.NewScanner(response.Body), cancel}
}

// until reads to a line that begins with prefix, and gives the rest of it.
func (w *watching) until(t *testing.T, prefix string) string {
	t.Helper()
	for w.lines.Scan() {
		if rest, ok := strings.CutPrefix(w.lines.Text(), prefix); ok {
			return rest
		}
	}
	t.Fatalf("the stream ended before %q: %v", prefix, w.lines.Err())
	return ""
}

func (u *testUI) serve(t *testing.T) *httptest.Server {
	server := httptest.NewServer(u.mux)
	t.Cleanup(server.Close)
	return server
}

const forked = `
toy.source "a" { forward_to = [toy.sink.b.receiver, toy.sink.c.receiver] }
toy.sink "b" { }
toy.sink "c" { }
`

func TestEventsStreamInAsTheyPass(t *testing.T) {
	u := newTestUI(t, forked, nil)
	w := watch(t, u.serve(t), "/live/events?edge=toy.source.a+toy.sink.b&signal=logs&q=NEEDLE", "")
	header := w.response.Header
	if w.response.StatusCode != 200 || header.Get("Content-Type") != "text/event-stream" || header.Get("X-Accel-Buffering") != "no" || header.Get("Cache-Control") != "no-store" {
		t.Errorf("status %d, %v", w.response.StatusCode, header)
	}
	if got := w.until(t, "data: "); got != `{"skipped":0}` {
		t.Errorf("at the start: %s", got)
	}
	u.send(t, "toy.source.a", "hay", "a needle\nof two lines")
	w.until(t, "event: item")
	var ev map[string]any
	if err := json.Unmarshal([]byte(w.until(t, "data: ")), &ev); err != nil {
		t.Fatal(err)
	}
	if ev["text"] != "a needle\nof two lines" || ev["from"] != "toy.source.a" || ev["to"] != "toy.sink.b" || ev["signal"] != "logs" || ev["labels"].(map[string]any)["service"] != "shop" {
		t.Errorf("got %v", ev)
	}
	// Of the edge to c nothing comes: the next event is of the next line.
	u.send(t, "toy.source.a", "needle 2")
	w.until(t, "event: item")
	if got := w.until(t, "data: "); !strings.Contains(got, "needle 2") {
		t.Errorf("got %s", got)
	}
}

func TestTheAPIStreamsLines(t *testing.T) {
	u := newTestUI(t, forked, nil)
	w := watch(t, u.serve(t), "/api/v1/live/events?to=toy.sink.c", "")
	if kind := w.response.Header.Get("Content-Type"); kind != "application/x-ndjson" {
		t.Error(kind)
	}
	w.until(t, `{"skipped":0}`)
	u.send(t, "toy.source.a", strings.Repeat("x", 3), "y")
	for _, want := range []string{"xxx", "y"} {
		var ev struct{ To, Text string }
		if err := json.Unmarshal([]byte(w.until(t, "")), &ev); err != nil || ev.Text != want || ev.To != "toy.sink.c" {
			t.Errorf("%+v, %v", ev, err)
		}
	}
	if w := watch(t, u.serve(t), "/api/v1/live/events", "text/event-stream"); w.until(t, "event: ") != "state" {
		t.Error("a client that asks for events is given lines")
	}
}

func TestWatchersEndWithTheirClients(t *testing.T) {
	u := newTestUI(t, forked, nil)
	server := u.serve(t)
	var all []*watching
	for range maxWatchers {
		w := watch(t, server, "/live/events", "")
		w.until(t, "data: ")
		all = append(all, w)
	}
	refused := watch(t, server, "/live/events", "")
	body, err := io.ReadAll(refused.response.Body)
	if err != nil || refused.response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "20 others are watching") {
		t.Errorf("status %d: %s, %v", refused.response.StatusCode, body, err)
	}
	for _, w := range all {
		w.leave()
	}
	deadline := time.Now().Add(30 * time.Second)
	for u.watchers.Load() > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d watchers are left", u.watchers.Load())
		}
		<-time.After(5 * time.Millisecond)
	}
	if w := watch(t, server, "/live/events", ""); w.response.StatusCode != 200 {
		t.Errorf("status %d", w.response.StatusCode)
	}
}

func TestClosingEndsTheStreams(t *testing.T) {
	u := newTestUI(t, forked, nil)
	w := watch(t, u.serve(t), "/live/events", "")
	w.until(t, "data: ")
	u.Close()
	for w.lines.Scan() {
	}
	if err := w.lines.Err(); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeWatchedIsSaid(t *testing.T) {
	u := newTestUI(t, forked, nil)
	if w := u.ask("GET", "/live/events?signal=smells"); w.Code != 400 || !strings.Contains(w.Body.String(), "no such signal") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	u = newTestUI(t, forked, func(o *Options) { o.Live = nil })
	if w := u.ask("GET", "/live/events"); w.Code != 404 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	page := get(t, u, "/live")
	checkPage(t, "/live", page)
	if !strings.Contains(page, "Nothing can be watched") {
		t.Error("the page does not say that nothing can be watched")
	}
}

func TestTheLivePageListsEveryEdge(t *testing.T) {
	u := newTestUI(t, forked, func(o *Options) {
		o.Prefix = "/p"
		o.Rates = rates{{From: "toy.source.a", To: "toy.sink.b", Signal: "logs", ItemsPerSecond: 12.5, Recent: []float64{1, 12.5}}}
	})
	page := get(t, u, "/live")
	checkPage(t, "/live", page)
	for _, want := range []string{`href="/p/live?from=toy.source.a&amp;to=toy.sink.b"`, `href="/p/live?from=toy.source.a&amp;to=toy.sink.c"`, "12.5 lines/s", "logs per second"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(page, "live.js") {
		t.Error("everything is watched without being asked for")
	}
	page = get(t, u, "/live?from=toy.source.a&to=toy.sink.b&q=%3Cb%3E")
	checkPage(t, "/live?from", page)
	for _, want := range []string{`data-events="/p/live/events?from=toy.source.a&amp;q=%3Cb%3E&amp;to=toy.sink.b"`, "live.js", "needs JavaScript", "selected"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	graph := get(t, u, "/graph")
	checkPage(t, "/graph", graph)
	if strings.Count(graph, `href="/p/live?from=toy.source.a&amp;to=toy.sink.b"`) != 2 {
		t.Error("the graph's edge does not lead to its events from the picture and from the list")
	}
	if api := get(t, u, "/api/v1/live?q=x"); !json.Valid([]byte(api)) || !strings.Contains(api, `"itemsPerSecond":12.5`) || !strings.Contains(api, `"maxWatchers":20`) {
		t.Error(api)
	}
}

func TestTheLivePageStaysSmallWithThousandsOfEdges(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "toy.source \"source_with_a_long_name_%d\" { forward_to = [toy.sink.sink_with_a_long_name_%d.receiver] }\ntoy.sink \"sink_with_a_long_name_%d\" { }\n", i, i, i)
	}
	u := newTestUI(t, b.String(), nil)
	page := get(t, u, "/live?edge=toy.source.source_with_a_long_name_999+toy.sink.sink_with_a_long_name_999")
	checkPage(t, "/live", page)
	if len(page) > maxPage || !strings.Contains(page, "700 more") {
		t.Errorf("%d bytes", len(page))
	}
}
