package discovery

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/docker"
	"collector/pkg/docker/dockertest"
)

// A container with many labels, networks and ports has their product.
func TestTargetsBeyondTheMemoryBudgetAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		metrics := prometheus.NewRegistry()
		d.Run(dockertest.Container{Name: "good", Ports: []dockertest.Port{{Private: 80}}})
		greedy := dockertest.Container{Name: "greedy", Labels: map[string]string{"long": strings.Repeat("x", 10_000)}}
		for port := range 1000 {
			greedy.Ports = append(greedy.Ports, dockertest.Port{Private: uint16(port + 1)})
		}
		d.Run(greedy)
		made, err := NewDocker(dockerConfig(d), component.Options{Metrics: metrics})
		if err != nil {
			t.Fatal(err)
		}
		if made.engine, err = docker.NewPool(nil).Engine(docker.Config{Host: d.Host(), Client: d.Client(), Key: "test"}); err != nil {
			t.Fatal(err)
		}
		made.limit = 800_000
		run(t, made)
		time.Sleep(time.Minute)
		synctest.Wait()
		of := map[string]int{}
		targets, _ := made.set.Targets()
		for _, target := range targets {
			of[target.Get("__meta_docker_container_name")]++
		}
		if of["/good"] != 1 || of["/greedy"] == 0 || of["/greedy"] > 10 {
			t.Errorf("targets by container: %v", of)
		}
		if got, want := gathered(t, metrics)["collector_docker_targets_dropped"], float64(1000-of["/greedy"]); got != want {
			t.Errorf("%v targets are counted as dropped, want %v", got, want)
		}
	})
}

func TestRefusedRequestsAreShownInMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		d.Refuse("/events", http.StatusForbidden)
		made := newDocker(t, d, dockerConfig(d))
		run(t, made)
		time.Sleep(time.Minute)
		synctest.Wait()
		metrics := prometheus.NewRegistry()
		metrics.MustRegister(EngineMetrics(made.engine))
		got := gathered(t, metrics)
		if refused, ok := got["collector_docker_request_refused GET /events"]; !ok || refused != 1 || got["collector_docker_oversize_answers_total"] != 0 || len(got) != 2 {
			t.Errorf("metrics %v", got)
		}
		if got := made.EngineStatus().Refused; !slices.Equal(got, []string{"GET /events"}) {
			t.Errorf("the status shows %q as refused", got)
		}
	})
}

// gathered are the values of all metrics, by their names and, if they have it,
// their label request.
func gathered(t *testing.T, from prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				if l.GetName() == "request" {
					name += " " + l.GetValue()
				}
			}
			out[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return out
}
