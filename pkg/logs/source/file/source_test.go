package file

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/clock/clocktest"
	"collector/pkg/discovery"
	"collector/pkg/logs/logstest"
	"collector/pkg/pipeline"
)

func TestLinesAreReadAsTheyAreWritten(t *testing.T) {
	b := newBench(t)
	b.write("a.log", "one\ntwo\r\n\nunfinished")
	b.target("a.log")
	b.start()
	b.wait("one", "two", "")
	b.append("a.log", " line\nlast\n")
	b.wait("one", "two", "", "unfinished line", "last")
	if got, want := b.sink.All()[0].Labels, fmt.Sprintf(`{filename=%q, job="test"}`, b.path("a.log")); got != want {
		t.Errorf("labels %s, want %s", got, want)
	}
	for i, e := range b.sink.All()[1:] {
		if !e.Time.After(b.sink.All()[i].Time) {
			t.Errorf("line %d is not newer than the one before", i+1)
		}
	}
}

func TestEntriesFollowAClockThatIsSetBack(t *testing.T) {
	b := newBench(t)
	machine := new(clocktest.Clock)
	b.now = machine.Now
	b.write("a.log", "1\n2\n")
	b.target("a.log")
	b.start()
	b.wait("1", "2")
	machine.Set(-time.Hour)
	b.append("a.log", "3\n4\n")
	b.wait("1", "2", "3", "4")
	all := b.sink.All()
	if ahead := all[2].Time.Sub(machine.Now().Round(0)); ahead > 0 {
		t.Errorf("after the step, an entry has a time %s ahead", ahead)
	}
	if !all[3].Time.After(all[2].Time) {
		t.Error("the next entry is not newer than the one before")
	}
}

func TestReadingGoesOnWhereItStopped(t *testing.T) {
	b := newBench(t)
	b.write("a.log", "one\n")
	b.target("a.log")
	b.start()
	b.wait("one")
	b.stored("a.log", 4)
	b.end()
	b.append("a.log", "two\n")
	b.start()
	b.wait("one", "two")
}

func TestARenamedFileIsReadToItsEnd(t *testing.T) {
	b := newBench(t)
	b.patience.unwritten = time.Hour
	b.write("a.log", "1\n")
	b.target("a.log")
	b.start()
	b.wait("1")
	writer, err := os.OpenFile(b.path("a.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writer.Close() }()
	b.rename("a.log", "a.log.1")
	b.write("a.log", "3\n")
	b.wait("1", "3")
	if _, err := writer.WriteString("2\n"); err != nil { // it does not know yet
		t.Fatal(err)
	}
	b.wait("1", "3", "2")
	b.append("a.log", "4\n")
	b.wait("1", "3", "2", "4")
}

func TestWhatWasRotatedAwayWhileNobodyReadIsReadFirst(t *testing.T) {
	b := newBench(t)
	b.write("a.log", "1\n")
	b.target("a.log")
	b.start()
	b.wait("1")
	b.stored("a.log", 2)
	b.end()
	b.append("a.log", "2\n")
	b.rename("a.log", "a.log.1")
	b.write("a.log", "3\n")
	b.start()
	b.wait("1", "2", "3")
}

func TestWhatWasCopiedBeforeTruncationWhileNobodyReadIsReadFirst(t *testing.T) {
	b := newBench(t)
	b.write("a.log", "1\n")
	b.target("a.log")
	b.start()
	b.wait("1")
	b.stored("a.log", 2)
	b.end()
	b.append("a.log", "2\n")
	b.write("a.log.1", "1\n2\n")
	b.write("a.log", "3 after the truncation\n") // truncates, and keeps the inode
	b.start()
	b.wait("1", "2", "3 after the truncation")
}

func TestATruncatedFileIsReadFromItsBeginning(t *testing.T) {
	b := newBench(t)
	b.write("a.log", "first\nsecond\n")
	b.target("a.log")
	b.start()
	b.wait("first", "second")
	b.write("a.log", "3\n")
	b.wait("first", "second", "3")
	b.write("a.log", "longer than what was there before\n") // no look saw it shorter
	b.wait("first", "second", "3", "longer than what was there before")
}

func TestARemovedFileMayComeBack(t *testing.T) {
	b := newBench(t)
	b.write("a.log", "1\nunfinished")
	b.target("a.log")
	b.start()
	b.wait("1")
	if err := os.Remove(b.path("a.log")); err != nil {
		t.Fatal(err)
	}
	b.wait("1", "unfinished")
	b.write("a.log", "1\n")
	b.wait("1", "unfinished", "1")
}

func TestAFileThatAppearsLaterIsRead(t *testing.T) {
	b := newBench(t)
	b.target("sub/a.log")
	b.start()
	if err := os.Mkdir(b.path("sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.write("sub/a.log", "1\n")
	b.wait("1")
}

func TestALinkIsFollowedToWhereItLeads(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	target := filepath.Join(dir, "real-json.log")
	if err := os.WriteFile(target, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, b.path("a.log")); err != nil {
		t.Fatal(err)
	}
	b.target("a.log")
	b.start()
	b.wait("1")
	f, err := os.OpenFile(target, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteString("2\n"); err != nil {
		t.Fatal(err)
	}
	b.wait("1", "2")
}

func TestARenamedFileThatIsATargetTooIsNotReadAgain(t *testing.T) {
	b := newBench(t)
	b.patience.unwritten = time.Hour
	b.write("a.log", "1\n2\n")
	b.target("a.log")
	b.start()
	b.wait("1", "2")
	b.rename("a.log", "a.log.1")
	b.write("a.log", "3\n")
	b.target("a.log", "a.log.1")
	b.wait("1", "2", "3")
	b.append("a.log.1", "4\n")
	b.wait("1", "2", "3", "4")
	b.end()
	b.start()
	b.append("a.log", "5\n")
	b.wait("1", "2", "3", "4", "5")
}

func TestAFileThatBecomesATargetAfterItsRotationIsNotReadAgain(t *testing.T) {
	b := newBench(t)
	b.write("a.log", "1\n")
	b.target("a.log")
	b.start()
	b.wait("1")
	b.rename("a.log", "a.log.1")
	b.write("a.log", "2\n")
	b.wait("1", "2")
	b.until("the old file is closed", func() bool {
		v, _ := b.source.store.Get(keyOf(b.path("a.log"), `{job="test"}`))
		marks, err := decodeMarks(v)
		return err == nil && len(marks) == 2 && marks[0].Done
	})
	b.target("a.log", "a.log.1")
	b.append("a.log.1", "3\n")
	b.wait("1", "2", "3")
	b.end()
	b.rename("a.log.1", "a.log.2")
	b.target("a.log", "a.log.2")
	b.start()
	b.append("a.log.2", "4\n")
	b.wait("1", "2", "3", "4")
}

func TestChangedLabelsReadNothingAgain(t *testing.T) {
	b := newBench(t)
	b.write("a.log", "1\n")
	b.target("a.log")
	b.start()
	b.wait("1")
	b.stored("a.log", 2)
	b.end()
	b.append("a.log", "2\n")
	b.targets.Replace([]discovery.Target{labels.FromStrings("__path__", b.path("a.log"), "job", "other")})
	b.start()
	b.wait("1", "2")
}

func TestPositionsOfAlloyAndPromtailAreTakenOver(t *testing.T) {
	f := func(name, content string, legacy bool) {
		t.Helper()
		b := newBench(t)
		b.write("a.log", "1\n2\n3\n")
		content = strings.ReplaceAll(content, "PATH", b.path("a.log"))
		if legacy {
			b.write("positions.yaml", content)
			b.change = func(c *Config) { c.LegacyPositionsFile = b.path("positions.yaml") }
		} else {
			if err := os.MkdirAll(b.storage, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(b.storage, alloyFile), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b.target("a.log")
		b.start()
		b.wait("2", "3")
		b.stored("a.log", 6)
		b.end()
		// They are read once.
		b.append("a.log", "4\n")
		b.start()
		b.wait("2", "3", "4")
	}
	f("Alloy", "positions:\n  ? path: PATH\n    labels: '{job=\"test\"}'\n  : \"2\"\n", false)
	f("Promtail", "positions:\n  PATH: \"2\"\n", true)
}

func TestAPositionMovesOnlyWhenTheSinkHasAcceptedTheLines(t *testing.T) {
	b := newBench(t)
	b.sink.Fail = func(int) error { return pipeline.ErrFull }
	b.write("a.log", "1\n")
	b.target("a.log")
	b.start()
	b.until("the sink was asked twice", func() bool { return b.sink.Calls() >= 2 })
	b.end()
	b.sink.Set(func() { b.sink.Fail = nil })
	b.start()
	b.wait("1")
}

func TestARejectedBatchIsCountedAndTheNextIsSent(t *testing.T) {
	b := newBench(t)
	b.sink.Fail = func(call int) error {
		if call == 1 {
			return pipeline.Permanent(errors.New("no"))
		}
		return nil
	}
	b.write("a.log", "1\n")
	b.target("a.log")
	b.start()
	b.stored("a.log", 2)
	b.append("a.log", "2\n")
	b.wait("2")
	if n := logstest.ValueOf(b.source.metrics.rejected); n != 1 {
		t.Errorf("%v rejected lines are counted, want 1", n)
	}
}

func TestAFileThatCannotBeReadAffectsNoOther(t *testing.T) {
	b := newBench(t)
	b.write("ok.log", "fine\n")
	if err := os.Mkdir(b.path("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(b.path("loop"), b.path("loop")); err != nil {
		t.Fatal(err)
	}
	b.target("folder", "loop", "none.log", "ok.log")
	b.start()
	b.wait("fine")
	states := make(map[string]TailStatus)
	for _, s := range b.source.Tails() {
		states[filepath.Base(s.Path)] = s
	}
	for name, want := range map[string]string{"folder": stateFailed, "loop": stateFailed, "none.log": stateMissing, "ok.log": stateReading} {
		if got := states[name]; got.State != want || (want == stateFailed) != (got.LastError != "") {
			t.Errorf("%s: %+v, want %s", name, got, want)
		}
	}
}

func TestLongLinesAreWholeOrCutAndMarked(t *testing.T) {
	b := newBench(t)
	b.change = func(c *Config) { c.MaxLineSize = 1 << 20 }
	whole, long := strings.Repeat("w", 1<<20), strings.Repeat("l", 5<<20)
	b.write("a.log", whole+"\n"+long)
	b.target("a.log")
	b.start()
	b.wait(whole)
	b.append("a.log", "\nshort\n")
	marker := "… [cut by collector: 5242880 bytes]"
	b.wait(whole, long[:1<<20-len(marker)]+marker, "short")
}

func TestALineOfFiveMegabytesIsWhole(t *testing.T) {
	b := newBench(t)
	long := strings.Repeat("l", 5<<20)
	b.write("a.log", "before\n"+long+"\nafter\n")
	b.target("a.log")
	b.start()
	b.wait("before", long, "after")
}

func TestNullsThatACrashLeftAreNotSent(t *testing.T) {
	b := newBench(t)
	b.write("a.log", "before\n"+strings.Repeat("\x00", 300<<10)+"after\nshort\x00\x00\n")
	b.target("a.log")
	b.start()
	b.wait("before", "after", "short\x00\x00")
}

func TestRoomThatAWriterHasMadeIsNotSkipped(t *testing.T) {
	b := newBench(t)
	b.write("a.log", "1\n"+strings.Repeat("\x00", 300<<10))
	b.target("a.log")
	b.start()
	b.wait("1")
	f, err := os.OpenFile(b.path("a.log"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteAt([]byte("2\n"), 2); err != nil {
		t.Fatal(err)
	}
	b.wait("1", "2")
}

func TestTailFromEndBeginsAfterTheLastLineEnd(t *testing.T) {
	b := newBench(t)
	b.change = func(c *Config) { c.TailFromEnd = true }
	b.write("a.log", strings.Repeat("old\n", 3000)+"unfinished")
	b.target("a.log")
	b.start()
	b.stored("a.log", 12000)
	b.append("a.log", " line\n")
	b.wait("unfinished line")
}

func TestCompressedFilesAreReadOnce(t *testing.T) {
	b := newBench(t)
	b.change = func(c *Config) { c.Decompression = &Decompression{Enabled: true, Format: "gz"} }
	zipped := func(text string) string {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, _ = w.Write([]byte(text))
		_ = w.Close()
		return out.String()
	}
	b.write("a.1.gz", zipped("1\r\n2\nlast"))
	b.write("broken.gz", zipped(strings.Repeat("never\n", 10))[:15])
	b.target("a.1.gz", "broken.gz")
	b.start()
	b.wait("1", "2", "last")
	b.until("the broken one is shown", func() bool { all := b.source.Tails(); return len(all) > 1 && all[1].State == stateFailed })
	b.end()
	b.rename("a.1.gz", "a.2.gz")
	b.write("a.1.gz", zipped("3\n"))
	b.target("a.1.gz", "a.2.gz", "broken.gz")
	b.start()
	b.until("all are looked at", func() bool {
		all := b.source.Tails()
		return len(all) > 1 && all[0].State == stateDone && all[1].State == stateDone
	})
	b.wait("1", "2", "last", "3")
}

func TestADamagedPositionsFileIsHandledAsConfigured(t *testing.T) {
	f := func(action string, want ...string) {
		t.Helper()
		b := newBench(t)
		b.write("a.log", "1\n")
		b.target("a.log")
		b.start()
		b.wait("1")
		b.stored("a.log", 2)
		b.end()
		for _, name := range []string{"positions", "positions.previous"} {
			if err := os.WriteFile(filepath.Join(b.storage, name), []byte("damage\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b.change = func(c *Config) { c.OnPositionsFileError = action }
		b.start()
		b.until("the file is looked at", func() bool { return len(b.source.Tails()) > 0 && b.source.Tails()[0].State != stateWaiting })
		b.append("a.log", "2\n")
		b.wait(want...)
	}
	f(onErrorBeginning, "1", "1", "2")
	f(onErrorEnd, "1", "2")
	f(onErrorSkip, "1")
}

func TestLinesAreReadWhilePositionsCannotBeStored(t *testing.T) {
	b := newBench(t)
	if err := os.WriteFile(filepath.Dir(b.storage)+"/component", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.storage = filepath.Join(b.storage, "below-a-file")
	b.write("a.log", "1\n")
	b.target("a.log")
	b.start()
	b.wait("1")
	if logstest.ValueOf(b.source.metrics.failed) == 0 {
		t.Error("it is not counted")
	}
}

func TestManyFilesShareTheReader(t *testing.T) {
	b := newBench(t)
	var names []string
	for i := range 300 {
		name := fmt.Sprintf("%d.log", i)
		b.write(name, strings.Repeat("x\n", 10))
		names = append(names, name)
	}
	b.write("big.log", strings.Repeat("big\n", 200_000))
	b.target(append([]string{"big.log"}, names...)...)
	b.start()
	small := 0
	b.until("the small files are read while the big one is", func() bool {
		all := b.sink.Lines()
		small = 0
		for _, l := range all {
			if l == "x" {
				small++
			}
		}
		return small == 3000
	})
	b.until("all is read", func() bool { return len(b.sink.Lines()) == 203_000 })
	big := 0
	for _, l := range b.sink.Lines() {
		if l == "x" {
			small--
		}
		if small == 0 {
			break
		}
		if l == "big" {
			big++
		}
	}
	if big > 100_000 {
		t.Errorf("%d lines of the big file came before the last of the small ones", big)
	}
}
