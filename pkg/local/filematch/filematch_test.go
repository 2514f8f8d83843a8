package filematch

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
)

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestExpand(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.log", "b.txt", "d/c.log", "d/e/skip.log", "d/e/f.log", "old.log"} {
		write(t, filepath.Join(dir, name))
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "old.log"), old, old); err != nil {
		t.Fatal(err)
	}
	f := func(path, exclude string, olderThan time.Duration, want ...string) {
		t.Helper()
		target := labels.FromMap(map[string]string{PathLabel: filepath.Join(dir, path), ExcludeLabel: exclude, "job": "x"})
		if exclude != "" {
			target = labels.FromMap(map[string]string{PathLabel: filepath.Join(dir, path), ExcludeLabel: filepath.Join(dir, exclude), "job": "x"})
		}
		found := NewFinder().Find([]discovery.Target{target}, olderThan, func(_ discovery.Target, err error) { t.Error(err) })
		var got []string
		for _, one := range found {
			name, _ := filepath.Rel(dir, one.Get(PathLabel))
			got = append(got, name)
			if one.Get("job") != "x" {
				t.Errorf("%s has lost its labels", name)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s without %s: %v, want %v", path, exclude, got, want)
		}
	}
	f("*.log", "", 0, "a.log", "old.log")
	f("*.log", "", time.Hour, "a.log")
	f("**/*.log", "", time.Hour, "a.log", "d/c.log", "d/e/f.log", "d/e/skip.log")
	f("**/*.log", "**/skip*", time.Hour, "a.log", "d/c.log", "d/e/f.log")
	f("{a,b}.*", "", 0, "a.log", "b.txt")
	f("*", "", 0, "a.log", "b.txt", "old.log") // without the folder
	f("none/*", "", 0)
	var failed error
	NewFinder().Find([]discovery.Target{labels.FromStrings(PathLabel, "[a")}, 0, func(_ discovery.Target, err error) { failed = err })
	if failed == nil {
		t.Error("a broken pattern is no error")
	}
}

func TestTargetsFollowFilesAndPatterns(t *testing.T) {
	dir := t.TempDir()
	var c Config
	c.SetToDefault()
	c.SyncPeriod = 10 * time.Millisecond
	c.PathTargets = discovery.NewSet(labels.FromStrings(PathLabel, filepath.Join(dir, "*.log")))
	m, err := New(c, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	wait := func(n int) {
		t.Helper()
		for {
			targets, changed := m.out.Targets()
			if len(targets) == n {
				return
			}
			select {
			case <-changed:
			case <-time.After(time.Minute):
				t.Fatalf("%d targets, want %d", len(targets), n)
			}
		}
	}
	write(t, filepath.Join(dir, "a.log"))
	wait(1)
	write(t, filepath.Join(dir, "b.log"))
	wait(2)
	if err := os.Remove(filepath.Join(dir, "a.log")); err != nil {
		t.Fatal(err)
	}
	wait(1)
	c.PathTargets.Replace(nil)
	wait(0)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFilesThatAreTooOldAreNoTargets(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "old.log"))
	write(t, filepath.Join(dir, "new.log"))
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "old.log"), old, old); err != nil {
		t.Fatal(err)
	}
	var c Config
	c.SetToDefault()
	c.IgnoreOlderThan = time.Hour
	m, err := New(c, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := m.look([]discovery.Target{labels.FromStrings(PathLabel, filepath.Join(dir, "*.log"))})
	if len(got) != 1 || got[0].Get(PathLabel) != filepath.Join(dir, "new.log") {
		t.Errorf("got %v", got)
	}
}
