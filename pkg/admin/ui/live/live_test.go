package live_test

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

	"collector/pkg/admin/ui"
	"collector/pkg/admin/ui/uitest"
)

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

// until reads up to a line that begins with prefix, and returns the rest of that line.
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

func serve(t *testing.T, u *uitest.UI) *httptest.Server {
	server := httptest.NewServer(u.Mux)
	t.Cleanup(server.Close)
	return server
}

func TestEventsStreamInAsTheyPass(t *testing.T) {
	u := uitest.New(t, uitest.Forked, nil)
	w := watch(t, serve(t, u), "/live/events?edge=toy.source.a+toy.sink.b&signal=logs&q=NEEDLE", "")
	header := w.response.Header
	if w.response.StatusCode != 200 || header.Get("Content-Type") != "text/event-stream" || header.Get("X-Accel-Buffering") != "no" || header.Get("Cache-Control") != "no-store" {
		t.Errorf("status %d, %v", w.response.StatusCode, header)
	}
	if got := w.until(t, "data: "); got != `{"skipped":0}` {
		t.Errorf("at the start: %s", got)
	}
	u.Send(t, "toy.source.a", "hay", "a needle\nof two lines")
	w.until(t, "event: item")
	var ev map[string]any
	if err := json.Unmarshal([]byte(w.until(t, "data: ")), &ev); err != nil {
		t.Fatal(err)
	}
	if ev["text"] != "a needle\nof two lines" || ev["from"] != "toy.source.a" || ev["to"] != "toy.sink.b" || ev["signal"] != "logs" || ev["labels"].(map[string]any)["service"] != "shop" {
		t.Errorf("got %v", ev)
	}
	// Nothing comes from the edge to c: the next event is about the next line.
	u.Send(t, "toy.source.a", "needle 2")
	w.until(t, "event: item")
	if got := w.until(t, "data: "); !strings.Contains(got, "needle 2") {
		t.Errorf("got %s", got)
	}
}

func TestTheAPIStreamsLines(t *testing.T) {
	u := uitest.New(t, uitest.Forked, nil)
	w := watch(t, serve(t, u), "/api/v1/live/events?to=toy.sink.c", "")
	if kind := w.response.Header.Get("Content-Type"); kind != "application/x-ndjson" {
		t.Error(kind)
	}
	w.until(t, `{"skipped":0}`)
	u.Send(t, "toy.source.a", strings.Repeat("x", 3), "y")
	for _, want := range []string{"xxx", "y"} {
		var ev struct{ To, Text string }
		if err := json.Unmarshal([]byte(w.until(t, "")), &ev); err != nil || ev.Text != want || ev.To != "toy.sink.c" {
			t.Errorf("%+v, %v", ev, err)
		}
	}
	if w := watch(t, serve(t, u), "/api/v1/live/events", "text/event-stream"); w.until(t, "event: ") != "state" {
		t.Error("a client that asks for events is given lines")
	}
}

func TestWatchersEndWithTheirClients(t *testing.T) {
	u := uitest.New(t, uitest.Forked, nil)
	server := serve(t, u)
	var all []*watching
	for range 20 {
		w := watch(t, server, "/live/events", "")
		w.until(t, "data: ")
		all = append(all, w)
	}
	refused := watch(t, server, "/live/events", "")
	body, err := io.ReadAll(refused.response.Body)
	if err != nil || refused.response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "20 live views are open") {
		t.Errorf("status %d: %s, %v", refused.response.StatusCode, body, err)
	}
	for _, w := range all {
		w.leave()
	}
	for deadline := time.Now().Add(time.Minute); !strings.Contains(uitest.Get(t, u, "/api/v1/live"), `"watchers":0`); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("watchers are left")
		}
	}
	if w := watch(t, server, "/live/events", ""); w.response.StatusCode != 200 {
		t.Errorf("status %d", w.response.StatusCode)
	}
}

func TestClosingEndsTheStreams(t *testing.T) {
	u := uitest.New(t, uitest.Forked, nil)
	w := watch(t, serve(t, u), "/live/events", "")
	w.until(t, "data: ")
	u.Close()
	for w.lines.Scan() {
	}
	if err := w.lines.Err(); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeWatchedIsNamed(t *testing.T) {
	u := uitest.New(t, uitest.Forked, nil)
	if w := u.Ask("GET", "/live/events?signal=smells"); w.Code != 400 || !strings.Contains(w.Body.String(), "unknown signal") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	u = uitest.New(t, uitest.Forked, func(o *ui.Options) { o.Live = nil })
	if w := u.Ask("GET", "/live/events"); w.Code != 404 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	page := uitest.Get(t, u, "/live")
	uitest.CheckPage(t, "/live", page)
	if !strings.Contains(page, "Live data is not available") {
		t.Error("the page does not say that nothing can be watched")
	}
}

func TestTheLivePageListsEveryEdge(t *testing.T) {
	u := uitest.New(t, uitest.Forked, func(o *ui.Options) {
		o.Prefix = "/p"
		o.Rates = uitest.Rates{{From: "toy.source.a", To: "toy.sink.b", Signal: "logs", ItemsPerSecond: 12.5, Recent: []float64{1, 12.5}}}
	})
	page := uitest.Get(t, u, "/live")
	uitest.CheckPage(t, "/live", page)
	for _, want := range []string{`href="/p/live?from=toy.source.a&amp;to=toy.sink.b"`, `href="/p/live?from=toy.source.a&amp;to=toy.sink.c"`, "12.5 lines/s", "logs per second"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(page, "live.js") {
		t.Error("everything is watched without being asked for")
	}
	page = uitest.Get(t, u, "/live?from=toy.source.a&to=toy.sink.b&q=%3Cb%3E")
	uitest.CheckPage(t, "/live?from", page)
	for _, want := range []string{`data-events="/p/live/events?from=toy.source.a&amp;q=%3Cb%3E&amp;to=toy.sink.b"`, "live.js", "needs JavaScript", "selected"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	graph := uitest.Get(t, u, "/graph")
	uitest.CheckPage(t, "/graph", graph)
	if strings.Count(graph, `href="/p/live?from=toy.source.a&amp;to=toy.sink.b"`) != 2 {
		t.Error("the graph's edge does not lead to its events from the picture and from the list")
	}
	if api := uitest.Get(t, u, "/api/v1/live?q=x"); !json.Valid([]byte(api)) || !strings.Contains(api, `"itemsPerSecond":12.5`) || !strings.Contains(api, `"maxWatchers":20`) {
		t.Error(api)
	}
}

func TestTheLivePageStaysSmallWithThousandsOfEdges(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "toy.source \"source_with_a_long_name_%d\" { forward_to = [toy.sink.sink_with_a_long_name_%d.receiver] }\ntoy.sink \"sink_with_a_long_name_%d\" { }\n", i, i, i)
	}
	u := uitest.New(t, b.String(), nil)
	page := uitest.Get(t, u, "/live?edge=toy.source.source_with_a_long_name_999+toy.sink.sink_with_a_long_name_999")
	uitest.CheckPage(t, "/live", page)
	if len(page) > uitest.MaxPage || !strings.Contains(page, "700 more") {
		t.Errorf("%d bytes", len(page))
	}
}
