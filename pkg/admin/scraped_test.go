package admin

import (
	"net/http"
	"strings"
	"testing"
)

// Labels of a container can make the collector scrape itself, at any path.
func TestAScrapeReadsNothingButMetrics(t *testing.T) {
	p := &program{}
	h := newUIServer(t, p, func(o *Options) { o.Pprof, o.Prefix = true, "/pre" })
	const scrape = "X-Prometheus-Scrape-Timeout-Seconds"
	for _, path := range []string{"/-/reload", "/pre/-/reload", "/debug/pprof/profile", "/-/support", "/", "/configuration", "/api/v1/overview"} {
		w := ask(h, "GET", path, scrape, "10")
		if w.Code != http.StatusForbidden || p.reloads > 0 || !strings.Contains(w.Body.String(), "scrape /metrics") {
			t.Errorf("%s: %d, %d reloads: %.100s", path, w.Code, p.reloads, w.Body)
		}
	}
	for _, path := range []string{"/metrics", "/pre/metrics", "/-/healthy"} {
		if w := ask(h, "GET", path, scrape, "10"); w.Code == http.StatusForbidden {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := ask(h, "GET", "/-/reload"); w.Code == http.StatusForbidden || p.reloads != 1 {
		t.Errorf("reload by another program: %d", w.Code)
	}
}

func TestOtherSitesCannotFetchTargets(t *testing.T) {
	h := newUIServer(t, &program{}, nil)
	for _, path := range []string{"/targets/prometheus.scrape.a/0000000000000001/response", "/api/v1/targets/prometheus.scrape.a/0000000000000001/response"} {
		for name, headers := range map[string][]string{
			"another site":   {"Host", "10.0.0.1:12345", "Sec-Fetch-Site", "cross-site"},
			"another port":   {"Host", "10.0.0.1:12345", "Origin", "http://10.0.0.1:3000"},
			"a rebound name": {"Host", "evil.example:12345", "Origin", "http://evil.example:12345"},
		} {
			if w := ask(h, "POST", path, headers...); w.Code != http.StatusForbidden {
				t.Errorf("%s: %s: %d", path, name, w.Code)
			}
		}
		if w := ask(h, "POST", path); w.Code == http.StatusForbidden {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
