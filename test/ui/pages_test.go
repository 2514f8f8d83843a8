//go:build integration

package ui

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"collector/test/harness"
)

// pages are all that the navigation leads to, and what each of them shows
// with the data of the demo.
var pages = map[string]string{
	"/":                           "document.querySelectorAll('.signals .card').length === 4",
	"/graph":                      "document.querySelectorAll('a.node').length >= 5",
	"/components":                 "document.querySelector('main').innerText.includes('prometheus.scrape.demo')",
	"/targets":                    "document.querySelector('main').innerText.includes('/metrics')",
	"/relabel":                    "document.querySelector('h1')",
	"/stages":                     "document.querySelector('h1')",
	"/why":                        "document.querySelectorAll('main li a').length > 0",
	"/why?q=explore.sink.default": "document.querySelectorAll('dl.why dt').length >= 5",
	"/live":                       "document.querySelectorAll('#edges tbody tr').length >= 4",
	"/explore":                    "document.querySelectorAll('tbody tr').length === 4",
	"/explore/metrics":            "document.querySelector('main').innerText.includes('http_requests_total')",
	"/explore/metrics?name=http_requests_total&rate=1": "document.querySelector('#chart canvas')",
	"/explore/logs":                   "document.querySelectorAll('tbody tr').length > 5",
	"/explore/traces":                 "document.querySelectorAll('tbody tr').length > 3",
	"/explore/profiles":               "document.querySelectorAll('.frame').length > 3",
	"/configuration":                  "document.querySelectorAll('.source .line').length > 20",
	"/component/demo.service.backend": "document.querySelector('main').innerText.includes('requests_per_second')",
}

// Each page shows real data, without an error and without asking another host,
// in both color schemes, and fits a phone.
func TestEachPage(t *testing.T) {
	url := startDemo(t)
	b := newBrowser(t, url)
	for path, shows := range pages {
		for _, scheme := range []string{"light", "dark"} {
			b.scheme(scheme)
			b.open(path)
			b.until(shows)
			dark := eval[bool](b, "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).every((c) => c < 80)")
			if dark != (scheme == "dark") {
				t.Errorf("%s is dark (%v) where the system is %s", path, dark, scheme)
			}
		}
		b.size(360, 740)
		b.open(path)
		b.until(shows)
		if wide := eval[float64](b, "document.documentElement.scrollWidth"); wide > 360 {
			t.Errorf("%s is %v pixels wide on a screen of 360", path, wide)
		}
		// The navigation is wider than that, and shows the current page.
		b.until("(() => { const r = document.querySelector('nav [aria-current=page]').getBoundingClientRect(); return r.left >= 0 && r.right <= 360 })()")
		b.size(1440, 900)
	}
}

func TestFromTheGraphToAComponentToALiveTap(t *testing.T) {
	b := newBrowser(t, startDemo(t))
	b.open("/")
	b.follow(`nav a[href="/graph"]`, "/graph")
	b.follow(`a.node[href="/component/demo.service.backend"]`, "/component/demo.service.backend")
	b.follow(`a.tap[href*="explore.sink.default"]`, "/live")
	b.until("document.querySelectorAll('#live-rows tr').length > 3")
	if !eval[bool](b, "[...document.querySelectorAll('#live-rows tr')].some((row) => row.innerText.includes('trace_id='))") {
		t.Errorf("the tap shows no line of the service:\n%s", b.text())
	}
	b.do(chromedp.Click(chromedp.CSS("#live-pause")))
	b.until("document.getElementById('live-state').textContent === 'paused'")
	b.follow(`nav a[href="/graph"]`, "/graph")
	b.follow(`g.edge a[href*="prometheus.scrape.demo"]`, "/live")
	b.until("document.querySelectorAll('#live-rows tr').length > 3")
}

func TestFromALogLineToItsTraceToItsSpans(t *testing.T) {
	url := startDemo(t)
	aTrace(t, url)
	b := newBrowser(t, url)
	b.open("/explore")
	b.follow(`a[href="/explore/logs"]`, "/explore/logs")
	b.do(chromedp.SendKeys(chromedp.CSS("#q"), "order created"), chromedp.Click(chromedp.CSS("form.search button")))
	b.until("location.search.includes('order+created') && document.querySelectorAll('tbody tr').length > 0")
	// A refresh would replace the line that is clicked by newer ones.
	b.do(chromedp.Click(chromedp.CSS("#pause")))
	href := eval[string](b, "document.querySelector('tbody a[href*=\"/explore/traces/\"]').getAttribute('href')")
	// Spans arrive after the line of their request, in more than one export
	// perhaps, and the page of a trace does not refresh itself.
	spans := []string{"POST /api/orders", "payments charge", "database insert order"}
	harness.Eventually(t, waiting, func() error { return spansAreThere(url, href, spans...) })
	b.follow(fmt.Sprintf(`tbody a[href=%q]`, href), "/explore/traces/")
	b.until("document.querySelectorAll('.waterfall li').length >= 3")
	for _, span := range spans {
		if !strings.Contains(b.text(), span) {
			t.Errorf("no span %q:\n%s", span, b.text())
		}
	}
	b.do(chromedp.Click(chromedp.CSS(".waterfall li:nth-child(2) summary")))
	b.until("document.querySelector('.waterfall li:nth-child(2) details').open")
	b.follow(`main a[href*="/explore/logs?trace="]`, "/explore/logs")
	b.until("[...document.querySelectorAll('tbody tr')].some((row) => row.innerText.includes('order created'))")
}

func TestTheFlameGraphIsNotEmpty(t *testing.T) {
	b := newBrowser(t, startDemo(t))
	b.open("/explore/profiles?service=backend&type=cpu")
	b.until("document.querySelectorAll('.frame').length > 10")
	b.do(chromedp.SendKeys(chromedp.CSS("#flame-find"), "collector/backend"))
	b.until("document.querySelectorAll('.frame.hit').length > 0 && document.getElementById('flame-found').textContent.includes('%')")
	deep := "[...document.querySelectorAll('.frame')].find((f) => f.getAttribute('aria-level') === '4')"
	name := eval[string](b, deep+".textContent")
	eval[bool](b, "("+deep+".click(), true)")
	b.until(fmt.Sprintf("[...document.querySelectorAll('.frame')].find((f) => f.textContent === %q).getBoundingClientRect().width > document.getElementById('flame-graph').clientWidth * 0.95", name))
}

// A proxy that serves the UI below a path, under a different name.
func TestBehindAProxyBelowAPath(t *testing.T) {
	target := startDemo(t, "--server.http.ui-path-prefix=/tools/collector")
	at, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: at.Scheme, Host: at.Host}) }}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/tools/collector/") {
			http.Error(w, "the proxy has something else there", http.StatusNotFound)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { proxy.CloseClientConnections(); proxy.Close() })
	b := newBrowser(t, proxy.URL+"/tools/collector")
	for path, shows := range pages {
		b.open(path)
		b.until(shows)
	}
	b.open("/live?from=demo.service.backend&to=explore.sink.default")
	b.until("document.querySelectorAll('#live-rows tr').length > 3")
	b.open("/configuration")
	b.do(chromedp.Click(chromedp.CSS("form.reload button")))
	b.until("document.querySelector('.notice.good')")
}

func TestWithAPassword(t *testing.T) {
	c := harness.NewCollector(t, `
		http { auth { basic {
			username = "admin"
			password = "correct horse"
		} } }
		explore.sink "default" { }
	`)
	c.Launch(t)
	harness.Eventually(t, waiting, func() error {
		resp, err := http.Get(c.URL + "/")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			return fmt.Errorf("without a password: %s", resp.Status)
		}
		return nil
	})
	b := newBrowser(t, c.URL)
	b.login("admin", "correct horse")
	for _, path := range []string{"/", "/graph", "/configuration", "/component/explore.sink.default"} {
		b.open(path)
		b.until("document.querySelector('nav a[aria-current=page]')")
		if strings.Contains(b.text(), "correct horse") {
			t.Errorf("%s shows the password", path)
		}
	}
	b.open("/configuration")
	b.do(chromedp.Click(chromedp.CSS("form.reload button")))
	b.until("document.querySelector('.notice.good')")
	c.Stop(t)
}

// seconds is a time for messages.
func seconds(d time.Duration) string { return d.Round(10 * time.Millisecond).String() }
