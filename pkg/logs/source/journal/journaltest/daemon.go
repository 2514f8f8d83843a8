package journaltest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Daemon is a systemd-journald that has folders of its own.
type Daemon struct {
	t   testing.TB
	dir string
	cmd *exec.Cmd
	log bytes.Buffer

	Disk   string // in the place of /var/log/journal
	Memory string // in the place of /run/log/journal
}

// settings are what every daemon has.
const settings = `[Journal]
RateLimitBurst=0
ForwardToSyslog=no
ForwardToWall=no
ReadKMsg=no
Audit=no
`

// StartDaemon starts a daemon with settings of journald.conf, which is asked for
// persistent storage once Flush is called. env has variables such as
// SYSTEMD_JOURNAL_COMPACT=1. It needs root.
func StartDaemon(t testing.TB, config string, env ...string) *Daemon {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "journald") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	d := &Daemon{t: t, dir: dir, Disk: filepath.Join(dir, "var"), Memory: filepath.Join(dir, "run/log/journal")}
	t.Cleanup(d.remove)
	for _, name := range []string{"var", "run"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// journald removes what is in memory only if it is.
	if err := syscall.Mount("tmpfs", filepath.Join(dir, "run"), "tmpfs", 0, "size=64m"); err != nil {
		t.Fatalf("mount: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "journald.conf"), []byte(settings+config), 0o644); err != nil {
		t.Fatal(err)
	}
	d.Start(env...)
	return d
}

// Start starts the daemon again after Stop.
func (d *Daemon) Start(env ...string) {
	d.t.Helper()
	d.cmd = d.command("/lib/systemd/systemd-journald")
	d.cmd.Env = append(append(os.Environ(), "SYSTEMD_LOG_TARGET=console"), env...)
	d.cmd.Stderr = &d.log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	Until(d.t, "journald listens", func() bool {
		c, err := net.Dial("unixgram", d.socket())
		if err == nil {
			_ = c.Close()
		}
		return err == nil && d.waitsForSignals()
	})
}

// waitsForSignals reports whether the daemon no longer ends at a signal that it
// knows.
func (d *Daemon) waitsForSignals() bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	_, blocked, ok := strings.Cut(string(status), "SigBlk:")
	if err != nil || !ok {
		return false
	}
	mask, err := strconv.ParseUint(strings.Fields(blocked)[0], 16, 64)
	return err == nil && mask&(1<<(syscall.SIGUSR2-1)) != 0
}

// command is a command for which the daemon's folders are the machine's.
func (d *Daemon) command(args ...string) *exec.Cmd {
	const script = `set -e
mount --make-rprivate /
mount --bind "$0/run" /run
mkdir -p /var/log/journal
mount --bind "$0/var" /var/log/journal
mount --bind "$0/journald.conf" /etc/systemd/journald.conf
exec "$@"`
	return exec.Command("unshare", append([]string{"-m", "sh", "-c", script, d.dir}, args...)...)
}

// Seal makes the daemon seal files from the next start on.
func (d *Daemon) Seal() {
	d.t.Helper()
	if out, err := d.command("journalctl", "--setup-keys", "--force", "--interval=1s").CombinedOutput(); err != nil {
		d.t.Fatalf("journalctl --setup-keys: %v\n%s", err, out)
	}
}

func (d *Daemon) socket() string { return filepath.Join(d.dir, "run/systemd/journal/socket") }

// Stop ends the daemon.
func (d *Daemon) Stop() {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	_ = d.cmd.Wait()
	d.cmd = nil
	_ = os.Remove(d.socket())
}

// Kill ends it as a crash does.
func (d *Daemon) Kill() {
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait()
	d.cmd = nil
	_ = os.Remove(d.socket())
}

func (d *Daemon) remove() {
	d.Stop()
	_ = syscall.Unmount(filepath.Join(d.dir, "run"), syscall.MNT_DETACH)
	_ = os.RemoveAll(d.dir)
	if d.t.Failed() {
		d.t.Logf("journald:\n%s", &d.log)
	}
}

// Send sends an entry of fields "NAME=value".
func (d *Daemon) Send(fields ...string) {
	d.t.Helper()
	if err := d.Sender()(fields...); err != nil {
		d.t.Fatal(err)
	}
}

// Sender returns a function that sends entries, in order, by one connection.
func (d *Daemon) Sender() func(fields ...string) error {
	d.t.Helper()
	c, err := net.Dial("unixgram", d.socket())
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = c.Close() })
	return func(fields ...string) error {
		var b bytes.Buffer
		for _, f := range fields {
			name, value, _ := strings.Cut(f, "=")
			if !strings.Contains(value, "\n") {
				fmt.Fprintf(&b, "%s=%s\n", name, value)
				continue
			}
			// The size is in little endian.
			size := len(value)
			fmt.Fprintf(&b, "%s\n", name)
			for i := range 8 {
				b.WriteByte(byte(size >> (8 * i)))
			}
			b.WriteString(value + "\n")
		}
		_, err := c.Write(b.Bytes())
		return err
	}
}

// Flush moves to disk what is in memory, and Rotate starts new files. Both return
// when journald has done it.
func (d *Daemon) Flush() {
	d.t.Helper()
	d.signal(syscall.SIGUSR1, "flushed")
}

// Rotate archives the files that are written to.
func (d *Daemon) Rotate() {
	d.t.Helper()
	d.signal(syscall.SIGUSR2, "rotated")
}

// signal sends a signal that makes journald touch a file.
func (d *Daemon) signal(sig syscall.Signal, name string) {
	d.t.Helper()
	path := filepath.Join(d.dir, "run/systemd/journal", name)
	_ = os.Remove(path)
	if err := d.cmd.Process.Signal(sig); err != nil {
		d.t.Fatal(err)
	}
	Until(d.t, "journald has "+name, func() bool { _, err := os.Stat(path); return err == nil })
}

// Until waits for a condition.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("it did not happen that %s", what)
		case <-tick.C:
		}
	}
}
