//go:build integration

package reliability

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"collector/test/harness"
	"collector/test/workload"
)

// Containers that live for less than a second and are removed at once are read.
func shortLivedContainersAreRead(t *testing.T, e *harness.Engine) {
	r := newLogRig(t, e, "L9")
	r.Collector.Start(t)
	const lines = 1000
	containers, atOnce := 50, 2
	var mu sync.Mutex
	var ids []string
	var running sync.WaitGroup
	jobs := make(chan int)
	for range atOnce {
		running.Go(func() {
			for i := range jobs {
				id := r.run(t, fmt.Sprint("short", i), harness.Container{AutoRemove: true}, fmt.Sprintf("-lines=%d", lines))
				mu.Lock()
				ids = append(ids, id)
				mu.Unlock()
			}
		})
	}
	for i := range containers {
		jobs <- i
	}
	close(jobs)
	running.Wait()
	arrived := func() (n, whole int) {
		for _, id := range ids {
			count := r.Oracle.Count(t, id)
			n += count
			if count == lines {
				whole++
			}
		}
		return n, whole
	}
	// When nothing has come for so long, nothing more will.
	before, deadline := 0, time.Now().Add(15*time.Second)
	harness.Eventually(t, 5*time.Minute, func() error {
		n, _ := arrived()
		if n > before {
			before, deadline = n, time.Now().Add(15*time.Second)
		}
		if n < containers*lines && time.Now().Before(deadline) {
			return fmt.Errorf("%d lines", n)
		}
		return nil
	})
	for _, id := range ids {
		for i, line := range r.Oracle.Pushed(t, id, "stdout") {
			if want := workload.Line("stdout", i+1, 60); line.Text != want {
				t.Fatalf("%.12s: line %d is %q", id, i+1, line.Text)
			}
		}
	}
	n, whole := arrived()
	t.Logf("%d of %d lines have arrived (%.2f %% lost); %d of %d containers are complete", n, containers*lines, 100-100*float64(n)/float64(containers*lines), whole, containers)
	// How many depends on the Engine: one that removes a container before it answers
	// leaves nothing to read. That the collector requests its log without another request
	// before is tested in pkg/logs.
	if whole == 0 || harness.Soaking() && n < containers*lines/2 {
		t.Errorf("%d lines of containers that were removed at once are lost", containers*lines-n)
	}
	r.finish(t)
}

// Containers that ended before anybody looked are read in full.
func exitedContainersAreRead(t *testing.T, e *harness.Engine) {
	r := newLogRig(t, e, "L10")
	var ids []string
	run := func(name string) {
		id := r.run(t, name, harness.Container{}, "-lines=500", "-streams=stdout,stderr", "-exit=2")
		e.WaitExit(t, id)
		ids = append(ids, id)
	}
	run("before1")
	run("before2")
	r.Collector.Start(t)
	run("while1")
	run("while2")
	end(t, r.Collector)
	run("between")
	r.Collector.Start(t)
	for _, id := range ids {
		r.await(t, 20*time.Second, id, 1000)
	}
	r.finish(t)
}

// A log of one small file that is rotated all the time, and one that is emptied by
// somebody else, are still followed.
func rotationAndTruncation(t *testing.T, e *harness.Engine) {
	r := newLogRig(t, e, "L12")
	noise := harness.StartNoise(t)
	stuck := r.run(t, "stuck", harness.Container{}, "-lines=100000", "-interval=50ms", "-stay")
	seconds := int(harness.For(20*time.Second, 10*time.Minute).Seconds())
	lines := 1000 * seconds // of 1,000 bytes: 1 MB/s
	rotated := r.run(t, "rotated", harness.Container{LogOptions: map[string]string{"max-size": "1m", "max-file": "1"}},
		fmt.Sprintf("-lines=%d", lines), "-sizes=1000", "-burst=20", "-interval=20ms", "-stay")
	truncated := r.run(t, "truncated", harness.Container{}, "-lines=100000", "-interval=50ms", "-stay")
	r.Collector.Start(t)
	r.Oracle.AwaitCount(t, 20*time.Second, truncated, 100)
	r.Oracle.AwaitCount(t, 20*time.Second, stuck, 50)
	r.Proxy.Freeze(logPath(stuck)) // the other way to get stuck while following
	if err := os.Truncate(e.Inspect(t, truncated).LogPath, 0); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	resumed := func(id string) error {
		lines := r.Oracle.Pushed(t, id, "stdout")
		if last := lines[len(lines)-1]; last.Time.Before(at.Add(time.Second)) {
			return fmt.Errorf("the last line is of %s", last.Time)
		}
		return nil
	}
	for name, id := range map[string]string{"truncated": truncated, "stuck": stuck} {
		harness.Eventually(t, 2*time.Minute, func() error { return resumed(id) })
		t.Logf("lines of a %s log came again after %s", name, time.Since(at).Round(time.Second))
		if stall, limit := time.Since(at), noise.Bound(time.Minute); stall > limit {
			t.Errorf("the stall was %s, %s are allowed", stall, limit)
		}
		once(t, r.Oracle.Pushed(t, id, "stdout"))
	}
	r.stop(t, truncated)
	r.stop(t, stuck)
	r.await(t, 20*time.Second, stuck, len(e.Output(t, stuck)))

	last := workload.Line("stdout", lines, 1000)
	harness.Eventually(t, harness.For(4*time.Minute, 30*time.Minute), func() error { // the container may be slow
		got := r.Oracle.Pushed(t, rotated, "stdout")
		if len(got) == 0 || got[len(got)-1].Text != last {
			return fmt.Errorf("%d lines have come", len(got))
		}
		return nil
	})
	got := len(r.Oracle.Pushed(t, rotated, "stdout"))
	once(t, r.Oracle.Pushed(t, rotated, "stdout"))
	t.Logf("of %d lines of a log with a single file of 1 MB, %d were rotated away before the Engine gave them out", lines, lines-got)
	// How many depends on the Engine; that reading continues depends on the collector.
	if harness.Soaking() && got < lines/2 {
		t.Errorf("%d lines of %d are lost", lines-got, lines)
	}
	r.finish(t)
}

// once fails the test unless the numbers of the lines increase.
func once(t *testing.T, lines []harness.PushedLine) {
	t.Helper()
	before := 0
	for i, line := range lines {
		var seq int
		if _, err := fmt.Sscanf(line.Text, "seq=%d ", &seq); err != nil {
			t.Fatalf("line %q: %v", line.Text, err)
		}
		if seq <= before {
			t.Fatalf("line %d has the number %d after %d", i, seq, before)
		}
		before = seq
	}
}

// A log with NUL bytes, as a power cut leaves them, costs only what is damaged.
func damagedLogIsSkipped(t *testing.T, e *harness.Engine) {
	r := newLogRig(t, e, "L13")
	damaged := r.run(t, "damaged", harness.Container{}, "-lines=100", "-rerun=1000", "-interval=10ms", "-stay")
	beside := r.run(t, "beside", harness.Container{}, "-lines=3000", "-interval=10ms", "-stay")
	r.Collector.Start(t)
	r.Oracle.AwaitCount(t, 20*time.Second, damaged, 100)
	end(t, r.Collector)
	r.stop(t, damaged)
	f, err := os.OpenFile(e.Inspect(t, damaged).LogPath, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	r.start(t, damaged)
	restarted := time.Now()
	r.Collector.Start(t)
	last := workload.Line("stdout", 1100, 60)
	harness.Eventually(t, 3*time.Minute, func() error {
		got := r.Oracle.Pushed(t, damaged, "stdout")
		if got[len(got)-1].Text != last {
			return fmt.Errorf("%d lines have come", len(got))
		}
		return nil
	})
	got := r.Oracle.Pushed(t, damaged, "stdout")
	once(t, got)
	t.Logf("%d of 1100 lines have come around the damage; %d requests for the log; skipped %v times", len(got), len(r.logRequests(damaged)), r.Collector.Metric(t, "collector_log_damage_skipped_total"))
	// The Engine loses what it had read ahead at the damage, and more the longer
	// the attempts to read it take.
	if harness.Soaking() && len(got) < 800 {
		t.Errorf("%d lines are lost, around 4 KiB of damage", 1100-len(got))
	}
	if n := len(r.logRequests(damaged)); n > 40 {
		t.Errorf("the log was asked for %d times", n)
	}
	if said := r.complaints("warn"); len(said) > 4+int(time.Since(restarted).Minutes()) {
		t.Errorf("%d warnings: %q", len(said), said)
	}
	r.await(t, 3*time.Minute, beside, 3000)
	r.finish(t)
}

// A logging driver that can't be read costs one warning a start and at most a
// request a minute.
func unreadableDriverIsQuiet(t *testing.T, e *harness.Engine) {
	r := newLogRig(t, e, "L14")
	r.Collector.Start(t)
	started := time.Now()
	none := r.run(t, "none", harness.Container{LogDriver: "none"}, "-lines=10", "-stay")
	beside := r.run(t, "beside", harness.Container{}, "-lines=1000", "-interval=10ms", "-stay")
	r.await(t, 3*time.Minute, beside, 1000)
	warnings := func() (n int) {
		for _, line := range r.complaints("warn") {
			if strings.Contains(line, "driver") {
				n++
			}
		}
		return n
	}
	harness.Eventually(t, 20*time.Second, func() error {
		if warnings() == 0 {
			return errors.New("there is no warning of the driver")
		}
		return nil
	})
	harness.Wait(harness.For(10*time.Second, 5*time.Minute))
	if n := len(r.logRequests(none)); n < 1 || n > 2+int(time.Since(started).Minutes()) {
		t.Errorf("the log was asked for %d times", n)
	}
	if n := warnings(); n != 1 {
		t.Errorf("%d warnings, want 1: %q", n, r.complaints("warn"))
	}
	r.finish(t)
}
