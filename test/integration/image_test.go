//go:build integration

package integration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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

// TestImage runs the image without any setting but the published port, and
// with everything that a careful operator takes away.
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
	// Compose files that name Alloy's binary go on working.
	created, err := engine.Client.ContainerCreate(context.Background(), &container.Config{Image: imageName, Entrypoint: []string{"/bin/alloy"}, Cmd: []string{"--version"}}, nil, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Client.ContainerStart(context.Background(), created.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	engine.WaitExit(t, created.ID)
	if code := engine.Inspect(t, created.ID).State.ExitCode; code != 0 {
		t.Errorf("/bin/alloy --version: exit code %d", code)
	}
}
