package file

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/logs/logstest"
	"collector/pkg/logs/source/positions"
	"collector/pkg/pipeline"
)

// unwatched runs a source of one file in a bubble, in which time passes when all
// wait, for a file system that reports no changes.
func unwatched(t *testing.T, path string, change func(*Config), f func(sink *logstest.Sink, until func(time.Duration))) {
	t.Helper()
	storage := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		sink := new(logstest.Sink)
		var c Config
		c.SetToDefault()
		c.ForwardTo = []pipeline.LogsSink{sink}
		change(&c)
		s, err := New(c, component.Options{ID: "loki.source.file.test", Dir: storage})
		if err != nil {
			t.Fatal(err)
		}
		s.store, err = positions.Open(storage, positions.Options{Logger: s.opts.Logger, Damaged: s.metrics.damaged, Failed: s.metrics.failed})
		if err != nil {
			t.Fatal(err)
		}
		defer s.store.Close()
		s.watch = &watcher{logger: s.opts.Logger, changed: s.changed, folders: make(map[string]*folder)}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		r := newReader(s, s.store)
		begun := time.Now()
		running.Go(func() { s.poll(ctx) })
		running.Go(func() { r.run(ctx) })
		s.setTargets([]discovery.Target{labels.FromStrings("__path__", path)})
		f(sink, func(at time.Duration) {
			<-time.After(time.Until(begun.Add(at)))
			synctest.Wait()
		})
	})
}

func TestAnUnwatchedFileIsPolledAsOftenAsConfigured(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	if err := os.WriteFile(path, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	unwatched(t, path, func(c *Config) {
		c.FileWatch = FileWatch{MinPollFrequency: time.Second, MaxPollFrequency: 4 * time.Second}
	}, func(sink *logstest.Sink, until func(time.Duration)) {
		grow := func(at time.Duration, line string) {
			until(at)
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteString(line + "\n"); err != nil {
				t.Fatal(err)
			}
		}
		want := func(at time.Duration, lines ...string) {
			t.Helper()
			until(at)
			if got := sink.Lines(); !slices.Equal(got, lines) {
				t.Errorf("after %s: %q, want %q", at, got, lines)
			}
		}
		want(500*time.Millisecond, "1")
		// Nothing changes: it is looked at after 1 s, 3 s, 7 s and 11 s.
		grow(7500*time.Millisecond, "2")
		want(10900*time.Millisecond, "1")
		want(11100*time.Millisecond, "1", "2")
		// It has changed: it is looked at after 12 s.
		grow(11500*time.Millisecond, "3")
		want(11900*time.Millisecond, "1", "2")
		want(12100*time.Millisecond, "1", "2", "3")
	})
}

func TestACompressedFileIsReadAfterItsDelay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.gz")
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write([]byte("1\n2\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, zipped.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	unwatched(t, path, func(c *Config) {
		c.Decompression = &Decompression{Enabled: true, Format: "gz", InitialDelay: 10 * time.Second}
	}, func(sink *logstest.Sink, until func(time.Duration)) {
		if until(9 * time.Second); len(sink.Lines()) > 0 {
			t.Errorf("after 9 s: %q", sink.Lines())
		}
		if until(11 * time.Second); !slices.Equal(sink.Lines(), []string{"1", "2"}) {
			t.Errorf("after 11 s: %q", sink.Lines())
		}
	})
}

func TestFilesThatAreTooOldAreNotReadIfConfigured(t *testing.T) {
	b := newBench(t)
	b.change = func(c *Config) {
		c.FileMatch.Enabled, c.FileMatch.IgnoreOlderThan = true, time.Hour
	}
	b.write("old.log", "old\n")
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(b.path("old.log"), old, old); err != nil {
		t.Fatal(err)
	}
	b.write("new.log", "new\n")
	b.target("*.log")
	b.start()
	b.wait("new")
	if tails := b.source.Tails(); len(tails) != 1 {
		t.Errorf("%d files are read", len(tails))
	}
}
