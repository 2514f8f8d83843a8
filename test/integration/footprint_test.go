//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"collector/test/harness"
)

// The limits of what the collector may cost.
const (
	maxBinary   = 60e6     // bytes, stripped, with every component
	maxResident = 30 << 20 // bytes, at rest, where the program may drop its own pages (see cmd/collector/memory_linux.go)
)

// TestFootprint measures the collector in its built-in configuration, with all
// parts on, beside 20 idle containers.
func TestFootprint(t *testing.T) {
	s := startStack(t)
	for i := range 20 {
		s.Engine.Run(t, harness.Container{
			Name: fmt.Sprintf("idle-%d", i), Labels: compose("demo", "idle", "metrics.scrape", "true"), Ports: []string{"8080/tcp"},
			Args: []string{"-serve=:8080", "-lines=10"},
		})
	}
	c := harness.NewCollector(t, "", "DOCKER_HOST="+s.Engine.Host,
		"COLLECTOR_METRICS_URL=http://"+s.Fronts["metrics"].Address+"/api/v1/write",
		"COLLECTOR_LOGS_URL=http://"+s.Fronts["logs"].Address+"/insert/loki/api/v1/push",
		"COLLECTOR_TRACES_ENDPOINT="+s.Fronts["traces"].Address,
		"COLLECTOR_PROFILES_URL=http://"+s.Fronts["profiles"].Address)
	begin := time.Now()
	c.Start(t)
	ready := time.Since(begin)

	// At rest: everything scraped and read, and some garbage collections past.
	harness.Eventually(t, 3*time.Minute, func() error {
		for _, a := range c.Accounts(t) {
			if want := map[string]float64{"logs": 200, "metrics": 20 * 21 * 2}[a.Signal]; a.Delivered < want {
				return fmt.Errorf("%+v, want %v delivered", a, want)
			}
		}
		return nil
	})
	harness.Wait(20 * time.Second)
	// Beside other work, collections of garbage and the system's reclaim take their time.
	var resident int64
	harness.Eventually(t, 2*time.Minute, func() error {
		if resident = c.RSS(t); resident > maxResident {
			return fmt.Errorf("%d bytes are resident", resident)
		}
		return nil
	})
	info, err := os.Stat(filepath.Join(harness.Root(), "bin", "collector"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("binary %.1f MB, ready after %v, resident %.1f MiB, %v goroutines", float64(info.Size())/1e6, ready.Round(time.Millisecond),
		float64(resident)/(1<<20), c.Metric(t, "go_goroutines"))
	if info.Size() > maxBinary {
		t.Errorf("the binary has %d bytes", info.Size())
	}
	c.Stop(t)
}
