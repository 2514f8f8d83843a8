//go:build integration

package reliability

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"collector/pkg/remotewrite/remotewritetest"
	"collector/test/harness"
)

const (
	greedyMemory = 256 << 20
	greedySeries = 900_000
	// greedyRounds is for how many refusals the others are watched.
	greedyRounds = 5
)

const greedyConfig = `
prometheus.scrape "good" {
	targets         = [{"__address__" = "%s"}]
	scrape_interval = "1s"
	scrape_timeout  = "1s"
	forward_to      = [prometheus.remote_write.default.receiver]
}

prometheus.scrape "greedy" {
	targets         = [%s]
	scrape_interval = "2s"
	scrape_timeout  = "2s"
	forward_to      = [prometheus.remote_write.default.receiver]
}

prometheus.remote_write "default" {
	endpoint {
		url = "%s"
	}
}
`

// TestTargetsThatExposeTooMuchAffectNoOthers gives the collector 256 MiB, and targets
// whose series would take several times as much.
func TestTargetsThatExposeTooMuchAffectNoOthers(t *testing.T) {
	good := harness.StartTarget(t, 100)
	receiver := remotewritetest.New(t, nil)
	var greedy []string
	for i := range 3 {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			out := bufio.NewWriterSize(w, 64<<10)
			defer out.Flush()
			for n := range greedySeries {
				if _, err := fmt.Fprintf(out, "greedy%d{i=\"%d\"} 1\n", i, n); err != nil {
					return
				}
			}
		}))
		t.Cleanup(server.Close)
		greedy = append(greedy, fmt.Sprintf(`{"__address__" = "%s"}`, server.Listener.Addr()))
	}
	c := harness.NewCollector(t, fmt.Sprintf(greedyConfig, good.Address, strings.Join(greedy, ", "), receiver.URL))
	group := c.LimitMemory(t, greedyMemory)
	c.Start(t)
	pid := c.Pid()
	peak := watchMemory(t, func() int64 { return rssOf(pid) })
	refused := func() float64 { return c.Metric(t, "prometheus_scrape_failures_total", "reason", "memory") }
	harness.Eventually(t, time.Minute, func() error {
		if n := refused(); n < 3*greedyRounds {
			return fmt.Errorf("%v scrapes were refused for their memory", n)
		}
		if good.Scrapes() < 10 {
			return errors.New("the good target waits")
		}
		return nil
	})
	if kills := group.Kills(t); kills > 0 {
		t.Errorf("the kernel has killed %d processes", kills)
	}
	arrived := 0
	for _, s := range receiver.Samples() {
		if strings.Contains(s.Series, `index="99"`) {
			arrived++
		}
		up, isGood := strings.HasPrefix(s.Series, `{__name__="up"`), strings.Contains(s.Series, `scrape.good"`)
		if up && isGood && s.Value() != 1 {
			t.Errorf("the good target is down: %s", s.Series)
		}
		if up && !isGood && s.Value() != 0 || strings.Contains(s.Series, `"greedy`) {
			t.Fatalf("a part of a page that was refused has arrived: %s %v", s.Series, s.Value())
		}
	}
	if arrived < 5 {
		t.Errorf("%d samples of a series of the good target have arrived", arrived)
	}
	t.Logf("at most %d MiB resident", peak()>>20)
	c.Stop(t)
}
