package queue

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"collector/pkg/durable"
)

// TestAQueuesFilesAreItsOwnersAlone looks at the modes of all files, with those
// of an older version, and at a folder that others may write to.
func TestAQueuesFilesAreItsOwnersAlone(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	dir := filepath.Join(t.TempDir(), "loki.write.default")
	q := mustOpen(t, Options{Dir: dir})
	mustAppend(t, q, 0, 3)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("round %d, %s: %v %v", round, e.Name(), info.Mode(), err)
			}
			if err := os.Chmod(filepath.Join(dir, e.Name()), 0o640); err != nil {
				t.Fatal(err)
			}
		}
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("round %d: %v %v", round, info.Mode(), err)
		}
		if err := os.Chmod(dir, 0o750); err != nil {
			t.Fatal(err)
		}
		q := mustOpen(t, Options{Dir: dir})
		mustAppend(t, q, 3, 4)
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: dir, Readers: []string{"a"}}); !errors.Is(err, durable.ErrForeign) || !strings.Contains(err.Error(), "chmod") {
		t.Errorf("a folder that others may write to: %v", err)
	}
}

// TestAQueueFollowsNoLinks puts links in the place of its folder and of each of
// its files.
func TestAQueueFollowsNoLinks(t *testing.T) {
	dir, _ := smallQueue(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: link, Readers: []string{"a"}}); !errors.Is(err, durable.ErrLink) {
		t.Errorf("a link in the place of the folder: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		broken, victim := copyDir(t, dir), filepath.Join(t.TempDir(), "victim")
		path := filepath.Join(broken, e.Name())
		if err := errors.Join(os.Rename(path, victim), os.Symlink(victim, path)); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(victim)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := open(Options{Dir: broken, Readers: []string{"a", "b"}, MaxBytes: 1}, quick()); !errors.Is(err, durable.ErrLink) {
			t.Errorf("%s: %v", e.Name(), err)
		}
		if after, err := os.ReadFile(victim); err != nil || string(after) != string(before) {
			t.Errorf("%s: what a link led to has changed: %v", e.Name(), err)
		}
	}
}
