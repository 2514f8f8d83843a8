package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"collector/pkg/component"
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

// TestCrashChild is the process that TestKillsLoseNothing kills.
func TestCrashChild(t *testing.T) {
	path, dir := os.Getenv("JOURNAL_CRASH_PATH"), os.Getenv("JOURNAL_CRASH_DIR")
	if path == "" {
		t.Skip("runs only as the child of another test")
	}
	f, err := os.OpenFile(filepath.Join(dir, "out"), os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	// A kill may have torn the last write, which the source then repeats.
	data, err := os.ReadFile(f.Name())
	if err == nil {
		err = f.Truncate(int64(bytes.LastIndexByte(data, '\n') + 1))
	}
	if err != nil {
		t.Fatal(err)
	}
	var c Config
	c.SetToDefault()
	c.Path, c.ForwardTo = path, []pipeline.LogsSink{appender{f}}
	s, err := New(c, component.Options{ID: "loki.source.journal.test", Dir: filepath.Join(dir, "component")})
	if err != nil {
		t.Fatal(err)
	}
	if memory := os.Getenv("JOURNAL_CRASH_MEMORY"); memory != "" {
		s.roots = append(s.roots, root{path: memory, volatile: true})
	}
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestKillsLoseNothing(t *testing.T) {
	const kills = 6
	b := newBench(t)
	dir := t.TempDir()
	written, files := 0, 0
	var current *journal
	burst := func(n int) {
		for range n {
			current.entry(fmt.Sprintf("MESSAGE=line %d", written))
			if written++; written%500 == 0 {
				current.write()
			}
		}
		current.write()
	}
	rotate := func() {
		if current != nil {
			current.archive(fmt.Sprintf("system@%d.journal", files))
		}
		files++
		current = b.file(byte(files), machine, "system.journal")
	}
	got := func() []string {
		data, err := os.ReadFile(filepath.Join(dir, "out"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	}
	rotate()
	b.source = b.newSource()
	for kill := range kills + 1 {
		child := exec.Command(os.Args[0], "-test.run=^TestCrashChild$")
		child.Env = append(os.Environ(), "JOURNAL_CRASH_PATH="+b.disk, "JOURNAL_CRASH_DIR="+dir)
		child.Stdout, child.Stderr = io.Discard, os.Stderr
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		burst(3000)
		if kill%2 == 1 {
			rotate()
		}
		burst(3000)
		last, before := fmt.Sprintf("line %d", written-1), len(got())
		b.until("lines come", func() bool {
			lines := got()
			return kill < kills && len(lines) > before || lines[len(lines)-1] == last
		})
		_ = child.Process.Kill()
		_ = child.Wait()
	}
	count := make(map[string]int)
	repeated := 0
	for _, l := range got() {
		if count[l]++; count[l] > 1 {
			repeated++
		}
	}
	for i := range written {
		if count[fmt.Sprintf("line %d", i)] == 0 {
			t.Fatalf("line %d of %d is lost", i, written)
		}
	}
	if repeated > kills*batchLines { // a kill may repeat a batch
		t.Errorf("%d lines came twice in %d kills", repeated, kills)
	}
}
