package harness

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"
)

// Engine is a real Docker Engine of the test's own.
type Engine struct {
	Host   string // unix://…
	Client *client.Client

	dir     string
	bridge  string // the network interface of the default network
	process *Process
}

// AppImage is the image of the command in test/app.
const AppImage = "collector-test-app:latest"

// StartEngine starts dockerd and loads AppImage. It needs root.
func StartEngine(t testing.TB) *Engine {
	t.Helper()
	if _, err := exec.LookPath("dockerd"); err != nil {
		t.Fatal("dockerd is not installed: run `make setup` first")
	}
	// A socket's path is limited to 107 bytes, which t.TempDir may exceed.
	dir, err := os.MkdirTemp("", "engine")
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{Host: "unix://" + filepath.Join(dir, "docker.sock"), dir: dir}
	e.bridge, _ = addBridge(t)
	e.Client, err = client.NewClientWithOpts(client.WithHost(e.Host), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	e.Start(t)
	// With --live-restore, a container that is left behind lives on, and keeps
	// an address that the next Engine gives to another.
	t.Cleanup(func() {
		e.removeContainers()
		e.Stop(t)
	})
	e.importApp(t)
	return e
}

// addBridge makes the interface of a network, on a subnet of 256 addresses that
// no other interface has, whoever else runs tests. It returns its name and the
// host's address there.
func addBridge(t testing.TB) (bridge, address string) {
	t.Helper()
	for n := range 200 {
		bridge, address = fmt.Sprintf("ctest%d", n), fmt.Sprintf("10.213.%d.1", n)
		if exec.Command("ip", "link", "add", bridge, "type", "bridge").Run() != nil {
			continue
		}
		t.Cleanup(func() { exec.Command("ip", "link", "del", bridge).Run() })
		for _, args := range [][]string{{"addr", "add", address + "/24", "dev", bridge}, {"link", "set", bridge, "up"}} {
			if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
				t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		}
		return bridge, address
	}
	t.Fatal("no bridge can be made: that takes root and iproute2 (run `make setup`)")
	return "", ""
}

// Start starts dockerd, which keeps its containers while it is away.
func (e *Engine) Start(t testing.TB) {
	t.Helper()
	path := func(name string) string { return filepath.Join(e.dir, name) }
	e.process = Start(t, "dockerd", nil, "dockerd", "--data-root", path("data"), "--exec-root", path("exec"),
		"--pidfile", path("pid"), "-H", e.Host, "--live-restore", "--log-level=error",
		// A bridge of its own and no firewall rules keep Engines apart that run
		// side by side, the machine's own among them.
		"--bridge", e.bridge, "--iptables=false", "--ip6tables=false")
	Eventually(t, 60*time.Second, func() error {
		_, err := e.Client.Ping(context.Background())
		return err
	})
}

// Stop ends dockerd; with --live-restore its containers run on.
func (e *Engine) Stop(t testing.TB) { e.process.Terminate(t, 60*time.Second) }

func (e *Engine) removeContainers() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	list, err := e.Client.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return
	}
	for _, c := range list {
		e.Client.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true})
	}
}

func (e *Engine) importApp(t testing.TB) {
	t.Helper()
	binary, err := os.ReadFile(Build(t, "./test/app"))
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(binary))}); err != nil {
		t.Fatal(err)
	}
	w.Write(binary)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	e.Import(t, &archive, AppImage, `ENTRYPOINT ["/app"]`)
}

// Import makes an image of a root file system.
func (e *Engine) Import(t testing.TB, archive io.Reader, name string, changes ...string) {
	t.Helper()
	r, err := e.Client.ImageImport(context.Background(), image.ImportSource{Source: archive, SourceName: "-"}, name, image.ImportOptions{Changes: changes})
	if err != nil {
		t.Fatalf("import %s: %v", name, err)
	}
	io.Copy(io.Discard, r)
	r.Close()
}

// Container says what to run.
type Container struct {
	Name       string
	Args       []string
	Labels     map[string]string
	Ports      []string // exposed, such as "8080/tcp"
	TTY        bool
	AutoRemove bool
	Network    string // network mode
	LogDriver  string
	LogOptions map[string]string
	Restart    string // restart policy
}

// Run creates and starts a container and returns its id.
func (e *Engine) Run(t testing.TB, c Container) string {
	t.Helper()
	config := &container.Config{Image: AppImage, Cmd: c.Args, Labels: c.Labels, Tty: c.TTY, ExposedPorts: ports(c.Ports)}
	host := &container.HostConfig{
		AutoRemove: c.AutoRemove, NetworkMode: container.NetworkMode(c.Network),
		LogConfig:     container.LogConfig{Type: c.LogDriver, Config: c.LogOptions},
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyMode(c.Restart)},
	}
	ctx := context.Background()
	created, err := e.Client.ContainerCreate(ctx, config, host, &network.NetworkingConfig{}, nil, c.Name)
	if err != nil {
		t.Fatalf("create container %s: %v", c.Name, err)
	}
	if err := e.Client.ContainerStart(ctx, created.ID, container.StartOptions{}); err != nil {
		t.Fatalf("start container %s: %v", c.Name, err)
	}
	return created.ID
}

// IP is a container's address on the default bridge.
func (e *Engine) IP(t testing.TB, id string) string {
	t.Helper()
	info, err := e.Client.ContainerInspect(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return info.NetworkSettings.Networks["bridge"].IPAddress
}

// WaitExit waits until a container has ended.
func (e *Engine) WaitExit(t testing.TB, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	done, failed := e.Client.ContainerWait(ctx, id, container.WaitConditionNotRunning)
	select {
	case <-done:
	case err := <-failed:
		t.Fatalf("wait for container %s: %v", id, err)
	}
}

// Inspect returns what the Engine knows of a container.
func (e *Engine) Inspect(t testing.TB, id string) container.InspectResponse {
	t.Helper()
	info, err := e.Client.ContainerInspect(context.Background(), id)
	if err != nil {
		t.Fatal(fmt.Errorf("inspect %s: %w", id, err))
	}
	return info
}

func ports(names []string) nat.PortSet {
	set := nat.PortSet{}
	for _, name := range names {
		set[nat.Port(name)] = struct{}{}
	}
	return set
}

// EngineLine is one line as the Engine keeps it.
type EngineLine struct {
	Time   time.Time
	Stream string
	Text   string
}

// Output reads a container's whole output from the Engine's own log file, which
// is the truth that a collector has to match. The log driver is json-file.
func (e *Engine) Output(t testing.TB, id string) []EngineLine {
	t.Helper()
	data, err := os.ReadFile(e.Inspect(t, id).LogPath)
	if err != nil {
		t.Fatal(err)
	}
	joined := newPieces()
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		var record struct {
			Log, Stream string
			Time        time.Time
		}
		err := decoder.Decode(&record)
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) { // the Engine may be writing
			return joined.lines
		}
		if err != nil {
			t.Fatalf("log file of %s: %v", id, err)
		}
		text, whole := strings.CutSuffix(record.Log, "\n")
		joined.add(record.Time, record.Stream, text, whole)
	}
}

// pieces joins the pieces in which an Engine keeps long lines.
type pieces struct {
	lines []EngineLine
	open  map[string]*EngineLine // by stream: a line of which more is to come
}

func newPieces() *pieces { return &pieces{open: make(map[string]*EngineLine)} }

// add adds a piece, the last one of its line if whole. A line has the time of
// its first piece.
func (p *pieces) add(at time.Time, stream, text string, whole bool) {
	line := p.open[stream]
	if line == nil {
		line = &EngineLine{Time: at, Stream: stream}
	}
	line.Text += text
	if p.open[stream] = nil; !whole {
		p.open[stream] = line
		return
	}
	p.lines = append(p.lines, *line)
}
