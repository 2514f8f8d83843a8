package journal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/logs/logstest"
	"collector/pkg/logs/source/journal/journaltest"
	"collector/pkg/logs/source/positions"
	"collector/pkg/pipeline"
)

const (
	machine = "02020202020202020202020202020202"
	other   = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"
)

// bench is a source that runs, with folders of journal files.
type bench struct {
	t       *testing.T
	disk    string
	memory  string // "": there is none
	storage string
	left    positions.Left
	sink    *logstest.Sink
	change  func(*Config)
	now     uint64 // µs; of the first entry

	patience time.Duration
	clock    func() time.Time // nil: the machine's

	source *Source
	stop   func()
}

func newBench(t *testing.T) *bench {
	b := &bench{
		t: t, disk: t.TempDir(), storage: filepath.Join(t.TempDir(), "component"), sink: new(logstest.Sink),
		change: func(*Config) {}, now: uint64(time.Now().Add(-time.Minute).UnixMicro()),
		patience: 10 * time.Millisecond,
	}
	t.Cleanup(func() { b.end() })
	return b
}

// newSource makes the source; in the place of the machine's folders come those of
// the bench.
func (b *bench) newSource() *Source {
	b.t.Helper()
	var c Config
	c.SetToDefault()
	c.ForwardTo = []pipeline.LogsSink{b.sink}
	if b.memory == "" {
		c.Path = b.disk
	}
	b.change(&c)
	s, err := New(c, component.Options{ID: "loki.source.journal.test", Dir: b.storage, Left: b.left})
	if err != nil {
		b.t.Fatal(err)
	}
	if b.memory != "" {
		s.roots = []root{{path: b.disk, local: true}, {path: b.memory, local: true, volatile: true}}
		s.machine = machine
	}
	s.patience = b.patience
	if b.clock != nil {
		s.now = b.clock
	}
	return s
}

func (b *bench) start() {
	b.t.Helper()
	b.source = b.newSource()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s := b.source
	go func() { done <- s.Run(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("Run: %v", err)
		}
	}
}

func (b *bench) end() {
	if b.stop != nil {
		b.stop()
		b.stop = nil
	}
}

// journal is a journal file in a folder.
type journal struct {
	b    *bench
	w    *journaltest.Writer
	path string
}

// file makes a journal file with an identifier.
func (b *bench) file(id byte, elements ...string) *journal {
	return b.fileWith(journaltest.Options{FileID: id, MachineID: 2, BootID: 3, SeqnumID: 4, Compression: "zstd"}, elements...)
}

func (b *bench) fileWith(o journaltest.Options, elements ...string) *journal {
	b.t.Helper()
	path := filepath.Join(append([]string{b.disk}, elements...)...)
	if filepath.IsAbs(elements[0]) {
		path = filepath.Join(elements...)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	return &journal{b: b, w: journaltest.NewWriter(o), path: path}
}

// log writes entries with these messages, a millisecond apart over all files.
func (j *journal) log(messages ...string) *journal {
	j.b.t.Helper()
	for _, m := range messages {
		j.entry("MESSAGE=" + m)
	}
	return j.write()
}

// entry adds an entry that write makes visible.
func (j *journal) entry(fields ...string) *journal {
	j.b.now += 1000
	j.w.Append(j.b.now, j.b.now-1e15, fields...)
	return j
}

// at adds an entry of a time.
func (j *journal) at(when time.Time, fields ...string) *journal {
	j.w.Append(uint64(when.UnixMicro()), uint64(when.UnixMicro()-1e15), fields...)
	return j
}

func (j *journal) write() *journal {
	j.b.t.Helper()
	if err := j.w.Write(j.path); err != nil {
		j.b.t.Fatal(err)
	}
	return j
}

// archive renames the file as a rotation does.
func (j *journal) archive(name string) *journal {
	j.b.t.Helper()
	to := filepath.Join(filepath.Dir(j.path), name)
	if err := os.Rename(j.path, to); err != nil {
		j.b.t.Fatal(err)
	}
	j.path = to
	j.w.Archive()
	return j.write()
}

// vacuum removes the file and its contents.
func (j *journal) vacuum() {
	j.b.t.Helper()
	f, err := os.OpenFile(j.path, os.O_WRONLY, 0)
	if err != nil {
		j.b.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	size := int64(len(j.w.Bytes()))
	if err := os.Remove(j.path); err != nil {
		j.b.t.Fatal(err)
	}
	if err := f.Truncate(0); err != nil {
		j.b.t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		j.b.t.Fatal(err)
	}
}

// wait waits until the sink has as many lines as wanted, and compares them.
func (b *bench) wait(want ...string) {
	b.t.Helper()
	b.sink.Wait(b.t, want, b.state)
}

func (b *bench) until(what string, ok func() bool) {
	b.t.Helper()
	logstest.Until(b.t, what, ok, time.Minute, b.state)
}

func (b *bench) state() string {
	return fmt.Sprintf("lines: %.500q; tails: %+v", b.sink.Lines(), b.source.Folders())
}
