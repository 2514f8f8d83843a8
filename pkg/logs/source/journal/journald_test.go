//go:build integration

package journal

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"collector/pkg/logs/logstest"
	"collector/pkg/logs/source/journal/journaltest"
	"collector/pkg/logs/source/lines"
)

// await waits until a condition holds that takes real programs a while.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	logstest.Until(t, what, ok, 2*time.Minute, func() string { return "" })
}

// TestJournaldsEntriesAreReadOnce has the real journald write, rotate, move from
// memory to disk, restart and crash while the reader is killed.
func TestJournaldsEntriesAreReadOnce(t *testing.T) {
	const entries, kills = 20_000, 6
	d := journaltest.StartDaemon(t, "SystemMaxFileSize=2M\nRuntimeMaxFileSize=2M\nRuntimeMaxUse=48M\n")
	dir := t.TempDir()
	got := func() []string {
		return slices.DeleteFunc(logstest.FileLines(t, filepath.Join(dir, "out")), func(l string) bool { return !strings.HasPrefix(l, "line ") })
	}
	start := func() (kill func()) {
		return logstest.StartChild(t, []string{"-test.run=^TestCrashChild$"},
			"JOURNAL_CRASH_PATH="+d.Disk, "JOURNAL_CRASH_MEMORY="+d.Memory, "JOURNAL_CRASH_DIR="+dir)
	}
	sent := 0
	send := func(to func(...string) error, n int) {
		for range n {
			if err := to(fmt.Sprintf("MESSAGE=line %d", sent), "PRIORITY=6", "TEXT="+strings.Repeat("x", sent%500)); err != nil {
				t.Error(err)
				return
			}
			sent++
		}
	}
	for kill := range kills {
		stop := start()
		before := len(got())
		send(d.Sender(), entries/kills/2)
		switch kill {
		case 1:
			d.Flush() // from memory to disk
		case 2, 4:
			d.Rotate()
		case 3:
			d.Stop()
			d.Start()
		}
		var sending sync.WaitGroup
		to := d.Sender()
		sending.Go(func() { send(to, entries/kills/2) })
		await(t, "lines come", func() bool { return len(got()) > before })
		stop()
		sending.Wait()
	}
	start()
	last := fmt.Sprintf("line %d", sent-1)
	await(t, "the last line comes", func() bool { lines := got(); return len(lines) > 0 && lines[len(lines)-1] == last })
	logstest.WantNumbered(t, got(), sent, (kills+1)*lines.BatchLines)
}

// TestEntriesThatJournaldVacuumsUnreadAreCounted has the receivers accept nothing until
// journald has removed files.
func TestEntriesThatJournaldVacuumsUnreadAreCounted(t *testing.T) {
	d := journaltest.StartDaemon(t, "SystemMaxFileSize=512K\nSystemMaxUse=3M\nSystemKeepFree=1M\n")
	d.Flush()
	b := newBench(t)
	b.disk = d.Disk
	block := make(chan struct{})
	b.sink.Set(func() { b.sink.Block = block })
	b.start()
	b.until("a batch waits", func() bool { return b.sink.Calls() > 0 })
	send := d.Sender()
	for i := range 8000 {
		if err := send(fmt.Sprintf("MESSAGE=line %d", i), fmt.Sprintf("NUMBER=%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	close(block)
	await(t, "the last line comes", func() bool {
		lines := b.sink.Lines()
		return len(lines) > 0 && lines[len(lines)-1] == "line 7999"
	})
	lines := b.sink.Lines()
	lost := int(logstest.ValueOf(b.source.metrics.lostEntries))
	data, err := os.ReadFile(journalOf(t, d.Disk))
	if err != nil {
		t.Fatal(err)
	}
	total := int(binary.LittleEndian.Uint64(data[160:])) // the number of the last entry
	t.Logf("%d entries: %d read, %d lost", total, len(lines), lost)
	if lost == 0 || len(lines)+lost != total {
		t.Errorf("%d entries are read and %d count as lost, of %d", len(lines), lost, total)
	}
}

// journalOf is the file to which journald writes.
func journalOf(t *testing.T, dir string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*", "system.journal"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%q, %v", found, err)
	}
	return found[0]
}

// TestAJournaldThatCrashesLosesNothing kills journald itself, which then puts its
// file aside.
func TestAJournaldThatCrashesLosesNothing(t *testing.T) {
	d := journaltest.StartDaemon(t, "")
	d.Flush()
	b := newBench(t)
	b.disk = d.Disk
	b.start()
	var want []string
	for crash := range 3 {
		for i := range 100 {
			want = append(want, fmt.Sprintf("crash %d line %d", crash, i))
			d.Send("MESSAGE=" + want[len(want)-1])
		}
		b.until("the lines have come", func() bool { return has(b.sink.Lines(), want) })
		d.Kill()
		d.Start()
	}
	if aside, _ := filepath.Glob(filepath.Join(d.Disk, "*", "*.journal~")); len(aside) == 0 {
		t.Error("journald has put no file aside")
	}
	b.until("the lines have come", func() bool { return has(b.sink.Lines(), want) })
}

// has reports whether lines holds those wanted, each once and in order.
func has(lines, want []string) bool {
	next := 0
	for _, l := range lines {
		switch {
		case next < len(want) && l == want[next]:
			next++
		case strings.HasPrefix(l, "crash "):
			return false
		}
	}
	return next == len(want)
}

// TestMatchesAreJournalctls compares what is selected with what journalctl selects.
func TestMatchesAreJournalctls(t *testing.T) {
	d := journaltest.StartDaemon(t, "")
	d.Flush()
	for i := range 60 {
		d.Send(fmt.Sprintf("MESSAGE=entry %d", i), fmt.Sprintf("A=%d", i%2), fmt.Sprintf("B=%d", i%3), fmt.Sprintf("C=x=%d", i%5))
	}
	d.Send("MESSAGE=last", "A=0", "A=1", "B=0", "B=1", "B=2", "C=x=0")
	await(t, "all is written", func() bool {
		out, _ := exec.Command("journalctl", "-D", d.Disk, "-o", "cat", "-n", "1").Output()
		return strings.Contains(string(out), "last")
	})
	for _, matches := range []string{"A=0", "A=0 B=1", "A=0 A=1 B=1", "A=0 B=1 + B=2", "C=x=3", "A=1 C=x=0 C=x=1 + A=0 B=0 C=x=4", "_TRANSPORT=journal B=2"} {
		out, err := exec.CommandContext(context.Background(), "journalctl", append([]string{"-D", d.Disk, "-o", "cat", "-q"}, strings.Fields(matches)...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		b := newBench(t)
		b.disk, b.change = d.Disk, func(c *Config) { c.Matches = matches }
		b.start()
		b.wait(strings.Split(strings.TrimSpace(string(out)), "\n")...)
		b.end()
	}
}
