//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"

	"collector/test/harness"
)

const imageName = "collector-under-test:latest"

// buildImage builds the image as `make image` does.
func buildImage(t *testing.T, engine *harness.Engine) {
	t.Helper()
	cmd := exec.Command("make", "image")
	cmd.Dir = harness.Root()
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+engine.Host, "IMAGE="+imageName)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make image: %v\n%s", err, out)
	}
}

// TestImage runs the image without any setting but the published port, and without
// everything that a careful operator removes.
func TestImage(t *testing.T) {
	engine := harness.StartEngine(t)
	buildImage(t, engine)
	config := filepath.Join(t.TempDir(), "config.alloy")
	if err := os.WriteFile(config, []byte("logging { level = \"debug\" }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, host := range map[string]*container.HostConfig{
		"plain": {},
		"restricted": {
			ReadonlyRootfs: true, CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"},
			Binds: []string{config + ":/etc/alloy/config.alloy:ro", "collector-data:/var/lib/alloy/data"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			user := ""
			if name == "restricted" {
				user = "65532:65532"
			}
			port := harness.FreePort(t)
			host.PortBindings = nat.PortMap{"12345/tcp": {{HostIP: "127.0.0.1", HostPort: fmt.Sprint(port)}}}
			ctx := context.Background()
			created, err := engine.Client.ContainerCreate(ctx, &container.Config{
				Image: imageName, User: user,
				// The image's own check, made more often.
				Healthcheck: &container.HealthConfig{Interval: time.Second},
			}, host, nil, nil, "")
			if err != nil {
				t.Fatal(err)
			}
			if err := engine.Client.ContainerStart(ctx, created.ID, container.StartOptions{}); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, 20*time.Second, func() error {
				resp, err := http.Get("http://" + harness.Address(port) + "/-/ready")
				if err != nil {
					return err
				}
				defer resp.Body.Close()
				if resp.StatusCode != 200 {
					return fmt.Errorf("status %s", resp.Status)
				}
				return nil
			})
			harness.Eventually(t, 20*time.Second, func() error {
				if status := engine.Inspect(t, created.ID).State.Health.Status; status != container.Healthy {
					return fmt.Errorf("health is %s", status)
				}
				return nil
			})
			if err := engine.Client.ContainerStop(ctx, created.ID, container.StopOptions{}); err != nil {
				t.Fatal(err)
			}
			if code := engine.Inspect(t, created.ID).State.ExitCode; code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
	// Compose files that name Alloy's binary, or Promtail's, keep working.
	for _, binary := range []string{"/bin/alloy", "/usr/bin/promtail"} {
		created, err := engine.Client.ContainerCreate(context.Background(), &container.Config{Image: imageName, Entrypoint: []string{binary}, Cmd: []string{"--version"}}, nil, nil, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := engine.Client.ContainerStart(context.Background(), created.ID, container.StartOptions{}); err != nil {
			t.Fatal(err)
		}
		engine.WaitExit(t, created.ID)
		if code := engine.Inspect(t, created.ID).State.ExitCode; code != 0 {
			t.Errorf("%s --version: exit code %d", binary, code)
		}
	}
}

// TestTheImageOpensAlloysVolumeUnchanged starts the image as Alloy's
// is started, with a volume that Alloy has written as root or as its own user,
// and a socket that is root's alone.
func TestTheImageOpensAlloysVolumeUnchanged(t *testing.T) {
	engine := harness.StartEngine(t)
	buildImage(t, engine)
	config := filepath.Join(t.TempDir(), "config.alloy")
	text := `discovery.docker "all" { host = "unix:///var/run/docker.sock" }
loki.source.docker "all" {
	host = "unix:///var/run/docker.sock"
	targets = discovery.docker.all.targets
	forward_to = [loki.write.default.receiver]
}
loki.write "default" { endpoint { url = "http://127.0.0.1:1/loki/api/v1/push" } }
`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := strings.TrimPrefix(engine.Host, "unix://")
	if err := errors.Join(os.Chmod(socket, 0o600), os.Chown(socket, 0, 0)); err != nil {
		t.Fatal(err)
	}
	for _, owner := range []int{0, 473} {
		t.Run(fmt.Sprintf("user %d", owner), func(t *testing.T) {
			volume := t.TempDir()
			for _, dir := range []string{"loki.source.docker.all", "loki.write.default", "prometheus.remote_write.default/wal"} {
				if err := os.MkdirAll(filepath.Join(volume, dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			positions := filepath.Join(volume, "loki.source.docker.all", "positions.yml")
			if err := os.WriteFile(positions, []byte("positions: {}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			err := filepath.WalkDir(volume, func(path string, _ fs.DirEntry, err error) error {
				return errors.Join(err, os.Chown(path, owner, owner))
			})
			if err != nil {
				t.Fatal(err)
			}
			port := harness.FreePort(t)
			ctx := context.Background()
			created, err := engine.Client.ContainerCreate(ctx, &container.Config{
				Image: imageName,
				Cmd:   []string{"run", "--server.http.listen-addr=0.0.0.0:12345", "--storage.path=/var/lib/alloy/data", "/etc/alloy/config.alloy"},
			}, &container.HostConfig{
				PortBindings: nat.PortMap{"12345/tcp": {{HostIP: "127.0.0.1", HostPort: fmt.Sprint(port)}}},
				Binds:        []string{config + ":/etc/alloy/config.alloy:ro", socket + ":/var/run/docker.sock:ro", volume + ":/var/lib/alloy/data"},
			}, nil, nil, "")
			if err != nil {
				t.Fatal(err)
			}
			if err := engine.Client.ContainerStart(ctx, created.ID, container.StartOptions{}); err != nil {
				t.Fatal(err)
			}
			// The collector reads its own output: cursors and lines are on disk.
			harness.Eventually(t, 30*time.Second, func() error {
				for _, name := range []string{"loki.source.docker.all/cursors", "loki.write.default/destinations.json"} {
					info, err := os.Stat(filepath.Join(volume, name))
					if err != nil {
						return err
					}
					if info.Size() == 0 {
						return fmt.Errorf("%s is empty", name)
					}
				}
				return nil
			})
			if status := engine.Inspect(t, created.ID).State.Status; status != "running" {
				t.Errorf("it is %s", status)
			}
			if err := engine.Client.ContainerStop(ctx, created.ID, container.StopOptions{}); err != nil {
				t.Fatal(err)
			}
		})
	}
}
