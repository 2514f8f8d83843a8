//go:build integration

package reliability

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"collector/test/harness"
)

// renamedConfig is a configuration whose components have the names of round n, and whose
// targets are files below dir.
func renamedConfig(logs logWriters, loki *lokiBehind, dir string, n int) string {
	targets := ""
	for _, w := range logs {
		targets += fmt.Sprintf("{__path__ = %q, log = %q}, ", filepath.Join(dir, w.name, "*.log"), w.name)
	}
	return fmt.Sprintf(`
local.file_match "m%[1]d" {
	path_targets = [%[2]s]
	sync_period  = "1s"
}

loki.source.file "f%[1]d" {
	targets    = local.file_match.m%[1]d.targets
	forward_to = [loki.process.p%[1]d.receiver]
}

loki.process "p%[1]d" {
	stage.static_labels {
		values = {round = "all"}
	}
	forward_to = [loki.write.w%[1]d.receiver]
}
`, n, targets) + loki.writer(fmt.Sprint("w", n))
}

// TestF4_RenamedComponentsAndPathsRepeatNothing gives each component another name again
// and again, and one that it had before: at a reload, at which the files also get another
// path, and while the collector does not run, after a kill. In each other round the
// destination is away, so that there is something in the queue of the writer that is
// renamed.
func TestF4_RenamedComponentsAndPathsRepeatNothing(t *testing.T) {
	t.Parallel()
	loki, logs := startLokiBehind(t, "lines", 1), startLogWriters(t)[:3]
	dir := filepath.Dir(logs[0].dir)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	c := harness.NewCollector(t, renamedConfig(logs, loki, dir, 0))
	c.Start(t)
	stop := logs.run(10 * time.Millisecond)
	rounds := 8
	if harness.Soaking() {
		rounds = 400
	}
	kills := 0
	for round := range rounds {
		if round%4 == 1 {
			loki.proxy.Set(t, harness.Refuse)
			loki.cut(t)
		}
		if round%4 == 3 {
			loki.proxy.Set(t, harness.None)
		}
		harness.Wait(harness.For(700*time.Millisecond, 3*time.Second))
		if round%2 == 1 {
			kills++
			c.Kill()
			loki.cut(t)
		} else {
			dir, link = link, dir
		}
		c.Configure(t, renamedConfig(logs, loki, dir, (round+1)%3))
		if round%2 == 1 {
			c.Start(t)
		} else if status, body := c.Reload(t); status != 200 {
			t.Fatalf("reload: %d %s", status, body)
		}
		path := filepath.Join(dir, logs[0].name, "a.log")
		harness.Eventually(t, catchUp, func() error {
			if c.Metric(t, "loki_source_file_read_lines_total", "path", path) == 0 {
				return fmt.Errorf("no line of %s has been read", path)
			}
			return nil
		})
	}
	loki.proxy.Set(t, harness.None)
	stop()
	wanted := logs.events() * eventLines
	harness.GetsOn(t, 60*time.Second, func() error {
		if n := len(loki.Entries()); n < wanted {
			return fmt.Errorf("%d of %d lines are stored", n, wanted)
		}
		return nil
	})
	harness.Eventually(t, catchUp, func() error { return c.Drained(t) })
	logs.checkStored(t, loki.Server, false)
	for _, a := range c.Accounts(t) {
		if a.Dropped > 0 {
			t.Errorf("dropped: %+v", a)
		}
	}
	t.Logf("%d renames, %d of them after kills; %d lines: 0 lost, 0 stored twice", rounds, kills, wanted)
	c.Stop(t)
}
