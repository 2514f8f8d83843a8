package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"collector/pkg/logs/logstest"
)

// writer is a program that has a file open to write to it.
type writer struct {
	b *bench
	f *os.File
}

func (b *bench) writer(name string) *writer {
	b.t.Helper()
	f, err := os.OpenFile(b.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = f.Close() })
	return &writer{b, f}
}

func (w *writer) write(text string) {
	w.b.t.Helper()
	if _, err := w.f.WriteString(text); err != nil {
		w.b.t.Fatal(err)
	}
}

func (b *bench) remove(name string) {
	b.t.Helper()
	if err := os.Remove(b.path(name)); err != nil {
		b.t.Fatal(err)
	}
}

// reading is how many files of the folder this process has open for reading.
func (b *bench) reading() (n int) {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, fd := range open {
		path, _ := os.Readlink("/proc/self/fd/" + fd.Name())
		info, _ := os.ReadFile("/proc/self/fdinfo/" + fd.Name())
		var flags string
		for line := range strings.Lines(string(info)) {
			if rest, ok := strings.CutPrefix(line, "flags:"); ok {
				flags = strings.TrimSpace(rest)
			}
		}
		if strings.HasPrefix(path, b.logs+"/") && strings.HasSuffix(flags, "0") { // O_RDONLY
			n++
		}
	}
	return n
}

// missing waits until a file has been found to be missing.
func (b *bench) missing(name string) {
	b.t.Helper()
	b.until(name+" is missing", func() bool {
		for _, tail := range b.source.Tails() {
			if tail.Path == b.path(name) {
				return tail.State == stateMissing
			}
		}
		return false
	})
}

func (b *bench) abandoned() float64 { return logstest.ValueOf(b.source.metrics.abandoned) }

func unknown(*os.File) writers { return unknownWriters }

func TestTheKernelReportsWhetherAFileIsWritten(t *testing.T) {
	b := newBench(t)
	w := b.writer("a.log")
	f, err := os.Open(b.path("a.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	b.remove("a.log")
	if got := writersOf(f); got != someWriters {
		t.Errorf("while a program has it open: %v", got)
	}
	_ = w.f.Close()
	if got := writersOf(f); got != noWriters {
		t.Errorf("when it has closed it: %v", got)
	}
	// It holds no lease, which would delay the next writer.
	again, err := os.OpenFile("/proc/self/fd/"+fdOf(f), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}

func fdOf(f *os.File) string {
	open, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range open {
		if path, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(path, f.Name()) {
			return fd.Name()
		}
	}
	return ""
}

func TestARemovedFileIsReadWhileAProgramWritesToIt(t *testing.T) {
	b := newBench(t)
	w := b.writer("a.log")
	w.write("1\n")
	b.target("a.log")
	b.start()
	b.wait("1")
	b.remove("a.log")
	b.missing("a.log")
	w.write("2\nunfin")
	b.wait("1", "2")
	w.write("ished\nlast")
	b.wait("1", "2", "unfinished")
	_ = w.f.Close()
	b.wait("1", "2", "unfinished", "last")
	b.until("it is closed", func() bool { return b.reading() == 0 })
	if n := b.abandoned(); n != 0 {
		t.Errorf("%v files are counted as abandoned", n)
	}
}

// logrotate does so with "nocreate".
func TestARenamedFileIsReadUntilItsProgramReopensIt(t *testing.T) {
	b := newBench(t)
	w := b.writer("a.log")
	w.write("1\n")
	b.target("a.log")
	b.start()
	b.wait("1")
	b.rename("a.log", "a.log.1")
	b.missing("a.log")
	w.write("2\n")
	b.wait("1", "2")
	_ = w.f.Close()
	w = b.writer("a.log")
	w.write("3\n")
	b.wait("1", "2", "3")
	b.until("the old one is closed", func() bool { return b.reading() == 1 })
}

// Programs that are not told to reopen their log keep writing to it, and logrotate's
// "delaycompress" is for those that reopen it late.
func TestAReplacedFileIsReadWhileAProgramWritesToIt(t *testing.T) {
	b := newBench(t)
	w := b.writer("a.log")
	w.write("1\n")
	b.target("a.log")
	b.start()
	b.wait("1")
	b.rename("a.log", "a.log.1")
	b.write("a.log", "new\n")
	b.wait("1", "new")
	w.write("2\n")
	b.wait("1", "new", "2")
	_ = w.f.Close()
	b.until("it is closed", func() bool { return b.reading() == 1 })
}

func TestAFileThatLeavesTheTargetsWithItsNameIsReadWhileAProgramWritesToIt(t *testing.T) {
	b := newBench(t)
	w := b.writer("a.log")
	w.write("1\n")
	b.target("a.log")
	b.start()
	b.wait("1")
	b.remove("a.log")
	b.missing("a.log")
	b.target()
	b.until("the target has left", func() bool {
		b.source.mu.Lock()
		defer b.source.mu.Unlock()
		for _, t := range b.source.tails {
			return t.left && !t.queued
		}
		return true
	})
	w.write("2\n")
	b.wait("1", "2")
	_ = w.f.Close()
	b.until("it is closed", func() bool { return b.reading() == 0 && len(b.source.Tails()) == 0 })
}

func TestAFileThatIsRenamedBackIsNotReadAgain(t *testing.T) {
	b := newBench(t)
	w := b.writer("a.log")
	w.write("1\n")
	b.target("a.log")
	b.start()
	b.wait("1")
	b.rename("a.log", "elsewhere")
	b.missing("a.log")
	b.rename("elsewhere", "a.log")
	w.write("2\n")
	b.wait("1", "2")
	b.until("it is the file of its name", func() bool { return b.source.Tails()[0].State == stateReading })
}

func TestWithoutTheKernelsHelpAReplacedFileIsClosedAndCounted(t *testing.T) {
	b := newBench(t)
	b.writers = unknown
	b.write("a.log", "1\n")
	b.target("a.log")
	b.start()
	b.wait("1")
	b.rename("a.log", "a.log.1")
	b.write("a.log", "2\n")
	b.wait("1", "2")
	b.until("it is closed and counted", func() bool { return b.reading() == 1 && b.abandoned() == 1 })
}

func TestWithoutTheKernelsHelpAFileThatNothingReplacesIsKept(t *testing.T) {
	b := newBench(t)
	b.writers = unknown
	w := b.writer("a.log")
	w.write("1\n")
	b.target("a.log")
	b.start()
	b.wait("1")
	b.rename("a.log", "a.log.1")
	b.missing("a.log")
	w.write("2\n")
	b.wait("1", "2")
	if n := b.abandoned(); n != 0 {
		t.Errorf("%v files are counted as abandoned", n)
	}
}

func TestFilesThatAreKeptOpenAreBounded(t *testing.T) {
	b := newBench(t)
	b.patience.files = 2
	var names []string
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		w := b.writer(name + ".log")
		w.write(name + "\n")
		names = append(names, filepath.Base(w.f.Name()))
	}
	b.target(names...)
	b.start()
	b.until("all are read", func() bool { return len(b.sink.Lines()) == len(names) })
	for _, name := range names {
		b.remove(name)
	}
	b.until("some are closed and counted", func() bool { return b.reading() == 2 && b.abandoned() == 3 })
}

func TestAKeptFileThatIsMissingAfterARestartIsCounted(t *testing.T) {
	b := newBench(t)
	w := b.writer("a.log")
	w.write("1\n")
	b.target("a.log")
	b.start()
	b.wait("1")
	b.rename("a.log", "a.log.1")
	b.write("a.log", "2\n")
	b.wait("1", "2")
	b.stored("a.log", 2)
	b.end()
	w.write("lost\n")
	b.remove("a.log.1")
	b.start()
	b.append("a.log", "3\n")
	b.wait("1", "2", "3")
	if n := logstest.ValueOf(b.source.metrics.lostFiles); n != 1 {
		t.Errorf("%v lost files are counted, want 1", n)
	}
}
