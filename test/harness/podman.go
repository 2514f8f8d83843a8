package harness

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/client"
)

// podmanConf keeps Podman from limits that not every machine lets it set, and
// from locks that it would share with another Podman of the machine.
const podmanConf = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
lock_type = "file"
`

// StartPodman starts Podman's service with a storage of its own and loads
// AppImage. It skips the test where podman is not installed. It needs root.
// Output is not for it: see PodmanOutput.
func StartPodman(t testing.TB) *Engine {
	t.Helper()
	if _, err := exec.LookPath("podman"); err != nil {
		t.Skip("podman is not installed: `apt-get install podman` (Debian, as root) makes this test run")
	}
	// A socket's path is limited to 107 bytes, which t.TempDir may exceed.
	dir, err := os.MkdirTemp("", "podman")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(path("containers.conf"), []byte(podmanConf), 0o644); err != nil {
		t.Fatal(err)
	}
	e := &Engine{Host: "unix://" + path("podman.sock"), dir: dir}
	if e.Client, err = client.NewClientWithOpts(client.WithHost(e.Host), client.WithAPIVersionNegotiation()); err != nil {
		t.Fatal(err)
	}
	e.process = Start(t, "podman", []string{"CONTAINERS_CONF=" + path("containers.conf")}, "podman",
		"--root", path("root"), "--runroot", path("run"), "--tmpdir", path("tmp"), "--network-config-dir", path("networks"),
		"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--log-level", "error",
		"system", "service", "--time=0", e.Host)
	Eventually(t, 60*time.Second, func() error {
		_, err := e.Client.Ping(context.Background())
		return err
	})
	t.Cleanup(func() {
		// A container that shares its network goes after those that use it.
		e.removeContainers()
		e.removeContainers()
	})
	e.importApp(t)
	return e
}

// PodmanOutput reads a container's whole output from Podman's own log file, of
// the driver k8s-file, whose lines are: time, stream, F or P for a piece of a
// line, text.
func (e *Engine) PodmanOutput(t testing.TB, id string) []EngineLine {
	t.Helper()
	data, err := os.ReadFile(e.Inspect(t, id).LogPath)
	if err != nil {
		t.Fatal(err)
	}
	joined := newPieces()
	for record := range bytes.Lines(data) {
		fields := strings.SplitN(strings.TrimSuffix(string(record), "\n"), " ", 4)
		if len(fields) < 4 {
			t.Fatalf("log file of %s: %.80q", id, record)
		}
		at, err := time.Parse(time.RFC3339Nano, fields[0])
		if err != nil {
			t.Fatalf("log file of %s: %v", id, err)
		}
		joined.add(at, fields[1], fields[3], fields[2] != "P")
	}
	return joined.lines
}
