// Package harness runs real parts for tests: a Docker Engine, containers,
// VictoriaMetrics, VictoriaLogs, OTLP servers, and the collector itself as a
// child process.
package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"collector/pkg/listen/listentest"
)

// patience is how long tests wait at least for what has to come: a machine may be busy,
// and a test goes on as soon as it has come.
const patience = time.Minute

// Eventually calls check until it returns nil, and fails the test with its last error if
// that has not happened within limit, or a minute if that is longer.
func Eventually(t testing.TB, limit time.Duration, check func() error) {
	t.Helper()
	limit = max(limit, patience)
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %s: %v", limit, err)
		}
	}
}

// Wait lets d pass: for scenarios in which time is what is tested, such as an
// outage of so many seconds.
func Wait(d time.Duration) { <-time.After(d) }

// Root is the project's root directory, found from the directory in which the tests
// of a package run. It panics outside the project.
func Root() string {
	start, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "build.sh")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			panic(start + " is not below the directory of build.sh")
		}
	}
}

// FreePort is listentest's.
func FreePort(t testing.TB) int {
	t.Helper()
	return listentest.FreePort(t)
}

// FreePorts is listentest's.
func FreePorts(t testing.TB, n int) int {
	t.Helper()
	return listentest.FreePorts(t, n)
}

// Process is a running child process.
type Process struct {
	Name string
	cmd  *exec.Cmd
	out  *output
	done chan struct{} // closed when it has ended
}

// output keeps the last part of what a process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const outputLimit = 4 << 20

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.buf.Len() > outputLimit {
		o.buf.Next(outputLimit / 2)
	}
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Start starts a process that dies with the test at the latest. When the test
// has failed, the end of its output is logged.
func Start(t testing.TB, name string, env []string, path string, args ...string) *Process {
	t.Helper()
	return startIn(t, "", name, env, path, args...)
}

// startIn is Start with a working directory; "" is the test's own.
func startIn(t testing.TB, dir, name string, env []string, path string, args ...string) *Process {
	t.Helper()
	p := &Process{Name: name, cmd: exec.Command(path, args...), out: &output{}, done: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.Env = append(os.Environ(), env...)
	// A test binary that is killed takes its children along.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// Pdeathsig is bound to the thread that forks.
		runtime.LockOSThread()
		started <- p.cmd.Start()
		p.cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			text := p.out.String()
			if len(text) > 6000 {
				text = "…" + text[len(text)-6000:]
			}
			t.Logf("output of %s:\n%s", name, text)
		}
	})
	return p
}

// Kill ends the process with SIGKILL and waits for its end.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Terminate sends SIGTERM, waits for the end, and returns the exit code and
// how long it took. It fails the test when the process does not end in limit.
func (p *Process) Terminate(t testing.TB, limit time.Duration) (int, time.Duration) {
	t.Helper()
	begin := time.Now()
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(limit):
		t.Fatalf("%s has not ended %s after SIGTERM", p.Name, limit)
	}
	return p.cmd.ProcessState.ExitCode(), time.Since(begin)
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitCode is the exit code of a process that has ended.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Pid is the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Output is what the process has written so far.
func (p *Process) Output() string { return p.out.String() }

// Build builds a Go command of the project for a container, and returns its
// path.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(pkg))
	runInRoot(t, "go", "build", "-trimpath", "-o", path, pkg)
	return path
}

// BinaryVariable is the environment variable that names a collector to test in
// the place of one that is built.
const BinaryVariable = "COLLECTOR_BINARY"

// BuildCollector builds the collector as it is shipped, once for all tests of a
// program, and returns its path.
func BuildCollector(t testing.TB) string {
	t.Helper()
	if path := os.Getenv(BinaryVariable); path != "" {
		return path
	}
	if err := buildOnce(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(Root(), "bin", "collector")
}

var buildOnce = sync.OnceValue(func() error { return inRoot("make", "--no-print-directory", "build") })

func runInRoot(t testing.TB, name string, args ...string) {
	t.Helper()
	if err := inRoot(name, args...); err != nil {
		t.Fatal(err)
	}
}

func inRoot(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// Tool returns the path of a backend that `make tools` has built.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(Root(), "bin", "tools", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is not built: run `make tools` first (%v)", name, err)
	}
	return path
}

// Address is host:port on the loopback interface.
func Address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
