//go:build integration

package stack

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/client"
	"golang.org/x/sys/unix"

	"collector/test/harness"
)

// isolated is a Docker Engine in a network namespace of its own: there its
// containers reach each other and its ports are free, whatever firewall the
// machine has and whatever else runs on it.
type isolated struct {
	*harness.Engine
	socket    string
	namespace string // its path
	HTTP      *http.Client
}

func startIsolated(t *testing.T) *isolated {
	t.Helper()
	// A socket's path is limited to 107 bytes, which t.TempDir may exceed.
	dir, err := os.MkdirTemp("", "stack")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// As with /run: what may be done with the socket is up to its own mode.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	e := &isolated{socket: path("docker.sock")}
	e.Engine = &harness.Engine{Host: "unix://" + e.socket}
	if e.Client, err = client.NewClientWithOpts(client.WithHost(e.Host), client.WithAPIVersionNegotiation()); err != nil {
		t.Fatal(err)
	}
	dockerd := harness.Start(t, "dockerd", nil, "unshare", "--net", "sh", "-c",
		fmt.Sprintf("ip link set lo up && exec dockerd --data-root %s --exec-root %s --pidfile %s -H %s --log-level=error",
			path("data"), path("exec"), path("pid"), e.Host))
	t.Cleanup(func() { dockerd.Terminate(t, time.Minute) })
	harness.Eventually(t, time.Minute, func() error {
		_, err := e.Client.Ping(context.Background())
		return err
	})
	e.namespace = fmt.Sprintf("/proc/%d/ns/net", dockerd.Pid())
	e.HTTP = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: e.dial}}
	return e
}

// dial connects to an address in the namespace.
func (e *isolated) dial(ctx context.Context, network, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		// Never unlocked: the thread, which is in another namespace now, ends with the
		// goroutine.
		runtime.LockOSThread()
		file, err := os.Open(e.namespace)
		if err == nil {
			defer file.Close()
			err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
		}
		if err != nil {
			done <- result{nil, fmt.Errorf("enter %s: %w", e.namespace, err)}
			return
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

// command is a command that runs in the namespace and talks to the Engine.
func (e *isolated) command(env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{"--net=" + e.namespace, name}, args...)...)
	cmd.Dir = deployed()
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.Host, "DOCKER_SOCKET="+e.socket, "DOCKER_BUILDKIT=0")
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

func (e *isolated) run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	begin := time.Now()
	out, err := e.command(env, name, args...).CombinedOutput()
	t.Logf("%s %s: %s", filepath.Base(name), strings.Join(args, " "), time.Since(begin).Round(100*time.Millisecond))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// buildImages makes the images that compose.yaml names: the collector and the
// backend from their Dockerfiles, VictoriaMetrics, vmalert and Alertmanager
// from their real programs, and the stand-in in place of the others.
func (e *isolated) buildImages(t *testing.T) {
	t.Helper()
	harness.BuildCollector(t)
	e.run(t, []string{"IMAGE=collector:latest"}, "image/build.sh")

	dir := t.TempDir()
	backend := filepath.Join(dir, "backend")
	if err := os.Rename(harness.Build(t, "./backend"), backend); err != nil {
		t.Fatal(err)
	}
	e.run(t, nil, "docker", "build", "-q", "-f", "../backend/Dockerfile", "--target", "prebuilt", "-t", "collector-backend:latest", dir)

	e.importPrograms(t, "victoriametrics/victoria-metrics:v1.131.0", "/victoria-metrics", map[string]string{"/victoria-metrics": harness.Tool(t, "victoria-metrics")})
	e.importPrograms(t, "victoriametrics/vmalert:v1.131.0", "/vmalert", map[string]string{"/vmalert": harness.Tool(t, "vmalert")})
	// Alertmanager's image has BusyBox, of which start.sh uses these.
	e.importPrograms(t, "prom/alertmanager:v0.29.0", "/bin/alertmanager", map[string]string{
		"/bin/alertmanager": harness.Tool(t, "alertmanager"),
		"/bin/sh":           "/bin/sh", "/bin/sed": "/bin/sed", "/bin/cat": "/bin/cat", "/bin/mkdir": "/bin/mkdir",
	})
	standin := harness.Build(t, "./test/stack/standin")
	for _, name := range []string{"grafana/loki:3.5.9", "grafana/tempo:2.8.0", "grafana/pyroscope:1.17.0", "grafana/grafana:12.4.0"} {
		e.importPrograms(t, name, "/bin/standin", map[string]string{"/bin/standin": standin})
	}
}

// importPrograms makes an image of programs, by their paths in it, and of the
// libraries that they need.
func (e *isolated) importPrograms(t *testing.T, image, entrypoint string, programs map[string]string) {
	t.Helper()
	files := maps.Clone(programs)
	for _, program := range programs {
		// It fails for a static program, which needs none.
		out, _ := exec.Command("ldd", program).Output()
		for _, library := range regexp.MustCompile(`/\S+`).FindAllString(string(out), -1) {
			files[library] = library
		}
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for name, source := range files {
		data, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WriteHeader(&tar.Header{Name: name[1:], Mode: 0o755, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		w.Write(data)
	}
	w.WriteHeader(&tar.Header{Name: "tmp/", Mode: 0o1777, Typeflag: tar.TypeDir})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	e.Import(t, &archive, image, fmt.Sprintf("ENTRYPOINT [%q]", entrypoint))
}
