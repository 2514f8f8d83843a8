package file

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/logs/logstest"
	"collector/pkg/logs/source/positions"
	"collector/pkg/pipeline"
)

// bench is a source that runs, with a folder of logs.
type bench struct {
	t        *testing.T
	logs     string
	storage  string
	left     positions.Left
	sink     *logstest.Sink
	targets  *discovery.Set
	change   func(*Config)
	patience patience
	writers  func(*os.File) writers
	now      func() time.Time

	source *Source
	stop   func()
}

func newBench(t *testing.T) *bench {
	b := &bench{
		t: t, logs: t.TempDir(), storage: filepath.Join(t.TempDir(), "component"), sink: new(logstest.Sink),
		targets: discovery.NewSet(), change: func(*Config) {},
		now: time.Now, patience: defaultPatience(), writers: writersOf,
	}
	b.patience.unwritten, b.patience.replaced = 1, 1
	t.Cleanup(func() { b.end() })
	return b
}

func (b *bench) path(name string) string { return filepath.Join(b.logs, name) }

// target makes the files the targets.
func (b *bench) target(names ...string) {
	var targets []discovery.Target
	for _, n := range names {
		targets = append(targets, labels.FromStrings("__path__", b.path(n), "job", "test"))
	}
	b.targets.Replace(targets)
}

func (b *bench) start() {
	b.t.Helper()
	var c Config
	c.SetToDefault()
	c.Targets, c.ForwardTo = b.targets, []pipeline.LogsSink{b.sink}
	b.change(&c)
	s, err := New(c, component.Options{ID: "loki.source.file.test", Dir: b.storage, Left: b.left})
	if err != nil {
		b.t.Fatal(err)
	}
	s.patience, s.writers, s.now = b.patience, b.writers, b.now
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	b.source = s
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

func (b *bench) write(name, content string) {
	b.t.Helper()
	if err := os.WriteFile(b.path(name), []byte(content), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) append(name, content string) {
	b.t.Helper()
	f, err := os.OpenFile(b.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteString(content); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) rename(from, to string) {
	b.t.Helper()
	if err := os.Rename(b.path(from), b.path(to)); err != nil {
		b.t.Fatal(err)
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
	return fmt.Sprintf("lines: %.500q", b.sink.Lines())
}

// stored waits until a position has reached an offset.
func (b *bench) stored(name string, offset int64) {
	b.t.Helper()
	key := keyOf(b.path(name), `{job="test"}`)
	b.until("the position is stored", func() bool {
		b.source.mu.Lock()
		store := b.source.store
		b.source.mu.Unlock()
		if store == nil {
			return false
		}
		v, _ := store.Get(key)
		marks, err := decodeMarks(v)
		return err == nil && len(marks) > 0 && marks[len(marks)-1].Offset == offset
	})
}
