package cadvisor

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestAFileIsReadToItsEnd(t *testing.T) {
	for _, size := range []int{0, 1, 4095, 4096, 4097, 8192, 10_000} {
		name, want := filepath.Join(t.TempDir(), "file"), bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		if err := os.WriteFile(name, want, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("of %d bytes, %d are read, %v", size, len(got), err)
		}
	}
	if _, err := readFile(filepath.Join(t.TempDir(), "file")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := readFile(t.TempDir()); err == nil {
		t.Error("a directory is read")
	}
}

func BenchmarkReadFile(b *testing.B) {
	const name = "/proc/self/cgroup"
	for what, read := range map[string]func(string) ([]byte, error){"ours": readFile, "os": os.ReadFile} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := read(name); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
