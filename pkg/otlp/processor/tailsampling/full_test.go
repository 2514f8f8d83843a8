package tailsampling

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"collector/pkg/pipeline"
)

// limitFiles makes writes fail beyond so many bytes of a file, as on a full disk.
func limitFiles(t *testing.T, bytes int64) (restore func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(bytes), Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Fatal(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	}
}

// Of a request of which only a part fits, nothing is kept: its sender sends it again.
func TestAFullDiskLeavesNoFilesAndNoPartsOfRequests(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	j, _ := openedJournal(t, dir)
	appended(t, j, 1, "a")
	size := j.size
	restore := limitFiles(t, size+frameSize+headerSize+3) // of two records, the first one fits
	failed := 0
	for range 20 {
		if _, err := j.append([]record{{traceID{2}, 1, []byte("b")}, {traceID{2}, 1, []byte("c")}}); err != nil && !pipeline.IsPermanent(err) {
			failed++
		}
	}
	restore()
	if failed != 20 || len(files(t, dir)) != 1 || len(j.segments) != 1 || j.size != size {
		t.Errorf("%d writes failed; %d files, %d open, of %d bytes instead of %d", failed, len(files(t, dir)), len(j.segments), j.size, size)
	}
	appended(t, j, 1, "d")
	_, traces := openedJournal(t, killed(t, dir))
	if got := fmt.Sprint(texts(t, traces)); got != "[1:a/1 1:d/1]" {
		t.Errorf("got %s", got)
	}
}

// A file that cannot even be truncated is given up, and removed if nothing is in it.
func TestABrokenDiskLeavesNoEmptyFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	j, _ := openedJournal(t, dir)
	for range 20 {
		s, err := j.writable()
		if err != nil {
			t.Fatal(err)
		}
		s.file.Close()
		if _, err := j.append([]record{{traceID{1}, 1, []byte("b")}}); err == nil {
			t.Fatal("a closed file was written to")
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 || len(j.segments) > 0 || j.size != 0 {
		t.Errorf("%d files, %d open, of %d bytes, %v", len(left), len(j.segments), j.size, err)
	}
}

// What a sync has to bring to disk may be in several files, when one has become full.
func TestAFileThatIsFullIsSyncedToo(t *testing.T) {
	j, _ := openedJournal(t, filepath.Join(t.TempDir(), "x"))
	var refs [][]ref
	for i := range 3 {
		refs = append(refs, appended(t, j, byte(i), "a"), appended(t, j, byte(i), "b"))
		j.current.size = segmentSize
	}
	if err := errors.Join(j.done(traceID{0}, refs[0]), j.done(traceID{0}, refs[1])); err != nil {
		t.Fatal(err)
	}
	want := []string{refs[2][0].in.file.Name(), refs[4][0].in.file.Name(), j.current.file.Name()} // but for the one that is removed
	var got []string
	for _, f := range j.unsynced() {
		got = append(got, f.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if again := j.unsynced(); len(again) > 0 {
		t.Errorf("%d files are to be synced again", len(again))
	}
}
