package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"collector/pkg/config"
)

func TestTheFilesAreComparedWithWhatRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.alloy")
	running := []config.Source{{Name: path, Text: []byte("logging { }\n")}}
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := &disk{path: path, inForce: func() []config.Source { return running }}
	again := func() ([]config.FileDiff, error) { d.at = time.Time{}; return d.diff() }
	write("logging { }\n")
	if got, err := again(); len(got) != 0 || err != nil {
		t.Errorf("of the same: %v %v", got, err)
	}
	write("logging { }\n// more\n")
	if got, err := again(); len(got) != 1 || got[0].Added != 1 || err != nil {
		t.Errorf("of another: %v %v", got, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := again(); err == nil {
		t.Error("a missing file is no error")
	}
	t.Setenv(defaultConfigVariable, path)
	if got, err := again(); len(got) != 1 || got[0].Change != "removed" || err != nil {
		t.Errorf("a missing file in whose place the built-in configuration would run: %v %v", got, err)
	}
	running = []config.Source{{Name: builtinName, Text: []byte("logging { }\n")}}
	if got, err := again(); len(got) != 0 || err != nil {
		t.Errorf("the built-in configuration: %v %v", got, err)
	}
	// A pipe is read once.
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := again(); len(got) != 0 || err != nil {
		t.Errorf("a pipe: %v %v", got, err)
	}
	d.path = ""
	if got, err := again(); len(got) != 0 || err != nil {
		t.Errorf("without files: %v %v", got, err)
	}
}
