//go:build integration

package dashboards

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"collector/backend/page"
	"collector/pkg/logs/lokitest"
	"collector/test/browser"
	"collector/test/harness"
)

// TestFrontendQueriesFindData opens the page of the example service in a browser, lets
// it fail in each way that it offers, and checks that each panel of the dashboard
// Frontend finds something in what has arrived at Loki, by Loki's own parser.
func TestFrontendQueriesFindData(t *testing.T) {
	stored := lokitest.New(t)
	faro := harness.Address(harness.FreePort(t))
	origin := startPage(t, "http://"+faro+"/collect")
	config := pagesSection(t, faro) + fmt.Sprintf("\nloki.write \"loki\" {\n\tendpoint { url = %q }\n}\n", stored.URL())
	c := harness.NewCollector(t, config, "COMPOSE_PROJECT_NAME=demo", "HOST_NAME=here", "FARO_ORIGINS="+origin+",http://other.example.com")
	c.Start(t)

	window := browser.Start(t)
	browser.Do(t, window, chromedp.Navigate(origin+"/shop"))
	said := func(text string) {
		browser.Until(t, window, fmt.Sprintf("document.getElementById('status').textContent === %q", text))
	}
	browser.Until(t, window, "document.querySelector('#items button')")
	for _, click := range [][2]string{
		{"#items button", "Done."}, {"#broken", "GET /api/server-error: status 500"},
		{"#exception", "An exception."}, {"#rejection", "A promise without a handler."},
	} {
		browser.Do(t, window, chromedp.Click(chromedp.CSS(click[0])))
		said(click[1])
	}
	// The page is left, which makes its last values final.
	browser.Do(t, window, chromedp.Navigate("about:blank"))

	harness.Eventually(t, time.Minute, func() error { return reported(stored.Entries()) })
	tool := buildParsers(t)
	if err := allFound(t, tool, stored.Entries()); err != nil {
		t.Error(err)
	}
	if err := allFound(t, tool, stored.Entries()[:1]); err == nil {
		t.Error("one line fills all panels")
	}
}

// startPage serves the page, and as much of the API as it asks.
func startPage(t *testing.T, faro string) (origin string) {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, handler := range page.Routes(page.Options{Name: "backend", Version: "v1", FaroURL: faro}) {
		mux.Handle(pattern, handler)
	}
	mux.HandleFunc("GET /api/items", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"items":[{"id":1,"name":"Lamp","price":24.9}]}`)
	})
	mux.HandleFunc("POST /api/orders", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) })
	mux.HandleFunc("GET /api/server-error", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", "the-request")
		w.WriteHeader(http.StatusInternalServerError)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// pagesSection is what deploy/config.alloy says of web pages, at another address.
func pagesSection(t *testing.T, address string) string {
	t.Helper()
	_, section, found := strings.Cut(readDeployed(t, "config.alloy"), "- web pages\n")
	host, port, err := net.SplitHostPort(address)
	if !found || err != nil || !strings.Contains(section, `"0.0.0.0"`) || !strings.Contains(section, "= 12347") {
		t.Fatalf("config.alloy has no section on web pages, or no address there (%v)", err)
	}
	return strings.NewReplacer(`"0.0.0.0"`, strconv.Quote(host), "= 12347", "= "+port).Replace(section)
}

// allFound checks each query of the dashboard, for one service and for all.
func allFound(t *testing.T, tool string, entries []lokitest.Entry) error {
	t.Helper()
	streams := make(map[string][]string)
	for _, e := range entries {
		streams[e.Labels] = append(streams[e.Labels], e.Line)
	}
	var texts, where []string
	for title, queries := range queriesOf(loadDashboards(t)["frontend.json"], "loki") {
		for _, query := range queries {
			for _, values := range []map[string]string{{"project": "demo", "service": "backend"}, {"project": ".*", "service": ".*"}} {
				text, err := interpolate(query, values)
				if err != nil {
					t.Fatal(err)
				}
				texts, where = append(texts, text), append(where, title)
			}
		}
	}
	if len(streams) == 0 || len(texts) < 30 {
		return fmt.Errorf("%d queries in %d streams", len(texts), len(streams))
	}
	for i, problem := range find(t, tool, texts, streams) {
		if problem != "" {
			return fmt.Errorf("%s: %s", where[i], problem)
		}
	}
	return nil
}

// reported checks what the lines say: each failure once, and with where it happened.
func reported(entries []lokitest.Entry) error {
	for _, want := range []string{
		"kind=exception type=ReferenceError", "kind=exception type=RangeError value=\"no such shelf\"",
		"value=\"GET /api/server-error: status 500\"", "context_request_id=the-request",
		"event_name=page_view", "event_name=click", "value_lcp=", "value_cls=", "value_fcp=", "value_ttfb=", "value_inp=",
		`message="1 items listed"`,
	} {
		n := 0
		for _, e := range entries {
			if !strings.Contains(e.Line, want) {
				continue
			}
			n++
			if strings.Contains(e.Line, "kind=exception") && !strings.Contains(e.Line, "/shop/shop.js:") {
				return fmt.Errorf("there is no stack in %s", e.Line)
			}
		}
		if n != 1 {
			return fmt.Errorf("%d lines have %s", n, want)
		}
	}
	return nil
}
