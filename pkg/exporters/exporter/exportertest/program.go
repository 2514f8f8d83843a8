package exportertest

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Program is a real server, or what prepares its data, in a folder of its own.
type Program struct {
	Dir string // the server's own; removed after the test

	credential *syscall.Credential
}

// NewProgram makes a folder for a server, which runs as user if the test runs as
// root.
func NewProgram(t testing.TB, name string) *Program {
	t.Helper()
	dir, err := os.MkdirTemp("", "x") // the path of a socket has at most 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &Program{Dir: dir}
	if os.Getuid() != 0 {
		return p
	}
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatalf("make setup installs it: %v", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	p.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return p
}

// Find is the path of a program, from the first of the patterns that has one.
func Find(t testing.TB, patterns ...string) string {
	t.Helper()
	for _, pattern := range patterns {
		if path, err := exec.LookPath(pattern); err == nil {
			return path
		}
		if paths, _ := filepath.Glob(pattern); len(paths) > 0 {
			return paths[len(paths)-1]
		}
	}
	t.Fatalf("there is no %q: make setup installs it", patterns)
	return ""
}

func (p *Program) command(program string, arguments ...string) *exec.Cmd {
	cmd := exec.Command(program, arguments...)
	cmd.Dir = p.Dir
	cmd.Env = append(os.Environ(), "HOME="+p.Dir, "TMPDIR="+p.Dir, "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.credential}
	return cmd
}

// Do runs a program to its end.
func (p *Program) Do(t testing.TB, program string, arguments ...string) {
	t.Helper()
	if out, err := p.command(program, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", program, arguments, err, out)
	}
}

// Start runs a program until the test is over, and waits until ready has no error.
func (p *Program) Start(t testing.TB, ready func() error, program string, arguments ...string) {
	t.Helper()
	path := filepath.Join(p.Dir, "output")
	output, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd := p.command(program, arguments...)
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGQUIT) // PostgreSQL leaves nothing behind
		defer time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() }).Stop()
		cmd.Wait()
	})
	var last error
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		if last = ready(); last == nil {
			return
		}
	}
	text, _ := os.ReadFile(path)
	t.Fatalf("%s does not answer: %v\n%s", program, last, text)
}
