//go:build integration

package ui

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"collector/test/harness"
)

// failingContainer is a container that is not scraped, and what the pages say about it.
type failingContainer struct {
	answer string
	labels map[string]string
	ports  []string
	where  string // its network
	cause  string
	fix    string
}

func failingContainers() map[string]failingContainer {
	scrape := map[string]string{"metrics.scrape": "true"}
	with := func(name, value string) map[string]string {
		return map[string]string{"metrics.scrape": "true", name: value}
	}
	exposed := []string{"8080/tcp"}
	return map[string]failingContainer{
		"shop-html-1":   {"html", scrape, exposed, "", "shop-html-1 answers with a web page (“Shop”) instead of metrics.", "Set the path that serves metrics by the label metrics.path, or the port by the label metrics.port."},
		"shop-html-2":   {"html", scrape, exposed, "", "shop-html-2 answers with a web page (“Shop”) instead of metrics.", "metrics.path"},
		"shop-login-1":  {"login", scrape, exposed, "", "shop-login-1 redirects to /login, a login page (“Sign in”).", "Set its credentials in the component"},
		"shop-tls-1":    {"tls", scrape, exposed, "", "Port 8080 of shop-tls-1 speaks TLS, but the collector uses plain HTTP.", "Set scheme = \"https\""},
		"shop-slow-1":   {"slow", scrape, exposed, "", "Port 8080 of shop-slow-1 accepts the connection but does not answer within 10 s (scrape_timeout).", "raise scrape_timeout"},
		"shop-number-1": {"garbage", scrape, exposed, "", "Line 3 of the page of shop-number-1 has the value “many”, which is not a number: “b many”.", "Fix the code that writes this line"},
		"shop-path-1":   {"", with("metrics.path", "/metric"), exposed, "", "shop-path-1 has no page /metric (404).", "Did you mean /metrics? Set the path by the label metrics.path."},
		"shop-port-1":   {"", with("metrics.port", "9999"), exposed, "", "Nothing listens on port 9999 of shop-port-1, which exposes port 8080.", "Set the port that serves metrics by the label metrics.port."},
		"shop-name-1":   {"", with("metrics.port", "http"), nil, "", "Nothing listens on port 80 of shop-name-1. Its label metrics.port is “http”, which is not a port number, so port 80, the default, is scraped.", "metrics.port"},
		"shop-none-1":   {"", scrape, nil, "", "Nothing listens on port 80 of shop-none-1. The container exposes no port and no label sets one, so port 80, the default, is scraped.", "metrics.port"},
		"shop-far-1":    {"", scrape, exposed, "a", "shop-far-1 is only on network a; the collector isn't.", "Connect them: add the collector to a, or shop-far-1 to bridge."},
	}
}

// startFailing starts containers that fail, one whose label is misspelt, and a
// collector in a container of its own. It returns the URL of its UI.
func startFailing(t *testing.T) string {
	t.Helper()
	engine := harness.StartEngine(t)
	engine.AddIsolatedNetwork(t, "a")
	for name, c := range failingContainers() {
		engine.Run(t, harness.Container{Name: name, Args: []string{"-serve=:8080", "-answer=" + c.answer}, Labels: c.labels, Ports: c.ports, Network: c.where})
	}
	engine.Run(t, harness.Container{Name: "shop-typo-1", Args: []string{"-serve=:8080"}, Labels: map[string]string{"metric.scrape": "true"}, Ports: []string{"8080/tcp"}})
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(store.Close)
	id := engine.RunCollector(t, "collector", "bridge", "COLLECTOR_METRICS_URL=http://"+harness.Expose(t, engine.Gateway(t), store.Listener.Addr().String()))
	t.Cleanup(func() {
		if t.Failed() {
			for _, line := range engine.Output(t, id) {
				t.Log(line.Text)
			}
		}
	})
	// Browsers trust the loopback interface alone.
	url := "http://" + harness.Expose(t, "127.0.0.1", engine.IP(t, id)+":12345")
	harness.Eventually(t, waiting, func() error {
		var targets struct{ States map[string]int }
		if err := getJSON(url+"/api/v1/targets", &targets); err != nil {
			return err
		}
		if want := len(failingContainers()); targets.States["down"] != want {
			return fmt.Errorf("of %d targets that fail: %v", want, targets.States)
		}
		return nil
	})
	return url
}

// Each target that fails says why and what to do, wherever it is shown.
func TestCausesOfContainers(t *testing.T) {
	b := newBrowser(t, startFailing(t))
	for _, c := range []struct {
		name string
		run  func(*testing.T, *browser)
	}{
		{"Targets", showsCauses},
		{"Overview", groupsCauses},
		{"FetchNow", fetchesARedirect},
		{"Relabel", tracesATypo},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			c.run(t, b)
		})
	}
	b.t = t
}

// inGo are words that only mean something to Go programmers.
func inGo(text string) bool {
	for _, foreign := range []string{"strconv.", "dial tcp", "dial unix", "context deadline", "i/o timeout", "connection refused"} {
		if strings.Contains(text, foreign) {
			return true
		}
	}
	return false
}

func showsCauses(t *testing.T, b *browser) {
	for name, c := range failingContainers() {
		b.open("/targets")
		if got := b.cells(name); !strings.HasPrefix(c.cause, strings.TrimSuffix(got[7], "…")) {
			t.Errorf("%s: %q", name, got[7])
		}
		b.press(name, "/targets/prometheus.scrape.containers/")
		b.until("document.querySelector('.notice.bad strong')")
		b.shows(map[string]string{".notice.bad": c.cause, ".notice.bad strong": c.fix})
		if text := b.text(); inGo(text) {
			t.Errorf("%s: one reads an error of the library:\n%s", name, text)
		}
		b.until("(document.querySelector('.notice.bad summary').click(), document.querySelector('.notice.bad details code').innerText.length > 10)")
	}
}

func groupsCauses(t *testing.T, b *browser) {
	b.open("/")
	all := len(failingContainers())
	b.until("document.querySelectorAll('.notice.bad').length >= 9")
	text := b.text()
	for _, want := range []string{
		fmt.Sprintf("prometheus.scrape.containers: 2 of %d targets down, a web page answers: shop-html-1 and shop-html-2. For example: shop-html-1 answers with a web page", all),
		fmt.Sprintf("prometheus.scrape.containers: 1 of %d targets down. shop-far-1 is only on network a; the collector isn't. Connect them", all),
		"discovery.relabel.scrape drops shop-typo-1: metrics.scrape is missing; this container has metric.scrape. Rename the label of the container.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if inGo(text) {
		t.Errorf("one reads an error of the library:\n%s", text)
	}
	eval[bool](b, "([...document.querySelectorAll('.notice.bad')].find((n) => n.innerText.includes('a web page answers')).querySelector('a').click(), true)")
	b.until("location.search.includes('cause=web_page') && document.querySelectorAll('tbody tr').length === 2")
}

func fetchesARedirect(_ *testing.T, b *browser) {
	for name, want := range map[string]map[string]string{
		"shop-login-1":  {".notice.bad": "shop-login-1 redirects to /login, a login page.", ".facts": "302 Found", ".facts div:nth-child(2)": "/login (not followed)", ".facts div:nth-child(3)": "text/html"},
		"shop-number-1": {".notice.bad": "Line 3 of the page", ".facts": "200 OK", ".facts .badge.bad": "200 OK"},
		"shop-html-1":   {".notice.bad": "a web page", ".facts .badge.bad": "200 OK", ".facts div:nth-child(2)": "text/html"},
	} {
		b.open("/targets")
		b.press(name, "/targets/prometheus.scrape.containers/")
		b.press("Fetch now", "/response")
		b.shows(want)
	}
}

func tracesATypo(t *testing.T, b *browser) {
	b.open("/relabel?q=shop-typo-1&component=discovery.relabel.scrape")
	if got := b.cells("shop-typo-1"); !strings.Contains(got[3], "dropped by rule 1") || !strings.Contains(got[3], "metrics.scrape is missing; this container has metric.scrape.") {
		t.Errorf("%q", got)
	}
	b.choose("shop-typo-1", "discovery.relabel.scrape")
	b.shows(map[string]string{
		".notice.warn": "Rule 1 drops it. It keeps only those where the label metrics.scrape is “true”, or the label prometheus.io.scrape is “true”; here, the label metrics.scrape and the label prometheus.io.scrape are not set. " +
			"metrics.scrape is missing; this container has metric.scrape.",
		"#rule-1 p.dim": "which does not match “true;.*|.*;true”",
	})
}
