package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/inspect"
)

func TestATailShowsWhatIsRead(t *testing.T) {
	b := newBench(t)
	b.change = func(c *Config) { c.Matches = "PRIORITY=6" }
	j := b.file(1, machine, "system.journal")
	j.entry("MESSAGE=1", "PRIORITY=6", "_SYSTEMD_UNIT=docker.service", "SYSLOG_IDENTIFIER=dockerd").entry("MESSAGE=2", "PRIORITY=6", "_SYSTEMD_UNIT=docker.service").
		entry("MESSAGE=3", "PRIORITY=6", "SYSLOG_IDENTIFIER=kernel").entry("MESSAGE=4", "PRIORITY=7").entry("MESSAGE=5", "PRIORITY=6").write()
	b.start()
	b.wait("1", "2", "3", "5")
	var tail inspect.LogTail
	b.until("the cursor is told", func() bool {
		for _, tail = range b.source.LogTails() {
			if tail.ReadTo != "" {
				return true
			}
		}
		return false
	})
	if diff := cmp.Diff(map[string]uint64{"docker.service": 2, "kernel": 1, "no unit": 1}, tail.Units); diff != "" || tail.About != "PRIORITY=6" || tail.Kind != inspect.TailJournal || !strings.HasPrefix(tail.ReadTo, "s=") {
		t.Errorf("%+v\n%s", tail, diff)
	}
}

func TestUnitsAreBounded(t *testing.T) {
	b := newBench(t)
	j := b.file(1, machine, "system.journal")
	for i := range 2 * maxUnits {
		j.entry("MESSAGE=x", fmt.Sprintf("_SYSTEMD_UNIT=%d.service", i))
	}
	j.write()
	b.start()
	b.until("all is read", func() bool { return len(b.sink.Lines()) == 2*maxUnits })
	for _, tail := range b.source.LogTails() {
		if len(tail.Units) > maxUnits+1 || tail.Units[otherUnits] != maxUnits {
			t.Errorf("%d units, %d lines of others", len(tail.Units), tail.Units[otherUnits])
		}
	}
}

func TestAJournalThatMayNotBeReadIsExplained(t *testing.T) {
	dir := t.TempDir()
	cause, fix := explain(dir, fmt.Errorf("open: %w", fs.ErrPermission))
	if !strings.Contains(cause, "may not read "+dir) || !strings.Contains(fix, "group_add") {
		t.Errorf("%s %s", cause, fix)
	}
	if cause, _ := explain(dir, errors.New("something else")); cause != "" {
		t.Error(cause)
	}
}
