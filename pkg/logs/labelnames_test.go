package logs

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
	"collector/pkg/docker/dockertest"
	"collector/pkg/logs/lokitest"
	"collector/pkg/pipeline"
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
		// What a rule before the source has made is no better.
		id := b.container(dockertest.Container{}, "__meta_docker_container_label_5g_interface", "eth0", "__meta_docker_container_label_2fa", "on", "3d", "yes")
		b.daemon.Print(id, "stdout", "line\n")
		b.settle(time.Second)
		const want = `{_2fa="on", _3d="yes", _5g_interface="eth0", container="app", data_center="x"}`
		for _, e := range b.sink.all() {
			if e.Labels != want {
				t.Errorf("labels %s, want %s", e.Labels, want)
			}
		}
		if n := strings.Count(b.log.String(), "level=WARN"); len(b.sink.all()) != 1 || n != 4 {
			t.Errorf("%d entries, %d warnings, want one for each name:\n%s", len(b.sink.all()), n, b.log)
		}
	})
}

func TestNoLabelNameThatLokiRefusesIsPushed(t *testing.T) {
	loki := lokitest.New(t)
	cfg := writeConfig(loki.URL())
	cfg.ExternalLabels = map[string]string{"data-center": "x", "_2fa": "no", "4k": "y"}
	w := startWrite(t, cfg)
	mustWrite(t, w,
		stream(labels.FromStrings("2fa", "on", "http.status", "200"), pipeline.Entry{Time: at(1), Line: "one"}),
		stream(labels.FromStrings("..", "dots", "_", "own", "__internal", "x"), pipeline.Entry{Time: at(2), Line: "two"}))
	var got []string
	for _, e := range loki.AwaitEntries(t.Context(), 2) {
		got = append(got, e.Labels)
	}
	want := []string{
		`{_2fa="on", _4k="y", data_center="x", http_status="200"}`,
		`{_="own", _2fa="no", _4k="y", data_center="x"}`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}
}
