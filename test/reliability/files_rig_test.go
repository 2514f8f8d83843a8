//go:build integration

package reliability

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"collector/pkg/logs/lokitest"
	"collector/test/harness"
)

// eventLines is how many lines an event of a logWriter has, the first of which says
// that it begins.
const eventLines = 3

// logWriter is a program that writes numbered events to a file, which is rotated in
// some way. A path may lead to the file.
type logWriter struct {
	t       *testing.T
	dir     string // its own
	name    string
	padding string // at the end of each first line
	rotate  func(*logWriter) error

	mu       sync.Mutex
	file     *os.File
	events   int
	rotated  int
	reopenIn int    // events until it writes to the file that its path leads to then; 0: it does already
	now      string // the path that leads to what it writes to
}

// startLogWriter creates the file.
func startLogWriter(t *testing.T, dir, name string, rotate func(*logWriter) error) *logWriter {
	t.Helper()
	w := &logWriter{t: t, dir: filepath.Join(dir, name), name: name, rotate: rotate}
	w.now = filepath.Join(w.dir, "a.log")
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.file.Close() })
	return w
}

// open opens what the path leads to.
func (w *logWriter) open() error {
	f, err := os.OpenFile(w.now, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if w.file != nil {
		_ = w.file.Close()
	}
	w.file = f
	return nil
}

// event is the text of event n, without the end of its last line.
func (w *logWriter) event(n int) string {
	text := fmt.Sprintf("%s %d begins%s", w.name, n, w.padding)
	for i := 1; i < eventLines; i++ {
		text += fmt.Sprintf("\n  %s %d at %d", w.name, n, i)
	}
	return text
}

// write writes an event.
func (w *logWriter) write() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reopenIn > 0 {
		if w.reopenIn--; w.reopenIn == 0 {
			if err := w.open(); err != nil {
				return err
			}
		}
	}
	w.events++
	_, err := w.file.WriteString(w.event(w.events) + "\n")
	return err
}

// written is how many events there are.
func (w *logWriter) written() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.events
}

// turn rotates the file.
func (w *logWriter) turn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rotated++
	if err := w.rotate(w); err != nil {
		w.t.Error(err)
	}
}

// The rotations. A program that is told to reopen its file does so later.

func rename(w *logWriter) error {
	w.reopenIn = 20
	return os.Rename(w.now, fmt.Sprintf("%s.%d", w.now, w.rotated))
}

func copyAndTruncate(w *logWriter) error {
	data, err := os.ReadFile(w.now)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(fmt.Sprintf("%s.%d", w.now, w.rotated), data, 0o644), os.Truncate(w.now, 0))
}

// swapLink has the path lead to another file, as the kubelet and the Docker Engine do.
func swapLink(w *logWriter) error {
	next := filepath.Join(w.dir, "data", fmt.Sprintf("%d.log", w.rotated))
	if err := os.WriteFile(next, nil, 0o644); err != nil {
		return err
	}
	if err := errors.Join(os.Symlink(next, w.now+".new"), os.Rename(w.now+".new", w.now)); err != nil {
		return err
	}
	w.reopenIn = 20
	return nil
}

// renameBack renames a file that is written to, to and fro between two targets.
func renameBack(w *logWriter) error {
	to := filepath.Join(w.dir, "b.log")
	if w.now == to {
		to = filepath.Join(w.dir, "a.log")
	}
	err := os.Rename(w.now, to)
	w.now = to
	return err
}

// logWriters are one of each kind.
type logWriters []*logWriter

func startLogWriters(t *testing.T) logWriters {
	t.Helper()
	dir := t.TempDir()
	all := logWriters{
		startLogWriter(t, dir, "renamed", rename), startLogWriter(t, dir, "copied", copyAndTruncate),
		startLogWriter(t, dir, "linked", swapLink), startLogWriter(t, dir, "back", renameBack),
	}
	if err := os.Mkdir(filepath.Join(all[2].dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := swapLink(all[2]); err != nil {
		t.Fatal(err)
	}
	all[2].reopenIn = 0
	for _, w := range all {
		if err := w.open(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// targets are the targets of loki.source.file: those of local.file_match.m, and those
// of the two names that one file has in turn.
func (all logWriters) targets() (match, targets string) {
	for _, w := range all {
		if w.name == "back" {
			targets = fmt.Sprintf("concat(local.file_match.m.targets, [{__path__ = %q, log = %q}, {__path__ = %q, log = %q}])",
				filepath.Join(w.dir, "a.log"), w.name, filepath.Join(w.dir, "b.log"), w.name)
			continue
		}
		match += fmt.Sprintf("\t\t{__path__ = %q, log = %q},\n", filepath.Join(w.dir, "*.log"), w.name)
	}
	return fmt.Sprintf("local.file_match \"m\" {\n\tsync_period  = \"1s\"\n\tpath_targets = [\n%s\t]\n}\n", match), targets
}

// run writes events until stop is called, which waits for the last one.
func (all logWriters) run(every time.Duration) (stop func()) {
	end := make(chan struct{})
	var running sync.WaitGroup
	for _, w := range all {
		running.Go(func() {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for {
				if err := w.write(); err != nil {
					w.t.Error(err)
					return
				}
				select {
				case <-end:
					return
				case <-tick.C:
				}
			}
		})
	}
	return sync.OnceFunc(func() { close(end); running.Wait() })
}

// areRead waits until the collector, since it was started, has read lines of what each
// of the paths leads to.
func (all logWriters) areRead(t *testing.T, c *harness.Collector) {
	t.Helper()
	harness.Eventually(t, catchUp, func() error {
		for _, w := range all {
			w.mu.Lock()
			path := w.now
			w.mu.Unlock()
			if c.Metric(t, "loki_source_file_read_lines_total", "path", path) == 0 {
				return fmt.Errorf("no line of %s has been read", path)
			}
		}
		return nil
	})
}

// events is how many events all have written.
func (all logWriters) events() (n int) {
	for _, w := range all {
		n += w.written()
	}
	return n
}

// checkStored fails unless each line of each event, or each event as a whole, is
// stored once.
func (all logWriters) checkStored(t *testing.T, loki *lokitest.Server, whole bool) {
	t.Helper()
	stored := make(map[string]int)
	for _, e := range loki.Entries() {
		stored[e.Line]++
	}
	lost, repeated := 0, 0
	for _, w := range all {
		for n := 1; n <= w.written(); n++ {
			texts := []string{w.event(n)}
			if !whole {
				texts = strings.Split(w.event(n), "\n")
			}
			for _, text := range texts {
				switch times := stored[text]; {
				case times == 0:
					if lost++; lost <= 3 {
						t.Errorf("%.100q is lost", text)
					}
				case times > 1:
					if repeated++; repeated <= 3 {
						t.Errorf("%.100q is stored %d times", text, times)
					}
				}
			}
		}
	}
	if lost > 0 || repeated > 0 {
		t.Errorf("%d are lost and %d stored more than once, of %d events", lost, repeated, all.events())
	}
}

// lokiSender pushes an entry, with padding, and its own time.
func lokiSender(address, padding string) func(n int) error {
	begin := time.Now()
	return func(n int) error {
		body := fmt.Sprintf(`{"streams": [{"stream": {"log": "pushed"}, "values": [["%d", "push %d%s"]]}]}`,
			begin.Add(time.Duration(n)*time.Microsecond).UnixNano(), n, padding)
		resp, err := http.Post("http://"+address+"/loki/api/v1/push", "application/json", bytes.NewReader([]byte(body)))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusNoContent {
			return fmt.Errorf("%d", resp.StatusCode)
		}
		return nil
	}
}

// checkPushed fails unless each acknowledged entry is stored once.
func checkPushed(t *testing.T, loki *lokitest.Server, acked []int, padding string) {
	t.Helper()
	stored := make(map[string]int)
	for _, e := range loki.Entries() {
		stored[e.Line]++
	}
	for _, n := range acked {
		if times := stored[fmt.Sprintf("push %d%s", n, padding)]; times != 1 {
			t.Errorf("entry %d was acknowledged and is stored %d times", n, times)
		}
	}
}

// lokiBehind is a Loki and what is in front of it.
type lokiBehind struct {
	*lokitest.Server
	proxy *harness.Proxy
	judge harness.Journal
}

// startLokiBehind starts a Loki. Each source that reads again what it has no position
// of, such as on a full disk, may have sent a batch before a kill besides what is in
// flight.
func startLokiBehind(t *testing.T, name string, sources int) *lokiBehind {
	t.Helper()
	l := &lokiBehind{Server: lokitest.New(t)}
	l.proxy = harness.StartProxy(t, harness.StartLag(t, hostOf(t, l.URL()), 40*time.Millisecond))
	l.judge = harness.Journal{
		Name: name, InFlight: 1 + sources, Count: func() int { return len(l.Requests()) },
		Requests: func() [][]harness.Item { return pushedLines(l.Server) },
	}
	return l
}

// writer is a loki.write that sends there.
func (l *lokiBehind) writer(name string) string {
	return fmt.Sprintf("loki.write %q {\n\tendpoint {\n\t\turl = \"http://%s/loki/api/v1/push\"\n\t\tbatch_wait = \"100ms\"\n\t\tmax_backoff_period = \"1s\"\n\t}\n}\n", name, l.proxy.Address)
}

// cut notes that the collector was killed, or that the proxy cut its connections.
func (l *lokiBehind) cut(t *testing.T) {
	t.Helper()
	l.proxy.Settle(t)
	l.judge.Cut()
}
