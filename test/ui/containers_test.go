//go:build integration

package ui

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"collector/test/harness"
)

// What the pages show of the containers of a real Engine.
func TestContainers(t *testing.T) {
	s := startStack(t)
	b := newBrowser(t, s.URL)
	for _, c := range []struct {
		name string
		run  func(*testing.T, *stack, *browser)
	}{
		{"LogTails", showsLogTails},
		{"LogTailsFilteredSortedAndPaged", findsLogTails},
		{"ATargetAndItsAnswer", showsATarget},
		{"ATraceOfADroppedContainer", tracesTheDropped},
		{"ATraceOfAKeptContainer", tracesTheKept},
		{"ServicesBelowTheirProjects", showsProjects},
		{"OnAPhone", fitsAPhone},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			c.run(t, s, b)
		})
	}
	b.t = t
	s.Stop(t)
}

// cells are the texts of the row whose heading begins with name.
func (b *browser) cells(name string) []string {
	b.t.Helper()
	row := fmt.Sprintf("[...document.querySelectorAll('tbody tr')].find((row) => row.cells[0].innerText.startsWith(%q))", name)
	b.until(row)
	return eval[[]string](b, "[..."+row+".cells].map((cell) => cell.innerText.trim())")
}

// headings are the first words of the rows.
func (b *browser) headings() []string {
	b.t.Helper()
	return eval[[]string](b, `[...document.querySelectorAll('tbody tr')].map((row) => row.cells[0].innerText.trim().split(/\s/)[0])`)
}

// press clicks the link or button with a text, and waits until the address shows that its
// page is there.
func (b *browser) press(text, address string) {
	b.t.Helper()
	found := fmt.Sprintf("[...document.querySelectorAll('main a, main button')].find((e) => e.innerText.replace(/ [↑↓]$/, '').trim() === %q)", text)
	b.click(found)
	b.until(fmt.Sprintf("document.readyState === 'complete' && (location.pathname + location.search).includes(%q)", address))
}

func showsLogTails(t *testing.T, s *stack, b *browser) {
	b.open("/targets/logs")
	const container, state, labels, lag, lines, size, cursor, failure = 0, 1, 3, 4, 5, 6, 7, 8
	got := b.cells("blog-web-1")
	if !strings.Contains(got[container], s.ids["blog-web-1"][:12]) || !strings.HasSuffix(got[state], "reading") || got[lines] != "5" || got[failure] != "" {
		t.Errorf("%q", got)
	}
	if !strings.Contains(got[labels], "service=web") || got[lag] != "none" || got[size] == "0 B" || !strings.HasSuffix(got[size], "B") || got[cursor] == "never" {
		t.Errorf("%q", got)
	}
	// The cursor is the time that the Engine gave the newest line.
	written := s.engine.Output(t, s.ids["blog-web-1"])
	newest := slices.MaxFunc(written, func(a, b harness.EngineLine) int { return a.Time.Compare(b.Time) }).Time.UTC()
	if title := eval[string](b, "[...document.querySelectorAll('tbody tr')].find((row) => row.innerText.includes('blog-web-1')).querySelector('time').title"); title != newest.Format("2006-01-02 15:04:05.000 UTC") {
		t.Errorf("the cursor is %s, the newest line is of %s", title, newest.Format(time.RFC3339Nano))
	}
	if got := b.cells("mute"); got[lines] != "0" || got[cursor] != "never" || !strings.Contains(got[failure], "driver") {
		t.Errorf("of a container that cannot be read: %q", got)
	}
	if bad := eval[int](b, "document.querySelectorAll('tbody .badge.bad').length"); bad != 1 {
		t.Errorf("%d rows are bad", bad)
	}
}

func findsLogTails(t *testing.T, _ *stack, b *browser) {
	b.open("/targets/logs")
	if got := b.headings(); got[0] != "mute" || len(got) != len(stackLines) {
		t.Errorf("what needs a look is not on top: %q", got)
	}
	b.press("Lines", "sort=lines")
	b.until("document.querySelector('th[aria-sort=ascending]').innerText.startsWith('Lines')")
	want := []string{"mute", "blog-web-1", "backup", "shop-worker-1", "shop-api-2", "shop-api-1"}
	if got := b.headings(); !slices.Equal(got, want) {
		t.Errorf("by lines: %q", got)
	}
	b.press("Lines", "sort=-lines")
	slices.Reverse(want)
	if got := b.headings(); !slices.Equal(got, want) {
		t.Errorf("the most lines first: %q", got)
	}
	b.do(chromedp.SendKeys(chromedp.CSS("#q"), "shop api"), chromedp.Click(chromedp.CSS("form.search button")))
	b.until("location.search.includes('q=shop+api') && document.querySelectorAll('tbody tr').length > 0")
	if got := b.headings(); !slices.Equal(got, []string{"shop-api-1", "shop-api-2"}) {
		t.Errorf("of the service api: %q", got)
	}
	b.open("/targets/logs")
	eval[bool](b, "(document.getElementById('state').value = 'failing', true)")
	b.do(chromedp.Click(chromedp.CSS("form.search button")))
	b.until("location.search.includes('state=failing') && document.querySelectorAll('tbody tr').length > 0")
	if got := b.headings(); !slices.Equal(got, []string{"mute"}) {
		t.Errorf("failing: %q", got)
	}
	b.open("/targets/logs?per_page=4&sort=container")
	if got := b.headings(); !slices.Equal(got, []string{"backup", "blog-web-1", "mute", "shop-api-1"}) || !strings.Contains(b.text(), "Page 1 of 2, 6 total") {
		t.Errorf("the first page: %q", got)
	}
	b.press("Next →", "page=2")
	if got := b.headings(); !slices.Equal(got, []string{"shop-api-2", "shop-worker-1"}) {
		t.Errorf("the second page: %q", got)
	}
}

// labelsIn is a table of labels in a section.
func (b *browser) labelsIn(section string) map[string]string {
	b.t.Helper()
	return eval[map[string]string](b, fmt.Sprintf("Object.fromEntries([...document.querySelectorAll('#%s tbody tr')].map((row) => [row.cells[0].innerText, row.cells[1].innerText]))", section))
}

func showsATarget(t *testing.T, s *stack, b *browser) {
	b.open("/targets")
	address := s.engine.IP(t, s.ids["shop-api-1"]) + ":8080"
	if got := b.cells("shop-api-1"); !strings.Contains(got[0], "http://"+address+"/metrics") || !strings.HasSuffix(got[1], "up") || got[2] != "api" || got[6] == "0" {
		t.Errorf("%q", got)
	}
	b.press("shop-api-1", "/targets/prometheus.scrape.containers/")
	before, after := b.labelsIn("discovered"), b.labelsIn("labels")
	if before["__meta_docker_container_name"] != "/shop-api-1" || before["__address__"] != address || before["__meta_docker_container_label_metrics_scrape"] != "true" {
		t.Errorf("before: %v", before)
	}
	want := map[string]string{"container": "shop-api-1", "instance": address, "job": "api", "project": "shop", "service": "api"}
	if fmt.Sprint(after) != fmt.Sprint(want) {
		t.Errorf("after: %v, want %v", after, want)
	}
	b.press("Fetch now", "/response")
	b.until("document.querySelector('main pre').innerText.includes('workload_scrapes_total')")
	if text := b.text(); !strings.Contains(text, "200 OK") || !strings.Contains(text, "text/plain") || !strings.Contains(text, "These are metrics that a scrape can read.") {
		t.Errorf("the answer has no status or type:\n%s", text)
	}
}

// choose opens the trace of a container from the list of a component.
func (b *browser) choose(name, component string) {
	b.t.Helper()
	b.open("/relabel")
	eval[bool](b, fmt.Sprintf("(document.getElementById('component').value = %q, true)", component))
	b.do(chromedp.SendKeys(chromedp.CSS("#q"), name), chromedp.Click(chromedp.CSS("form.search button")))
	b.until("location.search.includes('q=') && document.querySelectorAll('tbody tr').length === 1")
	b.press(name, "/relabel/"+component+"/")
}

// shows fails the test unless the elements that selectors choose have texts.
func (b *browser) shows(texts map[string]string) {
	b.t.Helper()
	for selector, want := range texts {
		if got := eval[string](b, fmt.Sprintf("document.querySelector(%q)?.innerText", selector)); !strings.Contains(got, want) {
			b.t.Errorf("%s: %q, not %q\n%s", selector, got, want, b.text())
		}
	}
}

func tracesTheDropped(t *testing.T, _ *stack, b *browser) {
	b.choose("shop-worker-1", "discovery.relabel.scrape")
	b.shows(map[string]string{
		".notice.warn":            "Rule 1 drops it. It keeps only those where the label metrics.scrape is “true”; here, the label metrics.scrape is not set.",
		"#rule-1 h3":              "Rule 1: keep",
		"#rule-1 .badge.bad":      "dropped here",
		"#rule-1 p:first-of-type": `action = "keep"`,
		"#rule-1 p.dim":           "__meta_docker_container_label_metrics_scrape is empty, which does not match “true”",
	})
	if eval[bool](b, "Boolean(document.getElementById('rule-2'))") {
		t.Error("a rule after the one that drops has an effect")
	}
}

func tracesTheKept(t *testing.T, s *stack, b *browser) {
	b.choose("shop-api-1", "discovery.relabel.scrape")
	b.shows(map[string]string{
		".notice.good":     "It is kept.",
		"#rule-1 .badge":   "passes",
		"#rule-2 .badge":   "no change",
		"#rule-3 .badge":   "changes 1 label",
		"#rule-3 tbody tr": "job\tnot set\tapi",
	})
	b.press("see the target", "/targets/prometheus.scrape.containers/")
	if !strings.Contains(b.text(), s.engine.IP(t, s.ids["shop-api-1"])) {
		t.Errorf("it is another target:\n%s", b.text())
	}
	// A source of logs has an outcome for each stream.
	b.choose("shop-api-1", "loki.source.docker.containers")
	b.press("stderr", "stream=stderr")
	b.until("document.getElementById('rule-4').innerText.includes('stderr')")
}

func showsProjects(t *testing.T, _ *stack, b *browser) {
	b.open("/")
	b.until("document.querySelectorAll('#containers tbody').length === 3")
	headings := eval[[]string](b, "[...document.querySelectorAll('#containers th[scope=rowgroup]')].map((th) => th.innerText)")
	if want := []string{"Outside Compose 2 containers", "blog 1 service, 1 container", "shop 2 services, 3 containers"}; !slices.Equal(headings, want) {
		t.Errorf("%q", headings)
	}
	services := eval[[]string](b, "[...document.querySelectorAll('#containers tbody')].map((group) => [...group.rows].slice(1).map((row) => row.cells[0].innerText).join())")
	if want := []string{"mute,backup", "web", "api,worker"}; !slices.Equal(services, want) {
		t.Errorf("%q", services)
	}
	if got := b.cells("api"); got[1] != "2" || !strings.HasSuffix(got[2], "2 of 2 up") || !strings.HasSuffix(got[3], "2 of 2 tailed") {
		t.Errorf("%q", got)
	}
	if got := b.cells("mute"); !strings.HasSuffix(got[3], "0 of 1 tailed") {
		t.Errorf("%q", got)
	}
	if got := b.cells("worker"); got[2] != "none – why?" {
		t.Errorf("%q", got)
	}
	b.press("none – why?", "/relabel?project=")
}

func fitsAPhone(t *testing.T, _ *stack, b *browser) {
	defer b.size(1440, 900)
	b.size(390, 844)
	for _, path := range []string{"/", "/targets", "/targets/logs", "/relabel"} {
		b.open(path)
		b.until("document.querySelectorAll('tbody tr').length > 2")
		if wide := eval[float64](b, "document.documentElement.scrollWidth"); wide > 390 {
			t.Errorf("%s is %v pixels wide on a screen of 390", path, wide)
		}
	}
}
