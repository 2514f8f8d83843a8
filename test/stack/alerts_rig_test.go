//go:build integration

package stack

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"collector/cmd/collector/builtin"
	"collector/pkg/profiles/profilestest"
	"collector/test/harness"
)

// watched is the example service in containers, under the collector with its built-in
// configuration, which scrapes often. A proxy is in front of each backend that a test
// stops.
type watched struct {
	Engine    *harness.Engine
	Metrics   *harness.VictoriaMetrics
	Logs      *harness.VictoriaLogs
	Tempo     *harness.OTLPServer
	Pyroscope *profilestest.Server
	Proxies   map[string]*harness.Proxy // by signal: logs, traces
	Collector *harness.Collector

	grpcPort, pyroscopePort int
}

const backendImage = "collector-test-backend:latest"

// startWatched starts everything but the collector, which may be given more
// configuration first.
func startWatched(t *testing.T, metrics *harness.VictoriaMetrics) *watched {
	t.Helper()
	w := &watched{
		Engine:    harness.StartEngine(t),
		Metrics:   metrics,
		Logs:      harness.StartVictoriaLogs(t),
		Tempo:     harness.StartOTLPServer(t),
		Pyroscope: profilestest.NewLooseServer(t),
		grpcPort:  harness.FreePort(t), pyroscopePort: harness.FreePort(t),
	}
	w.Proxies = map[string]*harness.Proxy{
		"logs":   harness.StartProxy(t, strings.TrimPrefix(w.Logs.URL, "http://")),
		"traces": harness.StartProxy(t, w.Tempo.Address),
	}
	w.Collector = harness.NewCollector(t, "logging {}",
		"DOCKER_HOST="+w.Engine.Host,
		"COLLECTOR_METRICS_URL="+metrics.WriteURL(),
		"COLLECTOR_LOGS_URL=http://"+w.Proxies["logs"].Address+"/insert/loki/api/v1/push",
		"COLLECTOR_TRACES_ENDPOINT="+w.Proxies["traces"].Address,
		"COLLECTOR_PROFILES_URL="+w.Pyroscope.URL)
	w.Collector.Configure(t, w.config(t))
	w.buildBackend(t)
	return w
}

// config is the built-in configuration on ports of the test's own.
func (w *watched) config(t *testing.T) string {
	t.Helper()
	text := builtin.Config(builtin.Parts(os.Getenv), true)
	for old, replacement := range map[string]string{
		`scrape_interval = "15s"`: "scrape_interval = \"500ms\"\n\tscrape_timeout = \"500ms\"",
		`"0.0.0.0:4317"`:          fmt.Sprintf(`"0.0.0.0:%d"`, w.grpcPort),
		`"0.0.0.0:4318"`:          fmt.Sprintf(`"0.0.0.0:%d"`, harness.FreePort(t)),
		`listen_port    = 4040`:   fmt.Sprintf("listen_port = %d", w.pyroscopePort),
	} {
		if strings.Count(text, old) != 1 {
			t.Fatalf("the built-in configuration does not have %q once", old)
		}
		text = strings.Replace(text, old, replacement, 1)
	}
	return text
}

// buildBackend builds the example service's image by its Dockerfile.
func (w *watched) buildBackend(t *testing.T) {
	t.Helper()
	binary := harness.Build(t, "./backend")
	cmd := exec.Command("docker", "build", "-q", "-f", "backend/Dockerfile", "--target", "prebuilt", "-t", backendImage, filepath.Dir(binary))
	cmd.Dir = harness.Root()
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+w.Engine.Host)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker build: %v\n%s", err, out)
	}
}

// runBackend runs the example service as Compose would in a project, and
// returns the container's id.
func (w *watched) runBackend(t *testing.T, project string) string {
	t.Helper()
	gateway := w.Engine.Gateway(t)
	created, err := w.Engine.Client.ContainerCreate(context.Background(), &container.Config{
		Image: backendImage,
		Env: []string{
			"OTLP_HOST=" + gateway, fmt.Sprintf("OTLP_PORT=%d", w.grpcPort),
			"PYROSCOPE_HOST=" + gateway, fmt.Sprintf("PYROSCOPE_PORT=%d", w.pyroscopePort),
		},
		Labels: map[string]string{
			"com.docker.compose.project": project, "com.docker.compose.service": "backend", "metrics.scrape": "true",
		},
	}, nil, nil, nil, project+"-backend-1")
	if err != nil {
		t.Fatal(err)
	}
	w.start(t, created.ID)
	return created.ID
}

// start starts or restarts a container, and waits until it serves.
func (w *watched) start(t *testing.T, id string) {
	t.Helper()
	if err := w.Engine.Client.ContainerStart(context.Background(), id, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 20*time.Second, func() error { return fetch(w.url(t, id) + "/health") })
}

func (w *watched) url(t *testing.T, id string) string {
	t.Helper()
	return "http://" + w.Engine.IP(t, id) + ":8000"
}

func fetch(url string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

// load requests each path in turn, until ctx ends.
func load(ctx context.Context, every time.Duration, base string, paths ...string) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			go fetch(base + paths[i%len(paths)]) // the metrics show the outcome
		}
	}
}
