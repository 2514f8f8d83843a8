//go:build integration

package ui

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"collector/test/harness"
)

const twoComponents = `
explore.sink "default" { }

loki.process "upper" {
	forward_to = [explore.sink.default.logs]
}
`

func TestTheReloadButton(t *testing.T) {
	c := harness.NewCollector(t, twoComponents)
	c.Start(t)
	b := newBrowser(t, c.URL)
	press := func(wanted string) {
		b.open("/configuration")
		b.do(chromedp.Click(chromedp.CSS("form.reload button")))
		b.until(wanted)
	}
	press("document.querySelector('.notice.good')")

	c.Configure(t, twoComponents+"\nloki.process \"broken\" {\n\tforward_to = [nothing.there.logs]\n}\n")
	press("document.querySelector('.notice.bad')")
	for _, want := range []string{"nothing.there", "10"} {
		if !strings.Contains(b.text(), want) {
			t.Errorf("the page does not say %q of a broken file:\n%s", want, b.text())
		}
	}
	b.open("/")
	if !strings.Contains(b.text(), "reload") {
		t.Errorf("the overview does not say that the reload failed:\n%s", b.text())
	}

	c.Configure(t, twoComponents+"\nloki.process \"mended\" {\n\tforward_to = [explore.sink.default.logs]\n}\n")
	press("document.querySelector('.notice.good') && !document.querySelector('.notice.bad')")
	b.open("/component/loki.process.mended")
	b.until("document.querySelector('h1').innerText === 'loki.process.mended'")
	c.Stop(t)
}

// A destination that refuses turns red, with its reason, on a page that is open.
func TestADeadDestinationTurnsRed(t *testing.T) {
	dead := make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-dead:
			http.Error(w, "the disk of the store is full", http.StatusServiceUnavailable)
		default:
		}
	}))
	t.Cleanup(backend.Close)
	service := metricsService(t)
	c := harness.NewCollector(t, fmt.Sprintf(`
		prometheus.scrape "service" {
			targets         = [{ __address__ = %q }]
			scrape_interval = "1s"
			scrape_timeout  = "1s"
			forward_to      = [prometheus.remote_write.store.receiver]
		}
		prometheus.remote_write "store" { endpoint { url = "%s/api/v1/write" } }
	`, service, backend.URL))
	c.Start(t)
	b := newBrowser(t, c.URL)
	b.open("/")
	b.until("document.querySelector('#destinations .badge.good')")
	close(dead)
	start := time.Now()
	b.until("document.querySelector('#destinations .badge.bad')")
	took := time.Since(start)
	t.Logf("red after %s", seconds(took))
	if took > 30*time.Second {
		t.Errorf("it takes %s until the destination is red", seconds(took))
	}
	b.until("document.querySelector('.notice.bad').innerText.includes('the disk of the store is full')")
	if !strings.Contains(eval[string](b, "document.querySelector('#destinations').innerText"), "503") {
		t.Errorf("the destination's row does not tell the reason:\n%s", b.text())
	}
	c.Stop(t)
}

// metricsService is the address of a metrics page.
func metricsService(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "service_things_total 1")
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestTwoThousandTargets(t *testing.T) {
	service := metricsService(t)
	var targets strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&targets, "\t\t{ __address__ = %q, __metrics_path__ = \"/metrics/%04d\", service = \"service-%04d\", project = \"project-%02d\" },\n", service, i, i, i%40)
	}
	c := harness.NewCollector(t, fmt.Sprintf("prometheus.scrape \"many\" {\n\ttargets = [\n%s\t]\n\tscrape_interval = \"30s\"\n\tforward_to = [explore.sink.default.metrics]\n}\nexplore.sink \"default\" { }\n", targets.String()))
	c.Start(t, "--explore.memory=8MiB")
	for _, path := range []string{"/", "/graph", "/components", "/component/prometheus.scrape.many", "/targets", "/targets?per_page=10000", "/targets?per_page=10000&q=project", "/relabel", "/relabel?per_page=10000", "/live", "/explore", "/explore/metrics", "/configuration"} {
		start := time.Now()
		resp, err := http.Get(c.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		took := time.Since(start)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s, %v", path, resp.Status, err)
		}
		t.Logf("%-40s %6.1f KiB %s", path, float64(len(body))/1024, seconds(took))
		if len(body) > 500<<10 {
			t.Errorf("%s has %d KiB", path, len(body)>>10)
		}
		if took > 10*time.Second {
			t.Errorf("%s takes %s", path, seconds(took))
		}
	}

	b := newBrowser(t, c.URL)
	b.open("/targets")
	b.until("document.querySelector('main').innerText.includes('2 000') || document.querySelector('main').innerText.includes('2000')")
	first := eval[string](b, "document.querySelector('tbody tr').innerText")
	b.follow(`a[rel="next"]`, "/targets")
	b.until("location.search.includes('page=2')")
	if second := eval[string](b, "document.querySelector('tbody tr').innerText"); second == first {
		t.Errorf("the second page begins as the first: %q", second)
	}
	b.do(chromedp.SendKeys(chromedp.CSS("#q"), "service-1234"), chromedp.Click(chromedp.CSS("form.search button")))
	b.until("location.search.includes('q=service-1234') && document.querySelectorAll('tbody tr').length === 1")
	b.open("/targets?q=project-07")
	if !strings.Contains(b.text(), "50 in all") {
		t.Errorf("a filter that 50 targets pass does not say so:\n%s", b.text())
	}
	c.Stop(t)
}
