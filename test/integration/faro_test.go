//go:build integration

package integration

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"collector/pkg/logs/lokitest"
	"collector/test/browser"
	"collector/test/harness"
)

const faroConfig = `
faro.receiver "in" {
	extra_log_labels = { kind = "", app = "shop" }

	server {
		listen_address       = "127.0.0.1"
		listen_port          = %d
		cors_allowed_origins = [%q]
	}

	output {
		logs   = [loki.write.out.receiver]
		traces = [otelcol.exporter.otlp.out.input]
	}
}

loki.write "out" {
	endpoint { url = %q }
}

otelcol.exporter.otlp "out" {
	client {
		endpoint = %q
		tls { insecure = true }
	}
}
`

// TestFaroSDKInABrowser runs a page with Faro's SDK in Chromium, and checks that each
// log line, exception, measurement, event and span of it arrives, once.
func TestFaroSDKInABrowser(t *testing.T) {
	stored, traces := lokitest.New(t), harness.StartOTLPServer(t)
	site := startSite(t)
	port := harness.FreePort(t)
	c := harness.NewCollector(t, fmt.Sprintf(faroConfig, port, site.URL, stored.URL(), traces.Address))
	c.Start(t)

	window := browser.Start(t)
	at := site.URL + "/?to=" + url.QueryEscape("http://"+harness.Address(port)+"/collect")
	browser.Do(t, window, chromedp.Navigate(at), chromedp.Click(chromedp.CSS("#press")))
	browser.Until(t, window, "document.title === 'pressed'")
	// The SDK ends a span a while after its request.
	harness.Eventually(t, time.Minute, func() error { return site.traced(traces) })
	// The page is left, which makes its last values final.
	browser.Do(t, window, chromedp.Navigate("about:blank"))

	harness.Eventually(t, time.Minute, func() error { return faroEntries(stored.Entries()) })
	harness.Eventually(t, time.Minute, func() error { return c.Drained(t) })
	if err := errors.Join(faroEntries(stored.Entries()), site.traced(traces)); err != nil {
		t.Error(err)
	}
	if n := stored.Repeated(); n > 0 {
		t.Errorf("%d entries have arrived twice", n)
	}
	c.Stop(t)
}

// site serves the page, the SDK, and something to fetch.
type site struct {
	*httptest.Server

	mu     sync.Mutex
	parent string // traceparent of the request for /data
}

func startSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../clients/faro")); err != nil {
		t.Fatal(err)
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	s := new(site)
	mux := http.NewServeMux()
	file := func(pattern, path string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, filepath.Join(dir, path)) })
	}
	file("/{$}", "page.html")
	for _, name := range []string{"faro-web-sdk", "faro-web-tracing"} {
		file("/sdk/"+name+".iife.js", "node_modules/@grafana/"+name+"/dist/bundle/"+name+".iife.js")
	}
	mux.HandleFunc("/data", func(_ http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.parent = r.Header.Get("traceparent")
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// traced checks that the span of the request for /data, whose ids the request had, has
// arrived, once.
func (s *site) traced(to *harness.OTLPServer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := 0
	for _, request := range to.Traces() {
		for _, rs := range request.Traces().ResourceSpans().All() {
			service, _ := rs.Resource().Attributes().Get("service.name")
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					if s.parent == fmt.Sprintf("00-%s-%s-01", span.TraceID(), span.SpanID()) && service.Str() == "shop" {
						found++
					}
				}
			}
		}
	}
	if found != 1 {
		return fmt.Errorf("%d spans of the request %q have arrived", found, s.parent)
	}
	return nil
}

// faroEntries checks that the entries of the page are there, each once.
func faroEntries(entries []lokitest.Entry) error {
	wants := map[string]string{
		"reported error":   `^{app="shop", kind="exception"} .*type=TypeError value=reported stacktrace=".*page\.html|/\?to=.*context_cart=7`,
		"thrown error":     `^{app="shop", kind="exception"} .*value="?(?:Uncaught Error: )?thrown`,
		"rejected promise": `^{app="shop", kind="exception"} .*value="?(?:RangeError: )?rejected`,
		"console":          `^{app="shop", kind="log"} .*message="on the console" level=warn`,
		"session":          `^{app="shop", kind="event"} .*event_name=session_start`,
	}
	for _, vital := range []string{"ttfb", "fcp", "lcp", "cls"} {
		wants["web vital "+vital] = `^{app="shop", kind="measurement"} .*type=web-vitals .*value_` + vital + `=`
	}
	for i := range 40 {
		wants[fmt.Sprintf("log %d", i)] = fmt.Sprintf(`^{app="shop", kind="log"} .*message="line %d" level=warn context_n=%[1]d `, i)
		wants[fmt.Sprintf("measurement %d", i)] = fmt.Sprintf(`^{app="shop", kind="measurement"} .*type=cart cart=%d\.500000 .*value_cart=%[1]d\.5`, i)
		wants[fmt.Sprintf("event %d", i)] = fmt.Sprintf(`^{app="shop", kind="event"} .*event_name="ordered %d" event_domain=orders event_data_sku="ünïcode \\"quoted\\""`, i)
	}
	var problems error
	for what, pattern := range wants {
		matches, n := regexp.MustCompile(pattern), 0
		for _, e := range entries {
			if matches.MatchString(e.Labels + " " + e.Line) {
				n++
				if !strings.Contains(e.Line, "app_name=shop app_version=1.2.3 app_environment=test user_id=u1 user_attr_plan=free session_id=") {
					return fmt.Errorf("%s lacks what the page says of itself: %s", what, e.Line)
				}
			}
		}
		if n != 1 {
			problems = errors.Join(problems, fmt.Errorf("%s has arrived %d times", what, n))
		}
	}
	return problems
}
