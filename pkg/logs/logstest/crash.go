package logstest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"collector/pkg/pipeline"
)

// StartChild runs this test program once more, with other arguments and environment
// variables, until it is killed or the test ends.
func StartChild(t *testing.T, args []string, env ...string) (kill func()) {
	t.Helper()
	child := exec.Command(os.Args[0], args...)
	child.Env = append(os.Environ(), env...)
	child.Stderr = os.Stderr
	if _, err := child.StdinPipe(); err != nil { // closed when this process ends, whatever its end
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	})
	t.Cleanup(kill)
	return kill
}

// File is a sink that is durable: it writes lines to a file.
type File struct{ f *os.File }

// OpenFile opens a File. A kill may have torn the last write, which the source then
// repeats: what follows the last line feed is removed.
func OpenFile(t *testing.T, path string) File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err == nil {
		err = f.Truncate(int64(bytes.LastIndexByte(data, '\n') + 1))
	}
	if err != nil {
		t.Fatal(err)
	}
	return File{f}
}

// WriteLogs implements pipeline.LogsSink.
func (f File) WriteLogs(_ context.Context, logs pipeline.Logs) error {
	var out strings.Builder
	for _, s := range logs.Streams {
		for _, e := range s.Entries {
			out.WriteString(e.Line + "\n")
		}
	}
	_, err := f.f.WriteString(out.String())
	return err
}

// FileLines are the lines of a File so far.
func FileLines(t *testing.T, path string) (lines []string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(data)) {
		lines = append(lines, strings.TrimSuffix(l, "\n"))
	}
	return lines
}

// WantNumbered fails if one of the first n lines of Numbered is missing from got, or
// more than so many lines came more than once.
func WantNumbered(t *testing.T, got []string, n, mostRepeated int) {
	t.Helper()
	count := make(map[string]int)
	repeated := 0
	for _, l := range got {
		if count[l]++; count[l] > 1 {
			repeated++
		}
	}
	want := Numbered(0, n)
	for i, l := range want {
		if count[l] == 0 {
			at := slices.Index(got, want[min(i+1, n-1)])
			t.Fatalf("%q of %d lines is lost; around it came %q", l, n, got[max(0, at-3):min(len(got), max(0, at)+3)])
		}
	}
	t.Logf("%d lines, %d repeated", n, repeated)
	if repeated > mostRepeated {
		t.Errorf("%d lines came twice, at most %d may", repeated, mostRepeated)
	}
}

// Until waits until ok, and fails with the state when that takes too long.
func Until(t *testing.T, what string, ok func() bool, patience time.Duration, state func() string) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("it did not happen that %s; %s", what, state())
		case <-tick.C:
		}
	}
}

// Wait waits until the sink has as many lines as wanted, and compares them.
func (s *Sink) Wait(t *testing.T, want []string, state func() string) {
	t.Helper()
	Until(t, "the lines have come", func() bool { return len(s.Lines()) >= len(want) }, time.Minute, state)
	if got := strings.Join(s.Lines(), "\n"); got != strings.Join(want, "\n") {
		t.Fatalf("got\n%.2000s\nwant\n%.2000s", got, strings.Join(want, "\n"))
	}
}
