package program

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/remotewrite/remotewritetest"
	"collector/test/harness"
)

// The target of an exporter leads to no socket, also of one in a module, and
// where the HTTP server asks for a password.
func TestExportersAreScrapedWithoutASocket(t *testing.T) {
	to := remotewritetest.New(t, nil)
	c := harness.NewCollector(t, fmt.Sprintf(`
		http { auth {
			basic {
				username = "a"
				password = "b"
			}
			filter { paths = ["/api"] }
		} }
		declare "inner" {
			prometheus.exporter.self "x" { }
			export "targets" { value = prometheus.exporter.self.x.targets }
		}
		inner "m" { }
		prometheus.exporter.self "x" { }
		prometheus.scrape "x" {
			targets         = inner.m.targets
			scrape_interval = "1s"
			scrape_timeout  = "1s"
			job_name        = "not_used"
			forward_to      = [prometheus.remote_write.x.receiver]
		}
		prometheus.remote_write "x" { endpoint { url = %q } }
	`, to.URL), "HOSTNAME=here")
	c.Start(t)
	want := labels.FromStrings("__name__", "alloy_config_last_load_successful", "instance", "here", "job", "integrations/self").String()
	up := labels.FromStrings("__name__", "up", "instance", "here", "job", "integrations/self").String()
	harness.Eventually(t, 20*time.Second, func() error {
		found := false
		for _, s := range to.Samples() {
			found = found || s.Series == want && s.Value() == 1
			if s.Series == up && s.Value() != 1 {
				t.Fatalf("a target is down:\n%s", c.Output())
			}
		}
		if !found {
			return fmt.Errorf("no sample of %s has arrived", want)
		}
		return nil
	})
	for path, want := range map[string]int{
		"prometheus.exporter.self.x/metrics": 200, "inner.m/prometheus.exporter.self.x/metrics": 200, "prometheus.scrape.x/metrics": 404,
	} {
		r, err := http.NewRequest(http.MethodGet, c.URL+"/api/v0/component/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(r); err != nil || resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s, without a password: %v, %v", path, resp, err)
		}
		r.SetBasicAuth("a", "b")
		if resp, err := http.DefaultClient.Do(r); err != nil || resp.StatusCode != want {
			t.Errorf("%s: %v, %v, want %d", path, resp, err, want)
		}
	}
	c.Stop(t)
}
