package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"collector/pkg/inspect"
	"collector/pkg/logs/logstest"
	"collector/pkg/logs/source/journal/journaltest"
)

func TestFilesAreReadInTheOrderOfTime(t *testing.T) {
	b := newBench(t)
	now := time.Now()
	a, c := b.file(1, "system.journal"), b.file(2, "user-1000.journal")
	var want []string
	for i := range 200 {
		j := a
		if i%3 == 0 {
			j = c
		}
		want = append(want, fmt.Sprintf("line %d", i))
		j.at(now.Add(time.Duration(i-1000)*time.Millisecond), "MESSAGE="+want[i])
	}
	a.write()
	c.write()
	b.start()
	b.wait(want...)
}

func TestRotatedFilesAreReadOnce(t *testing.T) {
	b := newBench(t)
	b.start()
	var want []string
	for i := range 6 {
		j := b.file(byte(i+1), machine, "system.journal")
		for k := range 50 {
			want = append(want, fmt.Sprintf("file %d line %d", i, k))
			j.entry("MESSAGE=" + want[len(want)-1])
		}
		j.write()
		switch {
		case i%3 == 1:
			b.end()
		case i%3 == 2:
			b.start()
			b.wait(want...)
		}
		j.archive(fmt.Sprintf("system@%d.journal", i))
	}
	b.wait(want...)
	b.end()
	b.start()
	b.file(99, machine, "system.journal").log("last")
	b.wait(append(want, "last")...)
}

func TestAnArchivedFileIsClosedAndForgottenWhenItIsRemoved(t *testing.T) {
	b := newBench(t)
	j := b.file(1, "system.journal").log("a", "b")
	b.start()
	b.wait("a", "b")
	if n := b.source.files(); n != 1 {
		t.Errorf("%v files are open, want 1", n)
	}
	j.archive("system@1.journal")
	b.until("the file is closed", func() bool { return b.source.files() == 0 })
	if err := os.Remove(j.path); err != nil {
		t.Fatal(err)
	}
	b.file(2, "system.journal").log("c")
	b.wait("a", "b", "c")
	b.until("the position is forgotten", func() bool {
		text, err := os.ReadFile(filepath.Join(b.storage, "positions"))
		return err == nil && strings.Contains(string(text), `"file `+strings.Repeat("01", 16)+`" -`)
	})
	if n := logstest.ValueOf(b.source.metrics.lostEntries); n != 0 {
		t.Errorf("%v entries are counted as lost", n)
	}
}

func TestEntriesVacuumedUnreadAreCounted(t *testing.T) {
	b := newBench(t)
	block := make(chan struct{})
	b.sink.Set(func() { b.sink.Block = block })
	j := b.file(1, "system.journal")
	for i := range 3000 {
		j.entry(fmt.Sprintf("MESSAGE=line %d", i))
	}
	j.write()
	b.start()
	b.until("a batch waits", func() bool { return b.sink.Calls() > 0 })
	j.vacuum()
	b.file(2, "system.journal").log("next")
	close(block)
	b.until("the next file is read", func() bool {
		l := b.sink.Lines()
		return len(l) > 0 && l[len(l)-1] == "next"
	})
	lost := int(logstest.ValueOf(b.source.metrics.lostEntries))
	if got := len(b.sink.Lines()) - 1; got+lost != 3000 || lost == 0 {
		t.Errorf("%d lines have come, %d are counted as lost, of 3000", got, lost)
	}
	if got := b.source.Folders()[0]; got.Lost != uint64(lost) {
		t.Errorf("the UI shows %+v", got)
	}
}

func TestAFileThatWasRemovedWhileNobodyLookedIsReported(t *testing.T) {
	b := newBench(t)
	j := b.file(1, "system.journal").log("a")
	b.start()
	b.wait("a")
	b.end()
	j.log("b")
	if err := os.Remove(j.path); err != nil {
		t.Fatal(err)
	}
	b.file(2, "system.journal").log("c")
	b.start()
	b.wait("a", "c")
	if n := logstest.ValueOf(b.source.metrics.lostFiles); n != 1 {
		t.Errorf("%v files are counted as lost, want 1", n)
	}
}

func TestDamageIsCountedAndShownAndAffectsNothingElse(t *testing.T) {
	b := newBench(t)
	j := b.file(1, "system@1.journal")
	for i := range 100 {
		j.entry(fmt.Sprintf("MESSAGE=line %d", i))
	}
	j.w.Archive()
	data := j.w.Bytes()
	at := strings.Index(string(data), "MESSAGE=line 50") // a field
	clear(data[at-64 : at+8])
	j.write()
	if err := os.WriteFile(filepath.Join(b.disk, "user-1.journal"), []byte("LPKSHHRH, but nothing else of it"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(b.disk, "user-1.journal"), old, old); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.until("the others have come", func() bool { return len(b.sink.Lines()) == 99 })
	m := b.source.metrics
	b.until("both files count as damaged", func() bool { return logstest.ValueOf(m.damagedFiles) == 2 })
	if n := logstest.ValueOf(m.damagedFields); n != 1 {
		t.Errorf("%v fields count as damaged", n)
	}
	var tail inspect.LogTail = b.source.LogTails()[0]
	if tail.Error == "" || tail.ErrorAt.IsZero() {
		t.Errorf("the UI shows %+v", tail)
	}
	b.file(3, "system.journal").log("goes on")
	b.until("the next file is read", func() bool { return len(b.sink.Lines()) == 100 })
}

func TestDamageIsNotShownForever(t *testing.T) {
	b := newBench(t)
	var ahead atomic.Int64
	b.clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	j := b.file(1, "system@1.journal").entry("MESSAGE=a").entry("MESSAGE=b")
	j.w.Archive()
	clear(j.w.Bytes()[strings.Index(string(j.w.Bytes()), "MESSAGE=a")-64:][:72])
	j.write()
	if err := os.WriteFile(filepath.Join(b.disk, "user-1.journal"), make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(b.disk, "user-1.journal"), old, old); err != nil {
		t.Fatal(err)
	}
	failing := func() bool { return b.source.LogTails()[0].Error != "" }
	b.start()
	b.wait("b")
	b.until("the damage is shown", func() bool { return len(b.source.LogTails()) == 1 && failing() })
	ahead.Store(int64(errorStays + time.Minute))
	b.file(2, "system.journal").log("c")
	b.wait("b", "c")
	if !failing() {
		t.Error("a file that can't be read is no longer shown")
	}
	if err := os.Remove(filepath.Join(b.disk, "user-1.journal")); err != nil {
		t.Fatal(err)
	}
	b.until("nothing is shown any more", func() bool { return !failing() })
}

func TestAFileThatIsBeingWrittenMayBeInconsistentForAMoment(t *testing.T) {
	b := newBench(t)
	b.patience = time.Hour
	b.file(1, "system.journal").log("a")
	b.start()
	b.wait("a")
	j := b.file(2, "user-1.journal").entry("MESSAGE=b").entry("MESSAGE=c")
	whole := string(j.w.Bytes())
	torn := []byte(whole)
	at := strings.Index(whole, "MESSAGE=c")
	clear(torn[at-64:])
	write := func(data []byte) {
		t.Helper()
		f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		if _, err := f.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	write(torn)
	b.wait("a", "b")
	write([]byte(whole))
	b.wait("a", "b", "c")
	if n := logstest.ValueOf(b.source.metrics.lostEntries); n != 0 {
		t.Errorf("%v entries count as lost", n)
	}
}

func TestWhatJournaldCopiesFromMemoryToDiskIsReadOnce(t *testing.T) {
	b := newBench(t)
	b.memory = t.TempDir()
	boot := func(id, seqnum byte) journaltest.Options {
		return journaltest.Options{FileID: id, MachineID: 2, BootID: 3, SeqnumID: seqnum}
	}
	old := b.fileWith(boot(1, 4), machine, "system.journal").log("before")
	volatile := b.fileWith(boot(2, 5), b.memory, machine, "system.journal")
	from := b.now
	volatile.log("m1", "m2", "m3")
	b.start()
	b.wait("before", "m1", "m2", "m3")
	b.end() // as killed
	volatile.log("m4")
	b.start()
	b.wait("before", "m1", "m2", "m3", "m4")
	// journald copies all, and removes what it has copied.
	now := b.now
	b.now = from
	old.entry("MESSAGE=m1").entry("MESSAGE=m2").entry("MESSAGE=m3").entry("MESSAGE=m4")
	b.now = now
	old.entry("MESSAGE=after").write()
	if err := os.RemoveAll(filepath.Join(b.memory, machine)); err != nil {
		t.Fatal(err)
	}
	b.wait("before", "m1", "m2", "m3", "m4", "after")
	if n := logstest.ValueOf(b.source.metrics.copies); n != 4 {
		t.Errorf("%v copies are counted, want 4", n)
	}
}

func TestCopiesAreKnownAfterARestart(t *testing.T) {
	b := newBench(t)
	b.memory = t.TempDir()
	boot := func(id, seqnum byte) journaltest.Options {
		return journaltest.Options{FileID: id, MachineID: 2, BootID: 3, SeqnumID: seqnum}
	}
	old := b.fileWith(boot(1, 4), machine, "system.journal").log("before")
	volatile := b.fileWith(boot(2, 5), b.memory, machine, "system.journal")
	from := b.now
	volatile.log("m1", "m2")
	b.start()
	b.wait("before", "m1", "m2")
	b.end()
	if err := os.RemoveAll(filepath.Join(b.memory, machine)); err != nil {
		t.Fatal(err)
	}
	b.now = from
	old.log("m1", "m2", "m3, which was not read from memory")
	b.start()
	b.wait("before", "m1", "m2", "m3, which was not read from memory")
}

func TestManyCopiesOfAFileAreReadOnce(t *testing.T) {
	b := newBench(t)
	j := b.file(1, "system.journal").log("a")
	if err := os.MkdirAll(filepath.Join(b.disk, machine), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.disk, machine, "backup.journal"), j.w.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.wait("a")
	j.log("b")
	b.wait("a", "b")
}

// The position of a file in memory is kept for copies of it that come late, but not as
// long as the program runs.
func TestThePositionOfARemovedFileInMemoryIsForgottenInTheEnd(t *testing.T) {
	b := newBench(t)
	b.memory = t.TempDir()
	var passed atomic.Int64
	b.clock = func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
	options := func(id, seqnum byte) journaltest.Options {
		return journaltest.Options{FileID: id, MachineID: 2, BootID: 3, SeqnumID: seqnum}
	}
	disk := b.fileWith(options(1, 4), machine, "system.journal").log("before")
	b.now -= uint64((48 * time.Hour).Microseconds())
	b.change = func(c *Config) { c.MaxAge = 100 * time.Hour }
	b.fileWith(options(2, 5), b.memory, machine, "system.journal").log("in memory")
	b.now += uint64((48 * time.Hour).Microseconds())
	b.start()
	b.wait("in memory", "before")
	kept := func() bool {
		text, err := os.ReadFile(filepath.Join(b.storage, "positions"))
		return err != nil || !strings.Contains(string(text), `"file `+strings.Repeat("02", 16)+`" -`)
	}
	if err := os.RemoveAll(filepath.Join(b.memory, machine)); err != nil {
		t.Fatal(err)
	}
	b.until("the file is closed", func() bool { return b.source.files() == 1 })
	disk.log("its removal is seen")
	b.wait("in memory", "before", "its removal is seen")
	passed.Store(int64(keepVolatile - time.Minute))
	disk.log("almost a day later")
	b.wait("in memory", "before", "its removal is seen", "almost a day later")
	if !kept() {
		t.Error("the position is forgotten too early")
	}
	passed.Store(int64(keepVolatile + time.Minute))
	lines := []string{"in memory", "before", "its removal is seen", "almost a day later"}
	for i := 0; i < 3 && kept(); i++ { // it is stored with the next entries
		lines = append(lines, fmt.Sprint("later ", i))
		disk.log(lines[len(lines)-1])
		b.wait(lines...)
	}
	b.until("the position is forgotten", func() bool { return !kept() })
}
