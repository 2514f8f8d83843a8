package file

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/logs/logstest"
	"collector/pkg/logs/source/lines"
	"collector/pkg/logs/source/positions"
	"collector/pkg/pipeline"
)

// TestCrashChild is the process that TestKillsLoseNothing kills.
func TestCrashChild(t *testing.T) {
	log, dir := os.Getenv("FILE_CRASH_LOG"), os.Getenv("FILE_CRASH_DIR")
	if log == "" {
		t.Skip("runs only as the child of another test")
	}
	var c Config
	c.SetToDefault()
	c.Targets = discovery.NewSet(labels.FromStrings("__path__", log))
	c.ForwardTo = []pipeline.LogsSink{logstest.OpenFile(t, dir+"/out")}
	s, err := New(c, component.Options{Dir: dir + "/component"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestKillsLoseNothing(t *testing.T) {
	const kills = 6
	b := newBench(t)
	out := b.path("out")
	written := 0
	burst := func(n int) {
		b.append("a.log", logstest.Text(logstest.Numbered(written, written+n)))
		written += n
	}
	got := func() []string { return logstest.FileLines(t, out) }
	for kill := range kills + 1 {
		stop := logstest.StartChild(t, []string{"-test.run=^TestCrashChild$"}, "FILE_CRASH_LOG="+b.path("a.log"), "FILE_CRASH_DIR="+b.logs)
		burst(5000)
		if kill%2 == 1 { // rotated while it runs, and perhaps before it has read the rest
			b.rename("a.log", "a.log."+strconv.Itoa(kill))
		}
		burst(5000)
		last, before := "line "+strconv.Itoa(written-1), len(got())
		b.until("lines come", func() bool {
			lines := got()
			return kill < kills && len(lines) > before || len(lines) > 0 && lines[len(lines)-1] == last
		})
		stop()
	}
	// A kill may repeat a batch, to which one chunk may be added when it is nearly full.
	logstest.WantNumbered(t, got(), written, kills*(lines.BatchLines+chunkSize/len("line 10000\n")))
}

// TestAnOpenedFileDoesNotVouchForUndeliveredLines rotates a file between two looks
// at it, before the lines that were read of it are delivered.
func TestAnOpenedFileDoesNotVouchForUndeliveredLines(t *testing.T) {
	b := newBench(t)
	b.append("a.log", "one\n")
	var c Config
	c.SetToDefault()
	c.Targets, c.ForwardTo = discovery.NewSet(labels.FromStrings("__path__", b.path("a.log"))), []pipeline.LogsSink{b.sink}
	s, err := New(c, component.Options{Dir: b.storage}.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	store, err := positions.Open(b.storage, positions.Options{Logger: s.opts.Logger, Damaged: s.metrics.damaged, Failed: s.metrics.failed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	s.store, s.watch = store, newWatcher(s.opts.Logger, s.changed)
	r := newReader(s, store)
	t.Cleanup(r.close)
	targets, _ := c.Targets.Targets()
	s.setTargets(targets)
	look := s.next()
	serve := func(want string) {
		t.Helper()
		if err := r.serve(t.Context(), look); err != nil {
			t.Fatal(err)
		}
		value, _ := store.Get(look.key)
		marks, err := decodeMarks(value)
		got := ""
		for _, m := range marks {
			got += fmt.Sprint(m.Offset, " ")
		}
		if err != nil || got != want {
			t.Errorf("the stored offsets are %q, %v, want %q", got, err, want)
		}
	}
	serve("0 ")
	b.rename("a.log", "a.log.1")
	b.append("a.log", "two\n")
	serve("0 0 ")
	if err := r.deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	serve("4 4 ")
}
