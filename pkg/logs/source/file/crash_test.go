package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/logs/source/positions"
	"collector/pkg/pipeline"
)

// appender is a sink that is durable: it writes lines to a file.
type appender struct{ f *os.File }

func (a appender) WriteLogs(_ context.Context, logs pipeline.Logs) error {
	var out strings.Builder
	for _, s := range logs.Streams {
		for _, e := range s.Entries {
			out.WriteString(e.Line + "\n")
		}
	}
	_, err := a.f.WriteString(out.String())
	return err
}

// endAtLine removes what follows the last line feed.
func endAtLine(f *os.File) error {
	data, err := os.ReadFile(f.Name())
	if err != nil {
		return err
	}
	return f.Truncate(int64(bytes.LastIndexByte(data, '\n') + 1))
}

// TestCrashChild is the process that TestKillsLoseNothing kills.
func TestCrashChild(t *testing.T) {
	log, dir := os.Getenv("FILE_CRASH_LOG"), os.Getenv("FILE_CRASH_DIR")
	if log == "" {
		t.Skip("runs only as the child of another test")
	}
	f, err := os.OpenFile(dir+"/out", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	// A kill may have torn the last write, which the source then repeats.
	if err := endAtLine(f); err != nil {
		t.Fatal(err)
	}
	var c Config
	c.SetToDefault()
	c.Targets = discovery.NewSet(labels.FromStrings("__path__", log))
	c.ForwardTo = []pipeline.LogsSink{appender{f}}
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
		var text strings.Builder
		for range n {
			fmt.Fprintf(&text, "line %d\n", written)
			written++
		}
		b.append("a.log", text.String())
	}
	lines := func() []string {
		data, err := os.ReadFile(out)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	}
	for kill := range kills + 1 {
		child := exec.Command(os.Args[0], "-test.run=^TestCrashChild$")
		child.Env = append(os.Environ(), "FILE_CRASH_LOG="+b.path("a.log"), "FILE_CRASH_DIR="+b.logs)
		child.Stdout, child.Stderr = io.Discard, os.Stderr
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		burst(5000)
		if kill%2 == 1 { // rotated while it runs, and perhaps before it has read the rest
			b.rename("a.log", "a.log."+strconv.Itoa(kill))
		}
		burst(5000)
		last, before := written-1, len(lines())
		b.until("lines come", func() bool {
			if kill == kills {
				got := lines()
				return got[len(got)-1] == "line "+strconv.Itoa(last)
			}
			return len(lines()) > before
		})
		_ = child.Process.Kill()
		_ = child.Wait()
	}
	count := make(map[string]int)
	repeated := 0
	for _, l := range lines() {
		if count[l]++; count[l] > 1 {
			repeated++
		}
	}
	for i := range written {
		if count["line "+strconv.Itoa(i)] == 0 {
			got := lines()
			at := slices.IndexFunc(got, func(l string) bool { return l == "line "+strconv.Itoa(i+1) })
			t.Fatalf("line %d of %d is lost; around it came %q", i, written, got[max(0, at-3):min(len(got), at+3)])
		}
	}
	// A kill may repeat a batch, to which one chunk may be added when it is nearly full.
	if repeated > kills*(batchLines+chunkSize/len("line 10000\n")) {
		t.Errorf("%d lines came twice in %d kills", repeated, kills)
	}
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
