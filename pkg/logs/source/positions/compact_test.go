package positions

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"collector/pkg/durable"
)

// grow writes so many KiB, by changes of one value.
func (s *Store) grow(size int) (err error) {
	for i := range size {
		err = errors.Join(err, s.put(map[string]string{"a": strings.Repeat("x", 1024) + strconv.Itoa(i)}))
	}
	return err
}

// A file that can't be replaced grows on, and the new one leaves its room to it.
func TestAFileThatCannotBeReplacedIsAppendedTo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	s := open(t, dir)
	defer s.Close()
	obstacle := filepath.Join(dir, previousName+".new")
	if err := os.MkdirAll(filepath.Join(obstacle, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.grow(compactAbove >> 10); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, fileName+".new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the new file is left: %v", err)
	}
	if err := os.RemoveAll(obstacle); err != nil {
		t.Fatal(err)
	}
	s.Put(map[string]string{"a": "2"})
	if s.size <= compactAbove {
		t.Error("each change tries to replace the file")
	}
	if err := s.grow(2 * compactAbove >> 10); err != nil {
		t.Error(err)
	}
	s.Put(map[string]string{"a": "3"})
	if s.size > 2*compactAbove {
		t.Errorf("the file is not replaced, and has %d bytes", s.size)
	}
	_ = s.lock.Close()
	again := open(t, dir)
	defer again.Close()
	expect(t, again, map[string]string{"a": "3"})
}

func TestAFolderThatCannotBeSyncedIsReported(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "c"))
	defer s.Close()
	broken := errors.New("input/output error")
	s.syncDir = func(string) error { return broken }
	if err := s.grow(compactAbove >> 10); !errors.Is(err, broken) {
		t.Errorf("it ends with %v", err)
	}
	s.syncDir = durable.SyncDir
	if err := s.put(map[string]string{"a": "2"}); err != nil {
		t.Error(err)
	}
	expect(t, s, map[string]string{"a": "2"})
}
