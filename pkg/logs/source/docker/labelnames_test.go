package docker

import (
	"strings"
	"testing"
	"time"

	"collector/pkg/discovery"
	"collector/pkg/docker/dockertest"
)

// mapLabels makes labels of a container's labels.
func mapLabels(t *testing.T) *discovery.Rules {
	var r discovery.Rule
	r.SetToDefault()
	r.Action, r.Regex = "labelmap", "__meta_docker_container_label_(.+)"
	rules, err := discovery.Compile([]discovery.Rule{r})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestLabelsOfContainersGetNamesThatLokiAccepts(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.cfg.RelabelRules, b.cfg.Labels = mapLabels(t), map[string]string{"data-center": "x"}
		b.start()
		// The same for what a rule before the source has made.
		id := b.container(dockertest.Container{}, "__meta_docker_container_label_5g_interface", "eth0", "__meta_docker_container_label_2fa", "on", "3d", "yes")
		b.daemon.Print(id, "stdout", "line\n")
		b.settle(time.Second)
		const want = `{_2fa="on", _3d="yes", _5g_interface="eth0", container="app", data_center="x"}`
		for _, e := range b.sink.All() {
			if e.Labels != want {
				t.Errorf("labels %s, want %s", e.Labels, want)
			}
		}
		if n := strings.Count(b.log.String(), "level=WARN"); len(b.sink.All()) != 1 || n != 4 {
			t.Errorf("%d entries, %d warnings, want one for each name:\n%s", len(b.sink.All()), n, b.log)
		}
	})
}
