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
	showsTheErrorAtItsLine(t, b)
	b.open("/")
	if !strings.Contains(b.text(), "reload") {
		t.Errorf("the overview does not say that the reload failed:\n%s", b.text())
	}

	c.Configure(t, twoComponents+"\nloki.process \"fixed\" {\n\tforward_to = [explore.sink.default.logs]\n}\n")
	press("document.querySelector('.notice.good') && !document.querySelector('.notice.bad')")
	b.open("/component/loki.process.fixed")
	b.until("document.querySelector('h1').innerText === 'loki.process.fixed'")
	c.Stop(t)
}

// showsTheErrorAtItsLine checks that what is wrong is shown right below the line
// that has it, and that the list above leads there.
func showsTheErrorAtItsLine(t *testing.T, b *browser) {
	t.Helper()
	notes := eval[[][]string](b, `[...document.querySelectorAll('.source .note')].map((note) => {
		const line = note.previousElementSibling;
		return [line.id, line.innerText.replace(/\s+/g, ' ').trim(), note.className, note.innerText];
	})`)
	if len(notes) != 1 {
		t.Fatalf("%d notes below lines, not one: %q\n%s", len(notes), notes, b.text())
	}
	id, line, class, says := notes[0][0], notes[0][1], notes[0][2], notes[0][3]
	if !strings.HasPrefix(id, "L") || !strings.Contains(line, "forward_to = [nothing.there.logs]") || class != "note bad" || !strings.Contains(says, "nothing.there") {
		t.Errorf("below the line %s, %q, there is %q (%s)", id, line, says, class)
	}
	if link := eval[string](b, "document.querySelector('#problems a')?.getAttribute('href')"); !strings.HasSuffix(link, "#"+id) {
		t.Errorf("the list of what is wrong leads to %q, not to %s", link, id)
	}
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
	c := harness.NewCollector(t, scrapedInto(backend.URL, "", service))
	c.Start(t)
	b := newBrowser(t, c.URL)
	b.open("/")
	b.until("document.querySelector('#destinations .badge.good')")
	turnsRed(t, b, func() { close(dead) })
	b.until("document.querySelector('.notice.bad').innerText.includes('the disk of the store is full')")
	if !strings.Contains(eval[string](b, "document.querySelector('#destinations').innerText"), "503") {
		t.Errorf("the destination's row does not show the reason:\n%s", b.text())
	}
	c.Stop(t)
}

// scrapedInto is a configuration that scrapes a service every second into a
// backend, whose endpoint may have another argument.
func scrapedInto(backend, argument, service string) string {
	return fmt.Sprintf(`
		prometheus.scrape "service" {
			targets         = [{ __address__ = %q }]
			scrape_interval = "1s"
			scrape_timeout  = "1s"
			forward_to      = [prometheus.remote_write.store.receiver]
		}
		prometheus.remote_write "store" {
			endpoint {
				url = "%s/api/v1/write"
				%s
			}
		}
	`, service, backend, argument)
}

// turnsRed checks that the open page keeps its promise: within 30 s after trouble begins,
// the destination is red.
func turnsRed(t *testing.T, b *browser, trouble func()) {
	t.Helper()
	noise := harness.StartNoise(t)
	trouble()
	start := time.Now()
	b.untilWithin(3*time.Minute, "document.querySelector('#destinations .badge.bad')")
	took, most := time.Since(start), noise.Bound(30*time.Second)
	t.Logf("red after %s, of %s that this machine has", seconds(took), seconds(most))
	if took > most {
		t.Errorf("it takes %s until the destination is red", seconds(took))
	}
}

// A destination that accepts requests and never answers turns red long before they time
// out.
func TestAHangingDestinationTurnsRed(t *testing.T) {
	hung := make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-hung:
			<-r.Context().Done()
		default:
		}
	}))
	t.Cleanup(backend.Close)
	c := harness.NewCollector(t, scrapedInto(backend.URL, `remote_timeout = "5m"`, metricsService(t)))
	c.Start(t)
	b := newBrowser(t, c.URL)
	b.open("/")
	b.until("document.querySelector('#destinations .badge.good')")
	turnsRed(t, b, func() { close(hung) })
	b.until("document.querySelector('.notice.bad').innerText.includes('does not answer within')")
	if !strings.Contains(eval[string](b, "document.querySelector('#destinations').innerText"), "does not answer within") {
		t.Errorf("the destination's row does not show the reason:\n%s", b.text())
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
	for i := range 2400 { // of which 2,000 are kept
		project := fmt.Sprintf("project-%02d", i%40)
		if i >= 2000 {
			project = "none"
		}
		fmt.Fprintf(&targets, "\t\t{ __address__ = %q, __metrics_path__ = \"/metrics/%04d\", __meta_service = \"service-%04d\", project = %q, container = \"service-%04d\" },\n", service, i, i, project, i)
	}
	c := harness.NewCollector(t, fmt.Sprintf(manyTargets, targets.String()))
	c.Start(t, "--explore.memory=32MiB")
	pagesStayLight(t, c.URL)

	b := newBrowser(t, c.URL)
	b.open("/targets")
	b.until("document.querySelector('main').innerText.includes('2,000') || document.querySelector('main').innerText.includes('2000')")
	first := eval[string](b, "document.querySelector('tbody tr').innerText")
	b.follow(`a[rel="next"]`, "/targets")
	b.until("location.search.includes('page=2')")
	if second := eval[string](b, "document.querySelector('tbody tr').innerText"); second == first {
		t.Errorf("the second page begins as the first: %q", second)
	}
	b.do(chromedp.SendKeys(chromedp.CSS("#q"), "service-1234"), chromedp.Click(chromedp.CSS("form.search button")))
	b.until("location.search.includes('q=service-1234') && document.querySelectorAll('tbody tr').length === 1")
	b.open("/targets?q=project-07")
	if !strings.Contains(b.text(), "50 total") {
		t.Errorf("a filter that 50 targets pass does not say so:\n%s", b.text())
	}
	b.open("/relabel?q=service-2345")
	b.press("service-2345", "/relabel/discovery.relabel.many/")
	b.until("document.querySelector('#rule-1 .badge.bad') && document.querySelector('.notice.warn').innerText.includes('Rule 1 drops it')")
	c.Stop(t)
}

// manyTargets keeps those of its targets that belong to a project.
const manyTargets = `
discovery.relabel "many" {
	targets = [
%s	]
	rule {
		source_labels = ["project"]
		regex         = "project-.+"
		action        = "keep"
	}
	rule {
		source_labels = ["__meta_service"]
		target_label  = "service"
	}
	rule {
		source_labels = ["service"]
		regex         = "service-(.*)"
		target_label  = "number"
	}
}

prometheus.scrape "many" {
	targets         = discovery.relabel.many.output
	scrape_interval = "30s"
	forward_to      = [explore.sink.default.metrics]
}

explore.sink "default" { }
`

// pagesStayLight checks that no page has more than 500 KiB or takes more than a
// second, and what this machine adds to that.
func pagesStayLight(t *testing.T, url string) {
	var one struct {
		Items []struct{ Component, ID string }
	}
	harness.Eventually(t, waiting, func() error {
		if err := getJSON(url+"/api/v1/relabel?q=service-1234", &one); err != nil || len(one.Items) != 1 {
			return fmt.Errorf("%d inputs: %v", len(one.Items), err)
		}
		return nil
	})
	// The page of a metric ranks all of its series. On a busy machine, scrapes may be so
	// late that some have expired.
	harness.Eventually(t, 3*time.Minute, func() error {
		var metric struct{ Total int }
		if err := getJSON(url+"/api/v1/explore/metrics?name=service_things_total", &metric); err != nil || metric.Total < 1500 {
			return fmt.Errorf("%d series in the window: %v", metric.Total, err)
		}
		return nil
	})
	noise := harness.StartNoise(t)
	for _, path := range []string{
		"/", "/graph", "/components", "/component/prometheus.scrape.many", "/component/discovery.relabel.many",
		"/targets", "/targets?per_page=10000", "/targets?per_page=10000&q=project", "/targets?sort=-duration&page=10",
		"/relabel", "/relabel?per_page=10000", "/relabel?q=project-07", "/relabel?state=dropped&sort=-outcome", "/relabel/" + one.Items[0].Component + "/" + one.Items[0].ID,
		"/live", "/explore", "/explore/metrics", "/explore/metrics?name=service_things_total&limit=100", "/configuration",
	} {
		pageStaysLight(t, noise, url, path)
	}
}

// pageStaysLight gives a page several attempts: a slow page is slow each time, one that
// was held up by others is not.
func pageStaysLight(t *testing.T, noise *harness.Noise, url, path string) {
	var took, most time.Duration
	for range 5 {
		noise.Restart()
		start := time.Now()
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		took = time.Since(start)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s, %v", path, resp.Status, err)
		}
		most = noise.Bound(time.Second)
		t.Logf("%-60s %6.1f KiB %s (noise %s)", path, float64(len(body))/1024, seconds(took), seconds(noise.Worst()))
		if len(body) > 500<<10 {
			t.Errorf("%s has %d KiB", path, len(body)>>10)
		}
		if took <= most {
			return
		}
	}
	t.Errorf("%s takes %s, more than %s", path, seconds(took), seconds(most))
}
