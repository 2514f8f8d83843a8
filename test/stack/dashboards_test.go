//go:build integration

package stack

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"collector/test/harness"
)

// checkDashboards checks that each panel of the dashboards Host and Containers
// has data in the stack as it is deployed: from a container without privileges
// that sees nothing of the host. And that these are data of
// the project's containers only.
func (p *environment) checkDashboards(t *testing.T) {
	for _, name := range []string{"host.json", "containers.json"} {
		raw, err := os.ReadFile(deployed("grafana", "dashboards", name))
		if err != nil {
			t.Fatal(err)
		}
		var dashboard struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(raw, &dashboard); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		// Scraped every 15 s; a rate takes two samples.
		chosen := strings.NewReplacer("$project", p.name, "$host", "docker", "$service", ".*", "$__rate_interval", "1m")
		for _, panel := range dashboard.Panels {
			for _, target := range panel.Targets {
				harness.Eventually(t, 90*time.Second, func() error {
					for _, s := range p.series(t, chosen.Replace(target.Expr)) {
						if value := fmt.Sprint(s.Value[1]); value != "NaN" {
							return nil
						}
					}
					return fmt.Errorf("%s: %s: no data for\n%s", name, panel.Title, target.Expr)
				})
			}
		}
	}
	running := 0
	for service := range p.containers(t) {
		if service != "probe" {
			running++
		}
	}
	for _, s := range p.series(t, "count by (project) (count by (project, id) (last_over_time(container_memory_working_set_bytes[1m])))") {
		if s.Metric["project"] != p.name || fmt.Sprint(s.Value[1]) != fmt.Sprint(running) {
			t.Errorf("there are metrics of %v containers of %s, want %d of %s", s.Value[1], s.Metric["project"], running, p.name)
		}
	}
	// The file system that holds Docker's volumes.
	if n := len(p.series(t, `node_filesystem_size_bytes{mountpoint="/var/lib/alloy/data"} > 0`)); n != 1 {
		t.Errorf("%d file systems hold the collector's volume", n)
	}
}
