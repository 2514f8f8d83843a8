//go:build integration

package ui

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"collector/pkg/docker/dockertest"
	"collector/test/harness"
)

const (
	manyProjects = 60
	manyServices = 5 // of each
)

// host is a server for all targets. Their paths are /project/service.
type host struct {
	mu   sync.Mutex
	sick map[string]bool // by path; guarded by mu
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	sick := h.sick[r.URL.Path]
	h.mu.Unlock()
	if sick {
		http.Error(w, "broken", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	fmt.Fprintln(w, "up_and_running 1")
}

// set makes a path fail; "" makes all of them work again.
func (h *host) set(path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if path == "" {
		clear(h.sick)
		return
	}
	h.sick[path] = true
}

// startMany starts a collector of the containers of manyProjects projects, of which the
// sick ones fail.
func startMany(t *testing.T, h *host) *harness.Collector {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	engine := dockertest.New(t)
	for p := range manyProjects {
		for s := range manyServices {
			project, service := fmt.Sprintf("project-%02d", p), fmt.Sprintf("service-%d", s)
			id := engine.Run(dockertest.Container{
				Name: fmt.Sprintf("%s-%s-1", project, service), Ports: []dockertest.Port{{Private: 8080}},
				Labels: map[string]string{"com.docker.compose.project": project, "com.docker.compose.service": service, "metrics.scrape": "true", "metrics.path": "/" + project + "/" + service},
			})
			engine.Print(id, "stdout", "started\n")
		}
	}
	text := fmt.Sprintf(stackConfig, engine.Host())
	text = strings.Replace(text, "discovery.relabel \"scrape\" {", fmt.Sprintf(`discovery.relabel "scrape" {
	rule {
		replacement  = %q
		target_label = "__address__"
	}`, strings.TrimPrefix(server.URL, "http://")), 1)
	c := harness.NewCollector(t, text)
	c.Start(t)
	const all = manyProjects * manyServices
	harness.Eventually(t, waiting, func() error {
		var targets struct{ States map[string]int }
		if err := getJSON(c.URL+"/api/v1/targets", &targets); err != nil {
			return err
		}
		var tails struct{ Total int }
		if err := getJSON(c.URL+"/api/v1/targets/logs?state=reading", &tails); err != nil {
			return err
		}
		if targets.States["up"]+targets.States["down"] != all || targets.States["down"] != len(h.sick) || tails.Total != all {
			return fmt.Errorf("targets: %v, tails: %d", targets.States, tails.Total)
		}
		return nil
	})
	return c
}

// With hundreds of services, failing ones are at the top, and healthy projects take one
// line each until they are clicked.
func TestHealthyProjectsAreCollapsedAmongHundredsOfServices(t *testing.T) {
	h := &host{sick: map[string]bool{"/project-07/service-3": true, "/project-07/service-0": true, "/project-41/service-2": true}}
	c := startMany(t, h)
	b := newBrowser(t, c.URL)
	b.open("/")
	const (
		failing = `[...document.querySelectorAll('#containers > table tbody tr, #containers > .scroll table tbody tr')].filter((row) => row.cells.length > 1).map((row) => row.cells[0].innerText.trim())`
		visible = `[...document.querySelectorAll('#containers tbody tr')].filter((row) => row.cells.length > 1 && row.checkVisibility()).map((row) => row.cells[0].innerText.trim())`
		lines   = `[...document.querySelectorAll('#containers .project')].map((e) => e.querySelector('strong').innerText)`
	)
	b.until(visible + `.join() === 'service-0,service-3,service-2'`)
	if got := eval[[]string](b, failing); len(got) != 3 {
		t.Errorf("the table of what fails has %q", got)
	}
	if open := eval[int](b, "document.querySelectorAll('#containers details[open]').length"); open != 0 {
		t.Errorf("%d projects are open", open)
	}
	if got := eval[[]string](b, lines); len(got) != manyProjects || got[0] != "project-00" || got[manyProjects-1] != "project-59" {
		t.Errorf("%d lines of projects: %q", len(got), got)
	}
	project := func(name string) string {
		return fmt.Sprintf("[...document.querySelectorAll('#containers .project')].find((e) => e.querySelector('strong').innerText === %q)", name)
	}
	b.until(project("project-07") + ".innerText.includes('3 services, 3 containers')")
	b.until(project("project-00") + ".innerText.includes('5 services, 5 containers')")
	// A click shows a project, and the next refreshes of the page leave it open.
	eval[bool](b, "("+project("project-00")+".querySelector('summary').click(), true)")
	shown := visible + `.join() === 'service-0,service-3,service-2,service-0,service-1,service-2,service-3,service-4'`
	b.until(shown)
	open := "[...document.querySelectorAll('#containers details[open]')].map((e) => e.querySelector('strong').innerText).join()"
	h.set("/project-03/service-4")
	b.until(visible + `.slice(0, 4).join() === 'service-4,service-0,service-3,service-2'`) // project-03 comes first
	b.until(project("project-03") + ".innerText.includes('4 services')")
	// Nothing of an earlier project is healthy any more: its line disappears.
	for s := range manyServices {
		h.set(fmt.Sprintf("/project-00/service-%d", s))
	}
	eval[bool](b, "("+project("project-05")+".querySelector('summary').click(), true)")
	b.until("!" + project("project-00"))
	b.until(open + " === 'project-05'")
	// Everything is healthy again: the table above the lines disappears.
	h.set("")
	b.until(project("project-00") + " && " + project("project-07") + ".innerText.includes('5 services')")
	b.until("!document.querySelector('#containers > .scroll') && " + open + " === 'project-05' && " + visible + `.join() === 'service-0,service-1,service-2,service-3,service-4'`)
	// The keyboard does the same as the mouse.
	b.do(chromedp.Focus(chromedp.CSS("#project-project-05 summary")), chromedp.SendKeys(chromedp.CSS("#project-project-05 summary"), "\r"))
	b.until(visible + ".length === 0 && document.activeElement.closest('#project-project-05')")
	// Projects for which the page has no room are linked.
	b.until(project("project-59") + `.querySelector('a[href="/targets?project=project-59"]')`)
	eval[bool](b, "("+project("project-59")+`.querySelector('a').click(), true)`)
	b.until("location.pathname === '/targets' && document.querySelectorAll('tbody tr').length === 5")
	c.Stop(t)
}
