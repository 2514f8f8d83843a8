//go:build integration

package cadvisor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	api "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"collector/test/harness"
)

// server is a container that serves pages, whose limits are known.
func server(t *testing.T, engine *harness.Engine) (id, url string) {
	t.Helper()
	created, err := engine.Client.ContainerCreate(t.Context(),
		&api.Config{Image: harness.AppImage, Cmd: []string{"-serve", ":8080", "-stay"}, Labels: map[string]string{"com.example.team": "a"}, Env: []string{"SHOP_ZONE=north"}},
		&api.HostConfig{Resources: api.Resources{Memory: 96 << 20, MemoryReservation: 32 << 20, CPUShares: 512, CPUPeriod: 100_000, CPUQuota: 150_000}},
		&network.NetworkingConfig{}, nil, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Client.ContainerStart(t.Context(), created.ID, api.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	url = "http://" + engine.IP(t, created.ID) + ":8080/metrics"
	harness.Eventually(t, 30*time.Second, func() error { _, err := fetch(url); return err })
	return created.ID, url
}

func fetch(url string) (int64, error) {
	response, err := http.Get(url)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	return io.Copy(io.Discard, response.Body)
}

// where finds the id that cAdvisor gives a container.
func (s series) where(t *testing.T, id string) string {
	t.Helper()
	for key := range s {
		if _, rest, ok := strings.Cut(key, ",id="); ok && strings.HasPrefix(key, "container_last_seen{") && strings.Contains(rest, id) {
			name, _, _ := strings.Cut(rest, ",")
			return name
		}
	}
	t.Fatalf("container %s is not on the page", id)
	return ""
}

// Values are compared with what the container did, and with what the kernel says of it,
// with the cgroups and without.
func TestARealContainerIsMeasured(t *testing.T) {
	engine := harness.StartEngine(t)
	id, url := server(t, engine)
	for _, mounted := range []bool{true, false} {
		t.Run(fmt.Sprintf("cgroups=%v", mounted), func(t *testing.T) {
			at := findPlaces()
			if !mounted {
				at.cgroups, at.proc = nil, ""
			}
			c := make1(t, Config{}.at(engine.Host), at)
			before := c.series(t)
			name := before.where(t, id)
			first := before.of(name)
			var received int64
			for range 200 {
				n, err := fetch(url)
				if err != nil {
					t.Fatal(err)
				}
				received += n
			}
			after := c.series(t).of(name)
			grown := func(metric string) float64 { return after[metric] - first[metric] }
			if sent := grown("container_network_transmit_bytes_total{interface=eth0}"); sent < float64(received) || sent > 3*float64(received)+400_000 {
				t.Errorf("%v bytes of pages were sent as %v bytes", received, sent)
			}
			if grown("container_network_receive_packets_total{interface=eth0}") < 200 {
				t.Error("200 requests came in fewer packets")
			}
			if after["container_cpu_user_seconds_total"] < first["container_cpu_user_seconds_total"] || total(after) <= total(first) {
				t.Errorf("CPU time went from %v to %v seconds", total(first), total(after))
			}
			if used := after["container_memory_usage_bytes"]; used <= 0 || used > 96<<20 || after["container_memory_working_set_bytes"] > used {
				t.Errorf("memory in use: %v", used)
			}
			after.want(t, map[string]float64{
				"container_spec_memory_limit_bytes": 96 << 20, "container_spec_memory_reservation_limit_bytes": 32 << 20,
				"container_spec_cpu_quota": 150_000, "container_spec_cpu_period": 100_000,
			})
			if started := after["container_start_time_seconds"]; time.Since(time.Unix(int64(started), 0)) > 10*time.Minute {
				t.Errorf("made at %v", started)
			}
			if mounted {
				c.realCgroup(t, id, after)
			} else if s := c.Status().(Status); s.Cgroups != "" || len(s.Missing) == 0 {
				t.Errorf("status: %+v", s)
			}
		})
	}
}

// realCgroup compares what only cgroups show.
func (c *CAdvisor) realCgroup(t *testing.T, id string, got series) {
	t.Helper()
	if s := c.Status().(Status); s.Cgroups == "" || s.Containers == 0 {
		t.Errorf("status: %+v", s)
	}
	threads := 0.0
	for _, state := range taskStates() {
		threads += got["container_tasks_state{state="+state+"}"]
	}
	if threads < 1 {
		t.Error("no threads")
	}
	layer := c.series(t)
	found := false
	for key, value := range layer.of(layer.where(t, id)) {
		if strings.HasPrefix(key, "container_fs_usage_bytes{") && value > 0 {
			found = true
		}
	}
	if !found {
		t.Error("what the container takes on disk is not known")
	}
}

func total(s series) (sum float64) {
	for key, value := range s {
		if strings.HasPrefix(key, "container_cpu_usage_seconds_total") {
			sum += value
		}
	}
	return sum
}

// A restart makes another cgroup and another process; the container stays what it is.
func TestARestartOfARealContainerIsFollowed(t *testing.T) {
	engine := harness.StartEngine(t)
	id, url := server(t, engine)
	c := make1(t, Config{}.at(engine.Host), findPlaces())
	for range 100 {
		if _, err := fetch(url); err != nil {
			t.Fatal(err)
		}
	}
	page := c.series(t)
	name := page.where(t, id)
	before := page.of(name)
	if err := engine.Client.ContainerRestart(t.Context(), id, api.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	url = "http://" + engine.IP(t, id) + ":8080/metrics"
	harness.Eventually(t, 30*time.Second, func() error { _, err := fetch(url); return err })
	page = c.series(t)
	after := page.of(page.where(t, id))
	const sent = "container_network_transmit_bytes_total{interface=eth0}"
	if after[sent] <= 0 || after[sent] >= before[sent] {
		t.Errorf("the counter of the new process is %v, was %v", after[sent], before[sent])
	}
	if after["container_start_time_seconds"] != before["container_start_time_seconds"] {
		t.Error("the container counts as another one")
	}
	if err := engine.Client.ContainerStop(t.Context(), id, api.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	for key := range c.series(t) {
		if strings.Contains(key, id) {
			t.Fatalf("a container that has stopped has %s", key)
		}
	}
}

// A process that needs more memory than there is is counted once it is killed.
func TestAnOOMKillOfARealCgroupCounts(t *testing.T) {
	h, err := findHierarchy(findPlaces().cgroups)
	if err != nil {
		t.Fatal(err)
	}
	controller, limit := "memory", "memory.limit_in_bytes"
	if h.unified {
		controller, limit = "", "memory.max"
	}
	folder := filepath.Join(h.roots[controller], "collector-test-oom")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		harness.Eventually(t, 30*time.Second, func() error { return os.Remove(folder) })
	})
	if err := os.WriteFile(filepath.Join(folder, limit), []byte("8388608"), 0o644); err != nil {
		t.Fatal(err)
	}
	group := cgroup{h, "/collector-test-oom"}
	if got := group.usage(kinds{}); got.ooms == nil || *got.ooms != 0 || got.limits.limit != 8<<20 {
		t.Fatalf("before: %+v", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	hungry := exec.CommandContext(ctx, "sh", "-c", "echo $$ > "+filepath.Join(folder, "cgroup.procs")+"; exec dd if=/dev/zero of=/dev/null bs=64M count=1")
	hungry.Run()
	harness.Eventually(t, 30*time.Second, func() error {
		got := group.usage(kinds{})
		if got.ooms == nil || *got.ooms == 0 || got.memory.failures == 0 {
			return fmt.Errorf("after: %+v", got.memory)
		}
		return nil
	})
}

// at is the default configuration for an Engine.
func (c Config) at(host string) Config {
	c.SetToDefault()
	c.DockerHost = host
	return c
}
