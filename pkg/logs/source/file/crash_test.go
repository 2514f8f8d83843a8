package file

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

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

// stampedSink writes entries to a file with their times and labels, and kills the
// process right after so many calls have been accepted; 0: never.
type stampedSink struct {
	to    logstest.File
	calls int
}

func (s *stampedSink) WriteLogs(ctx context.Context, logs pipeline.Logs) error {
	var stamped pipeline.Stream
	for _, stream := range logs.Streams {
		for _, e := range stream.Entries {
			stamped.Entries = append(stamped.Entries, pipeline.Entry{Line: fmt.Sprintf("%s\t%d\t%s", e.Line, e.Time.UnixNano(), stream.Labels)})
		}
	}
	err := s.to.WriteLogs(ctx, pipeline.Logs{Streams: []pipeline.Stream{stamped}})
	if s.calls--; s.calls == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return err
}

// TestExactCrashChild is the process that kills itself between two writes: that of the
// lines, and that of their position.
func TestExactCrashChild(t *testing.T) {
	dir := os.Getenv("FILE_EXACT_DIR")
	if dir == "" {
		t.Skip("runs only as the child of another test")
	}
	calls, err := strconv.Atoi(os.Getenv("FILE_EXACT_CALLS"))
	if err != nil {
		t.Fatal(err)
	}
	var c Config
	c.SetToDefault()
	var targets []discovery.Target
	for _, name := range strings.Fields(os.Getenv("FILE_EXACT_LOGS")) {
		targets = append(targets, labels.FromStrings("__path__", filepath.Join(dir, name)))
		if strings.HasSuffix(name, ".gz") {
			c.Decompression = &Decompression{Enabled: true, Format: "gz"}
		}
	}
	c.Targets = discovery.NewSet(targets...)
	c.ForwardTo = []pipeline.LogsSink{&stampedSink{logstest.OpenFile(t, filepath.Join(dir, "out")), calls}}
	s, err := New(c, component.Options{Dir: filepath.Join(dir, "component")})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// killedAfter runs the child until it has killed itself after so many calls.
func (b *bench) killedAfter(calls int, names string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestExactCrashChild$")
	child.Env = append(os.Environ(), "FILE_EXACT_DIR="+b.logs, "FILE_EXACT_LOGS="+names, "FILE_EXACT_CALLS="+strconv.Itoa(calls))
	out, err := child.CombinedOutput()
	if ctx.Err() != nil || child.ProcessState == nil || child.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		b.t.Fatalf("the child was not killed: %v\n%s", err, out)
	}
}

// finished runs the child until all of so many lines have come, and fails unless each has
// come with one time and one set of labels. Some must have come twice.
func (b *bench) finished(lines int, names string) {
	b.t.Helper()
	stop := logstest.StartChild(b.t, []string{"-test.run=^TestExactCrashChild$"}, "FILE_EXACT_DIR="+b.logs, "FILE_EXACT_LOGS="+names, "FILE_EXACT_CALLS=0")
	sent := 0
	var stored map[string]bool
	b.until("all lines come", func() bool {
		got := logstest.FileLines(b.t, b.path("out"))
		sent, stored = len(got), make(map[string]bool)
		distinct := make(map[string]bool)
		for _, l := range got {
			stored[l] = true
			line, _, _ := strings.Cut(l, "\t")
			distinct[line] = true
		}
		return len(distinct) >= lines
	})
	stop()
	if len(stored) != lines {
		b.t.Errorf("%d lines are stored as %d", lines, len(stored))
	}
	if sent == lines {
		b.t.Error("no line was sent twice: the kills were at other moments")
	}
	b.t.Logf("%d lines, %d sent twice, %d stored twice", lines, sent-lines, len(stored)-lines)
}

// A process that dies after a receiver has accepted lines, and before their position is
// stored, sends them again with the same times and labels: Loki stores them once.
func TestAKillBetweenLinesAndTheirPositionRepeatsNoLine(t *testing.T) {
	b := newBench(t)
	const names = "a.1.log a.log b.log"
	written := 0
	burst := func() {
		for range 20 {
			for _, name := range []string{"a.log", "b.log"} {
				b.append(name, logstest.Text(logstest.Numbered(written, written+100)))
				written += 100
			}
		}
	}
	for round := range 8 {
		burst()
		b.killedAfter(1+round%2, names)
		burst()
		b.killedAfter(2, names)
		switch round {
		case 1, 5: // to a name that is no target
			b.rename("a.log", "a.log."+strconv.Itoa(round))
		case 2: // to the name of another target, which is read before
			b.rename("a.log", "a.1.log")
		case 3, 6: // copied and truncated
			data, err := os.ReadFile(b.path("b.log"))
			if err != nil {
				t.Fatal(err)
			}
			b.write("b.log."+strconv.Itoa(round), string(data))
			b.write("b.log", "")
		}
	}
	burst()
	b.finished(written, names)
}

func TestAKillBetweenLinesOfACompressedFileAndTheirPositionRepeatsNoLine(t *testing.T) {
	b := newBench(t)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err := w.Write([]byte(logstest.Text(logstest.Numbered(0, 5000))))
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	b.write("a.gz", zipped.String())
	for round := range 4 {
		b.killedAfter(1+round%2, "a.gz")
	}
	b.finished(5000, "a.gz")
}

func FuzzRuns(f *testing.F) {
	f.Add("1700000000000000000+12 1700000000000005000+3")
	f.Add("-1+1 x+2")
	f.Add("1+0 9223372036854775807+9223372036854775807")
	f.Fuzz(func(t *testing.T, text string) {
		runs := decodeRuns(text)
		if again := decodeRuns(encodeRuns(runs)); !slices.Equal(runs, again) {
			t.Errorf("%v became %v", runs, again)
		}
	})
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
		if kill%2 == 1 { // rotated while it is running, perhaps before it has read the rest
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
