package explore_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/admin/ui"
	"collector/pkg/admin/ui/uitest"
	"collector/pkg/explore"
	"collector/pkg/pipeline"
)

func exploreUI(t *testing.T, w *explore.Window) *uitest.UI {
	return uitest.New(t, uitest.Small, func(o *ui.Options) { o.Explore = w })
}

func TestExploreShowsWhatIsInTheWindow(t *testing.T) {
	w := uitest.RunWindow(t)
	uitest.KeepAll(t, w, 3, "")
	u := exploreUI(t, w)
	id := uitest.TraceIDOf(0)
	for path, wants := range map[string][]string{
		"/explore":                               {"3 lines", "6\u202fseries"[:1], "of 64.0 MiB", "Skipped"},
		"/explore/metrics":                       {"requests_total", "/explore/metrics?name=requests_total", "4 total"},
		"/explore/metrics?q=metric":              {"metric_1_", "3 total"},
		"/explore/metrics?name=requests_total":   {"chart.js", "uPlot", `data-points="/api/v1/explore/metrics?name=requests_total"`, `label=i%3D1`, "increase per second"},
		"/explore/metrics?name=nothing":          {"No series match"},
		"/explore/logs":                          {"line 2 &lt;b&gt;", "/explore/traces/" + id, "label=service%3Dshop", "error"},
		"/explore/logs?q=LINE+1":                 {"line 1"},
		"/explore/logs?level=debug":              {"No lines match"},
		"/explore/logs?label=service%3Dshop":     {"Remove the filter service=shop", "line 0"},
		"/explore/logs?trace=" + id:              {"line 0"},
		"/explore/traces":                        {"GET /&lt;0&gt;", "/explore/traces/" + id},
		"/explore/traces?min=10s":                {"No traces match"},
		"/explore/traces/" + id:                  {"db.statement", "SELECT &lt;x&gt;", "exception", "/explore/logs?trace=" + id, "/explore/profiles?service=shop&amp;since=", "no luck"},
		"/explore/profiles":                      {"main.main", "pkg.work&lt;1&gt;", "6.0 s of cpu in 1 profile", "flame.js", "33.33 %"},
		"/explore/profiles?service=shop&type=no": {"No profiles of this type"},
		"/explore/profiles?until=2001-01-01T00:00:00Z&since=2000-01-01T00:00:00Z": {"No profiles of this type", "All times"},
	} {
		page := uitest.Get(t, u, path)
		uitest.CheckPage(t, path, page)
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
		text := uitest.Get(t, u, path)
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
		if w := u.Ask("GET", path); w.Code != 404 {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
	for path, want := range map[string]string{
		"/explore/traces/" + strings.Repeat("ab", 16):       "The window holds 1 trace, the oldest of",
		"/explore/logs?label=foo":                           "The filter label=foo is ignored: write it as name=value.",
		"/explore/logs?label=service%3Dshpo":                "No line in the window has the label service=shpo.",
		"/explore/logs?level=eror":                          "did you mean error?",
		"/explore/metrics?name=requests_total&label=i%3D99": "No series of this metric in the window has the label i=99.",
		"/explore/metrics?name=requests_total&range=soon":   "The filter range=soon is ignored",
		"/explore/traces?service=shpo":                      "No trace in the window belongs to the service shpo.",
		"/explore/traces?min=slow":                          "The filter min=slow is ignored",
		"/explore/profiles?service=shpo":                    "did you mean shop?",
		"/explore/profiles?since=yesterday":                 "The filter since=yesterday is ignored",
		"/explore/traces?limit=many":                        "The filter limit=many is ignored: write a number.",
	} {
		page := u.Ask("GET", path).Body.String()
		uitest.CheckPage(t, path, page)
		if !strings.Contains(page, want) {
			t.Errorf("%s: no %q", path, want)
		}
	}
}

// A trace with nothing but log lines left in the window has a page that links to them.
func TestATraceThatHasLeftTheWindowSaysSo(t *testing.T) {
	w := uitest.RunWindow(t)
	u := exploreUI(t, w)
	id := strings.Repeat("cd", 16)
	w.ObserveLogs(uitest.SomeEdge(), pipeline.Logs{Streams: []pipeline.Stream{{Labels: labels.FromStrings("service", "shop"), Entries: []pipeline.Entry{{Time: time.Now(), Line: "trace_id=" + id}}}}})
	uitest.StatsOf(t, w) // the line is there then
	got := u.Ask("GET", "/explore/traces/"+id)
	if got.Code != 404 {
		t.Errorf("status %d", got.Code)
	}
	page := got.Body.String()
	uitest.CheckPage(t, "a trace", page)
	for _, want := range []string{"<h1>Trace no longer in the window</h1>", "has left the window", "The window holds no traces", "--explore.memory", `href="/explore/logs?trace=` + id + `"`, `href="/explore/traces"`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
}

func TestExplorePagesStaySmall(t *testing.T) {
	w := uitest.RunWindow(t)
	uitest.KeepAll(t, w, 1500, strings.Repeat("<&\"long>", 200))
	u := exploreUI(t, w)
	for _, path := range []string{"/explore", "/explore/metrics", "/explore/metrics?name=requests_total&limit=100", "/explore/logs?limit=1000", "/explore/traces", "/explore/traces/" + uitest.TraceIDOf(0), "/explore/traces/" + uitest.TraceIDOf(0) + "?page=8", "/explore/profiles"} {
		page := uitest.Get(t, u, path)
		uitest.CheckPage(t, path, page)
		if len(page) > uitest.MaxPage {
			t.Errorf("%s has %d bytes", path, len(page))
		}
	}
	if page := uitest.Get(t, u, "/explore/traces/"+uitest.TraceIDOf(0)+"?page=8"); !strings.Contains(page, "GET /&lt;1499&gt;") || !strings.Contains(page, "Page 8 of 8") {
		t.Error("the last spans are not on the last page")
	}
}

func TestAWindowThatIsOffSaysHowToSwitchItOn(t *testing.T) {
	u := exploreUI(t, nil)
	for _, name := range []string{"", "/metrics", "/logs", "/traces", "/profiles"} {
		page := uitest.Get(t, u, "/explore"+name)
		uitest.CheckPage(t, name, page)
		if !strings.Contains(page, "--explore.memory=16MiB") {
			t.Errorf("%s does not say how to switch it on", name)
		}
		if text := uitest.Get(t, u, "/api/v1/explore"+name); !strings.Contains(text, `"enabled":false`) || strings.Contains(text, "null") {
			t.Errorf("%s: %s", name, text)
		}
	}
	for _, path := range []string{"/explore/traces/1", "/api/v1/explore/traces/1", "/api/v1/explore/flame"} {
		if w := u.Ask("GET", path); w.Code != 404 || !strings.Contains(w.Body.String(), "--explore.memory") {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
