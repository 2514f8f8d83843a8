package discovery

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"collector/pkg/docker/dockertest"
	"collector/pkg/inspect"
)

func TestContainersHaveTheirPortsNetworksAndLabels(t *testing.T) {
	d := dockertest.New(t)
	for id, name := range map[string]string{"n1": "front", "n2": "back"} {
		d.AddNetwork(dockertest.Network{ID: id, Name: name})
	}
	d.Run(dockertest.Container{
		ID: "c1", Name: "web", Labels: map[string]string{"metrics.port": "http"}, NetworkMode: "front", Networks: map[string]string{"front": "10.0.0.2", "back": "10.1.0.2"},
		Ports: []dockertest.Port{{Private: 9090}, {Private: 8080, Public: 80, IP: "0.0.0.0"}, {Private: 8080, Public: 80, IP: "::"}},
	})
	d.Run(dockertest.Container{ID: "c2", Name: "side", NetworkMode: "container:c1"})
	d.Run(dockertest.Container{ID: "c3", Name: "onhost", NetworkMode: "host", Networks: map[string]string{"host": ""}})
	d.Run(dockertest.Container{ID: "collector", Name: "collector", NetworkMode: "back", Networks: map[string]string{"back": "10.1.0.3"}})
	c := newDocker(t, d, dockerConfig(d))
	c.self = self{id: "collector"}
	run(t, c)
	await(t, targetsOf(c, "targets"), func(targets []Target) bool { return len(targets) >= 5 })
	all := c.Containers()
	slices.SortFunc(all, func(a, b inspect.Container) int { return strings.Compare(a.ID, b.ID) })
	var got []string
	for _, c := range all {
		got = append(got, fmt.Sprint(c.ID, " ", c.Ports, c.Networks, c.Labels, c.Here))
	}
	want := []string{
		"c1 [8080 9090] [back front] map[metrics.port:http] [back]", "c2 [] [back front] map[] [back]", "c3 [] [] map[] [back]", "collector [] [back] map[] [back]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}
