package logs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/discovery"
	"collector/pkg/durable"
	"collector/pkg/graph"
	"collector/pkg/logs/logstest"
	"collector/pkg/logs/lokitest"
	"collector/pkg/logs/source/api"
	"collector/pkg/logs/source/file"
	"collector/pkg/logs/write"
	"collector/pkg/pipeline"
)

// configEnv makes the test binary a collector with a configuration: its value is the
// directory and the file, separated by a blank.
const configEnv = "LOGS_TEST_CONFIG"

// runConfig runs the log components of a configuration until the process is killed, or
// its parent ends. It leaves the address of the API beside the configuration.
func runConfig(job []string) error {
	sources, err := config.Read(job[1])
	if err != nil {
		return err
	}
	controller := graph.New(graph.Options{
		StoragePath: job[0], Kinds: append(pipeline.Kinds(), discovery.Kinds()...),
		Definitions: []component.Definition{
			component.Define("loki.source.file", file.New, component.Doc{}), component.Define("loki.source.api", api.New, component.Doc{}),
			component.Define("loki.write", write.New, component.Doc{}),
		},
	})
	if err := controller.Load(context.Background(), sources); err != nil {
		return err
	}
	info, _ := controller.Component("loki.source.api.x")
	var status struct{ Address string }
	if err := json.Unmarshal(info.Status, &status); err != nil {
		return err
	}
	if err := durable.WriteFile(addressBeside(job[1]), []byte(status.Address)); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func addressBeside(config string) string { return filepath.Join(filepath.Dir(config), "address") }

// logFiles are two files that grow: one is rotated by renaming, the other by copying
// and truncation.
type logFiles struct {
	t                  *testing.T
	dir                string
	written, rotations int
}

func (f *logFiles) path(name string) string { return filepath.Join(f.dir, name) }

func (f *logFiles) grow() {
	for _, name := range []string{"renamed.log", "copied.log"} {
		log, err := os.OpenFile(f.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = log.WriteString(logstest.Text(logstest.Numbered(f.written, f.written+100)))
			_ = log.Close()
		}
		if err != nil {
			f.t.Error(err)
		}
		f.written += 100
	}
}

func (f *logFiles) rotate() {
	f.rotations++
	n := "." + strconv.Itoa(f.rotations)
	err := os.Rename(f.path("renamed.log"), f.path("renamed.log"+n))
	data, readErr := os.ReadFile(f.path("copied.log"))
	for _, err := range []error{err, readErr, os.WriteFile(f.path("copied.log"+n), data, 0o600), os.Truncate(f.path("copied.log"), 0)} {
		if err != nil {
			f.t.Error(err)
		}
	}
}

// pusher pushes entries, each request until it is acknowledged.
type pusher struct {
	address      string // the file that has it
	acknowledged int
	pending      []byte // not acknowledged yet; nil: none
	begin        time.Time
}

func (p *pusher) push(t *testing.T) {
	const entries = 20
	if p.pending == nil {
		var values [][2]string
		for i := range entries {
			n := p.acknowledged + i
			values = append(values, [2]string{strconv.FormatInt(p.begin.Add(time.Duration(n)*time.Microsecond).UnixNano(), 10), "push " + strconv.Itoa(n)})
		}
		body, err := json.Marshal(map[string]any{"streams": []any{map[string]any{"stream": map[string]string{"job": "push"}, "values": values}}})
		if err != nil {
			t.Error(err)
		}
		p.pending = body
	}
	address, err := os.ReadFile(p.address)
	if err != nil {
		return // the collector does not listen yet
	}
	response, err := http.Post("http://"+string(address)+"/loki/api/v1/push", "application/json", bytes.NewReader(p.pending))
	if err != nil {
		return // the collector is down
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusNoContent:
		p.pending, p.acknowledged = nil, p.acknowledged+entries
	case http.StatusServiceUnavailable:
	default:
		t.Errorf("a push is answered %s", response.Status)
	}
}

func linesOfFiles(entries []lokitest.Entry) (lines []string) {
	for _, e := range entries {
		if !strings.HasPrefix(e.Line, "push ") {
			lines = append(lines, e.Line)
		}
	}
	return lines
}

// bothSince reports whether a line of each of logFiles has come that was written after
// so many others.
func bothSince(entries []lokitest.Entry, written int) bool {
	var come [2]bool
	for _, line := range linesOfFiles(entries) {
		if n, err := strconv.Atoi(strings.TrimPrefix(line, "line ")); err == nil && n >= written {
			come[n/100%2] = true
		}
	}
	return come[0] && come[1]
}

// crashConfig is a configuration that reads files and receives pushes.
func crashConfig(files *logFiles, url string) string {
	return fmt.Sprintf(`
		loki.source.file "x" {
			targets    = [{__path__ = %q, job = "files"}, {__path__ = %q, job = "files"}]
			forward_to = [loki.write.out.receiver]
		}
		loki.source.api "x" {
			http {
				listen_address = "127.0.0.1"
				listen_port    = 0
			}
			use_incoming_timestamp = true
			forward_to             = [loki.write.out.receiver]
		}
		loki.write "out" {
			endpoint {
				url                = %q
				batch_wait         = "1ms"
				min_backoff_period = "1ms"
				max_backoff_period = "10ms"
			}
		}`, files.path("renamed.log"), files.path("copied.log"), url)
}

// Killed again and again under load, and while Loki is down, the collector delivers
// each line of files, which are rotated, and each entry that it has acknowledged.
func TestAKilledCollectorLosesNoLineOfFilesAndNoPush(t *testing.T) {
	loki, dir := lokitest.New(t), t.TempDir()
	files := &logFiles{t: t, dir: t.TempDir()}
	configuration := filepath.Join(t.TempDir(), "config.alloy")
	pushes := &pusher{address: addressBeside(configuration), begin: time.Now()}
	if err := os.WriteFile(configuration, []byte(crashConfig(files, loki.URL())), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func() (kill func()) {
		_ = os.Remove(pushes.address) // somebody else may get the port of the one before
		return logstest.StartChild(t, nil, configEnv+"="+dir+" "+configuration)
	}
	rotate := make(chan chan struct{})
	load := func(stop <-chan struct{}) {
		for {
			files.grow()
			pushes.push(t)
			select {
			case <-stop:
				return
			case done := <-rotate:
				files.rotate()
				close(done)
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	for round := range 9 {
		down := round%3 == 2
		loki.Respond(nil)
		if down {
			loki.Respond(func(lokitest.Request) *lokitest.Answer { return &lokitest.Answer{Status: 503, Body: "down"} })
		}
		written, requests, stop := files.written, len(loki.Requests()), make(chan struct{})
		kill := start()
		var loading sync.WaitGroup
		loading.Go(func() { load(stop) })
		loki.Await(t.Context(), func(entries []lokitest.Entry, all []lokitest.Request) bool {
			return down && len(all) > requests+round || bothSince(entries, written)
		})
		if !down { // only files that have been seen are looked for where they are rotated to
			rotated := make(chan struct{})
			rotate <- rotated
			<-rotated
		}
		kill()
		close(stop)
		loading.Wait()
	}
	loki.Respond(nil)
	start()
	for pushes.pending != nil {
		pushes.push(t)
	}
	var ofFiles, pushed []string
	for _, e := range loki.Await(t.Context(), func(entries []lokitest.Entry, _ []lokitest.Request) bool {
		if len(entries) < files.written+pushes.acknowledged {
			return false
		}
		ofFiles = linesOfFiles(entries)
		distinct := slices.Clone(ofFiles)
		slices.Sort(distinct)
		return len(slices.Compact(distinct)) == files.written
	}) {
		if strings.HasPrefix(e.Line, "push ") {
			pushed = append(pushed, e.Line)
		}
	}
	logstest.WantNumbered(t, ofFiles, files.written, 0) // what is sent again has the same time, and counts once here
	var want []string
	for i := range pushes.acknowledged {
		want = append(want, "push "+strconv.Itoa(i))
	}
	logstest.WantEach(t, want, pushed)
	t.Logf("%d rotations, %d entries pushed, %d repeated identically", files.rotations, len(want), loki.Repeated())
}
