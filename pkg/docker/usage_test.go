package docker

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"collector/pkg/docker/dockertest"
)

func TestDetailsShowHowAContainerWasMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		id := d.Run(dockertest.Container{
			Name: "app", Image: "app:1", Labels: map[string]string{"a": "b"}, Env: []string{"ZONE=north"}, PID: 7, RestartCount: 2,
			UpperDir: "/upper", LogPath: "/log", Memory: 1 << 20, CPUQuota: 50_000, NetworkMode: "host",
		})
		e := open(t, d, &logBuffer{})
		got, err := e.Details(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if got.Created.IsZero() {
			t.Error("it is not known when the container was made")
		}
		if got.ID != id || got.Name != "/app" || got.Image != "app:1" || got.Labels["a"] != "b" || !slices.Equal(got.Env, []string{"ZONE=north"}) || !got.Running || got.PID != 7 ||
			got.RestartCount != 2 || got.NetworkMode != "host" || got.UpperDir != "/upper" || got.LogPath != "/log" || got.Limits != (Limits{Memory: 1 << 20, CPUQuota: 50_000, CPUPeriod: 100_000}) {
			t.Errorf("details: %+v", got)
		}
		if _, err := e.Details(t.Context(), "unknown"); !IsNotFound(err) {
			t.Errorf("a container that does not exist: %v", err)
		}
	})
}

func TestLimitsOfCPUsAreQuotas(t *testing.T) {
	r := &detailsAnswer{}
	r.HostConfig.NanoCPUs, r.HostConfig.MemorySwap, r.HostConfig.CPUQuota = 1_500_000_000, -1, 0
	if got := fromDetails(r).Limits; got != (Limits{CPUPeriod: 100_000, CPUQuota: 150_000}) {
		t.Errorf("1.5 CPUs: %+v", got)
	}
	r.HostConfig.NanoCPUs, r.HostConfig.CPUQuota = 0, -1
	if got := fromDetails(r).Limits; got != (Limits{CPUPeriod: 100_000}) {
		t.Errorf("no limit: %+v", got)
	}
}

func TestUsageIsAskedForInOneShot(t *testing.T) {
	for highest, want := range map[string]string{"1.51": "true", "1.41": "true", "1.40": ""} {
		synctest.Test(t, func(t *testing.T) {
			d := dockertest.NewPipe(t)
			d.SetAPI("1.24", highest)
			id := d.Run(dockertest.Container{Usage: `{"cpu_stats":{"cpu_usage":{"total_usage":5}},"networks":{"eth0":{"rx_bytes":7}}}`})
			stopped := d.Create(dockertest.Container{})
			e := open(t, d, &logBuffer{})
			got, err := e.Usage(t.Context(), id)
			if err != nil || got.CPU.Usage.Total != 5 || got.Networks["eth0"].RxBytes != 7 {
				t.Errorf("usage: %+v, %v", got, err)
			}
			if running, err := e.Running(t.Context()); err != nil || !slices.Equal(running, []string{id}) {
				t.Errorf("running: %v, %v; %s is not", running, err, stopped)
			}
			asked := 0
			for _, r := range d.Requests() {
				if strings.HasSuffix(r.Path, "/stats") {
					asked++
					if r.Query.Get("stream") != "false" || r.Query.Get("one-shot") != want {
						t.Errorf("API %s is asked with %v", highest, r.Query)
					}
				}
			}
			if asked != 1 {
				t.Errorf("asked %d times", asked)
			}
			e.Rest()
		})
	}
}

func TestWithoutStatsUsageIsRefusedOnce(t *testing.T) {
	eachRefusal(t, "/containers/{id}/stats", func(t *testing.T, d *dockertest.Daemon, e *Engine, log *logBuffer) {
		id := d.Run(dockertest.Container{})
		for range 3 {
			if _, err := e.Usage(t.Context(), id); !IsRefused(err) {
				t.Errorf("usage: %v", err)
			}
		}
		if n := d.Count("/containers/" + id + "/stats"); n != 1 {
			t.Errorf("asked %d times", n)
		}
		wantOneWarning(t, d, log, "GET /containers/{id}/stats (CONTAINERS=1")
	})
}

func TestWithoutInspectionsDetailsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		d.Refuse("/containers/{id}/json", http.StatusForbidden)
		id := d.Run(dockertest.Container{})
		e := open(t, d, &logBuffer{})
		if _, err := e.Details(t.Context(), id); !IsRefused(err) {
			t.Errorf("details: %v", err)
		}
	})
}
