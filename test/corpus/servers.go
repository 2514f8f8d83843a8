package corpus

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"collector/test/harness"
)

// startRedis starts a server, and returns its address; "" where there is none.
func startRedis(t testing.TB) string {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return ""
	}
	socket := filepath.Join(t.TempDir(), "redis.sock")
	harness.Start(t, "redis-server", nil, program, "--port", "0", "--unixsocket", socket, "--save", "")
	awaitFile(t, socket)
	return "unix://" + socket
}

// startPostgres starts a server, and returns how to connect to it.
func startPostgres(t testing.TB) (source string, err error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(found) == 0 {
		return "", errors.New("PostgreSQL is not installed")
	}
	dir, err := os.MkdirTemp("", "postgres") // short, as the path of a socket has to be
	if err != nil {
		t.Fatal(err)
	}
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 { // as which it does not run
		nobody, err := user.Lookup("nobody")
		if err != nil {
			return "", err
		}
		uid, _ := strconv.Atoi(nobody.Uid)
		gid, _ := strconv.Atoi(nobody.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	data := filepath.Join(dir, "data")
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(found[0], name), args...)
		cmd.Dir, cmd.SysProcAttr = dir, attributes
		return cmd
	}
	if text, err := command("initdb", "-D", data, "-U", "admin", "--auth=trust", "--no-sync", "--locale=C").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, text)
	}
	server := command("postgres", "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // which Pdeathsig is bound to
		err := server.Start()
		started <- err
		if err == nil {
			_ = server.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGQUIT)
		<-ended
		os.RemoveAll(dir)
	})
	awaitFile(t, filepath.Join(dir, ".s.PGSQL.5432"))
	return "postgres://admin@/postgres?sslmode=disable&host=" + dir, nil
}

func awaitFile(t testing.TB, path string) {
	t.Helper()
	harness.Eventually(t, time.Minute, func() error {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%s is not there: %w", path, err)
		}
		return nil
	})
}
