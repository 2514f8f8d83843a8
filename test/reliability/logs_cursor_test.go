//go:build integration

package reliability

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"collector/test/harness"
)

func (r *logRig) cursors() string {
	return filepath.Join(r.Collector.Storage, "loki.source.docker.all", "cursors")
}

// Damage of the file of cursors is logged once, the file is moved aside, no line is lost,
// and no more is read again than the last good copy makes necessary.
func damagedCursorFilesHeal(t *testing.T, e *harness.Engine) {
	r := newLogRig(t, e, "L7")
	id := r.run(t, "app", harness.Container{}, "-lines=1000", "-rerun=100", "-stay")
	r.Collector.Start(t)
	r.await(t, 20*time.Second, id, 1000)
	end(t, r.Collector)
	r.Collector.Start(t) // makes the previous copy
	n := 1000
	for name, damage := range map[string]func(path string, content []byte) error{
		"truncated": func(path string, content []byte) error { return os.Truncate(path, int64(len(content)/2)) },
		"zeros":     func(path string, content []byte) error { return os.WriteFile(path, make([]byte, len(content)), 0o600) },
		"one byte": func(path string, content []byte) error {
			content[len(content)-20] ^= 1
			return os.WriteFile(path, content, 0o600)
		},
		"missing":      func(path string, _ []byte) error { return os.Remove(path) },
		"not readable": func(path string, _ []byte) error { os.Remove(path); return os.Mkdir(path, 0o700) },
	} {
		end(t, r.Collector)
		content, err := os.ReadFile(r.cursors())
		if err != nil {
			t.Fatal(err)
		}
		if err := damage(r.cursors(), content); err != nil {
			t.Fatal(err)
		}
		r.stop(t, id)
		r.start(t, id)
		r.Collector.Start(t)
		n += 100
		t.Logf("cursors %s", name)
		r.await(t, 20*time.Second, id, n)
		said := 0
		for _, line := range r.complaints("error") {
			if strings.Contains(line, r.cursors()) {
				said++
			}
		}
		if _, err := os.Stat(r.cursors() + ".damaged"); name != "missing" && (said != 1 || err != nil) {
			t.Errorf("%s: %d errors name the file, want 1; put aside: %v", name, said, err)
		}
		os.RemoveAll(r.cursors() + ".damaged")
	}
	r.finish(t)
}

// While the disk is full, lines wait at the Engine; afterwards each comes once.
func TestL7_FullDisk(t *testing.T) {
	t.Parallel()
	e := harness.StartEngine(t)
	r := newLogRig(t, e, "L7full")
	if err := os.MkdirAll(r.Collector.Storage, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", r.Collector.Storage).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v %s", err, out)
	}
	t.Cleanup(func() {
		r.Collector.Kill()
		exec.Command("umount", r.Collector.Storage).Run()
	})
	id := r.run(t, "app", harness.Container{}, "-lines=2000", "-burst=10", "-interval=50ms", "-stay")
	r.Collector.Start(t)
	r.Oracle.AwaitCount(t, 20*time.Second, id, 100)
	filler := filepath.Join(r.Collector.Storage, "filler")
	fill := func() {
		t.Helper()
		f, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, size := range []int{1 << 16, 1 << 12, 1} {
			for {
				if _, err := f.Write(make([]byte, size)); err != nil {
					break
				}
			}
		}
	}
	fill()
	t.Log("the disk is full")
	harness.Wait(5 * time.Second)
	r.Collector.Accounts(t)
	r.Collector.Kill()
	r.Collector.Start(t) // with the disk full
	harness.Wait(5 * time.Second)
	r.Collector.Accounts(t)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	var pushed []harness.PushedLine
	var seen map[string]int
	harness.Eventually(t, 3*time.Minute, func() error { // those that are repeated do not count
		pushed, seen = r.Oracle.Pushed(t, id, "stdout"), make(map[string]int)
		for _, line := range pushed {
			seen[line.Time.String()+line.Text]++
		}
		if len(seen) < 2000 {
			return fmt.Errorf("%d different lines of 2000 were pushed", len(seen))
		}
		return nil
	})
	want, repeated := e.Output(t, id), len(pushed)-len(seen)
	for _, line := range want {
		if seen[line.Time.UTC().String()+line.Text] == 0 {
			t.Fatalf("line %q is lost", line.Text)
		}
	}
	if len(seen) != len(want) {
		t.Errorf("%d different entries were pushed of %d lines", len(seen), len(want))
	}
	t.Logf("%d lines, %d repeated identically after the kill", len(want), repeated)
	r.finish(t)
}

// Alloy's own positions are continued at their second.
func alloysPositionsAreContinued(t *testing.T, e *harness.Engine) {
	r := newLogRig(t, e, "L8")
	id := r.run(t, "app", harness.Container{}, "-lines=300", "-rerun=10", "-interval=10ms", "-streams=stdout,stderr", "-exit=0")
	e.WaitExit(t, id)
	all := e.Output(t, id)
	second := all[len(all)/2].Time.Unix()
	positions := filepath.Join(r.Collector.Storage, "loki.source.docker.all", "positions.yml")
	if err := os.MkdirAll(filepath.Dir(positions), 0o755); err != nil {
		t.Fatal(err)
	}
	// As Alloy writes it, with an older entry for labels that have changed.
	text := fmt.Sprintf("positions:\n"+
		"  ? path: cursor-%s\n    labels: '{__address__=\"172.17.0.2:80\", __meta_docker_container_id=\"%s\"}'\n  : \"%d\"\n"+
		"  ? path: cursor-%s\n    labels: '{__address__=\"172.17.0.3:80\", __meta_docker_container_id=\"%s\"}'\n  : \"%d\"\n",
		id, id, second-3600, id, id, second)
	if err := os.WriteFile(positions, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var want []harness.EngineLine
	for _, line := range all {
		if line.Time.Unix() >= second {
			want = append(want, line)
		}
	}
	r.Collector.Start(t)
	r.Oracle.AwaitCount(t, 20*time.Second, id, len(want))
	if err := r.Oracle.Compare(t, id, want); err != nil {
		t.Fatal(err)
	}
	// From then on the collector's own cursors count, whatever is in the file.
	end(t, r.Collector)
	r.start(t, id)
	e.WaitExit(t, id)
	r.Collector.Start(t)
	r.Oracle.AwaitCount(t, 20*time.Second, id, len(want)+20)
	if err := r.Oracle.Compare(t, id, append(want, e.Output(t, id)[len(all):]...)); err != nil {
		t.Fatal(err)
	}
	r.finish(t)
}
