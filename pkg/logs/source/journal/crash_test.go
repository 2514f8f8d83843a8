package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"collector/pkg/component"
	"collector/pkg/logs/logstest"
	"collector/pkg/logs/source/lines"
	"collector/pkg/pipeline"
)

// TestCrashChild is the process that TestKillsLoseNothing kills.
func TestCrashChild(t *testing.T) {
	path, dir := os.Getenv("JOURNAL_CRASH_PATH"), os.Getenv("JOURNAL_CRASH_DIR")
	if path == "" {
		t.Skip("runs only as the child of another test")
	}
	var c Config
	c.SetToDefault()
	c.Path, c.ForwardTo = path, []pipeline.LogsSink{logstest.OpenFile(t, filepath.Join(dir, "out"))}
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
	got := func() []string { return logstest.FileLines(t, filepath.Join(dir, "out")) }
	rotate()
	b.source = b.newSource()
	for kill := range kills + 1 {
		stop := logstest.StartChild(t, []string{"-test.run=^TestCrashChild$"}, "JOURNAL_CRASH_PATH="+b.disk, "JOURNAL_CRASH_DIR="+dir)
		burst(3000)
		if kill%2 == 1 {
			rotate()
		}
		burst(3000)
		last, before := fmt.Sprintf("line %d", written-1), len(got())
		b.until("lines come", func() bool {
			lines := got()
			return kill < kills && len(lines) > before || len(lines) > 0 && lines[len(lines)-1] == last
		})
		stop()
	}
	logstest.WantNumbered(t, got(), written, kills*lines.BatchLines) // a kill may repeat a batch
}
