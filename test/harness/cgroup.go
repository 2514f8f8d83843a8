package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Cgroup is a control group with a limit on memory.
type Cgroup struct {
	dir string
	v2  bool
}

// LimitMemory makes the collector, when it is started, run in a cgroup with a
// limit on memory, which it sees as it does in a container. It needs root.
func (c *Collector) LimitMemory(t testing.TB, bytes int64) *Cgroup {
	t.Helper()
	root, limit, v2 := "/sys/fs/cgroup/memory", "memory.limit_in_bytes", false
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		root, limit, v2 = "/sys/fs/cgroup", "memory.max", true
		// It is refused where it is on already, or where the group has processes.
		os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+memory"), 0o644)
	}
	dir, err := os.MkdirTemp(root, "collector-test-")
	if err != nil {
		t.Fatal(err)
	}
	g := &Cgroup{dir: dir, v2: v2}
	t.Cleanup(func() {
		// Cleanups run in the reverse order, so that the collector has ended.
		for range 50 {
			if os.Remove(dir) == nil {
				return
			}
			Wait(20 * time.Millisecond)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, limit), []byte(strconv.FormatInt(bytes, 10)), 0o644); err != nil {
		t.Fatalf("limit the memory of a cgroup: %v", err)
	}
	c.within(t, fmt.Sprintf("echo $$ > %s/cgroup.procs; mount --bind %s %s", dir, dir, root))
	return g
}

// Kills counts the processes of the group that the kernel has killed because
// they were out of memory.
func (g *Cgroup) Kills(t testing.TB) int {
	t.Helper()
	file := "memory.oom_control"
	if g.v2 {
		file = "memory.events"
	}
	data, err := os.ReadFile(filepath.Join(g.dir, file))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var n int
		if _, err := fmt.Sscanf(line, "oom_kill %d", &n); err == nil {
			return n
		}
	}
	t.Fatalf("%s does not tell of kills: %s", file, data)
	return 0
}
