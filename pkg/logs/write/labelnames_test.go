package write

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/logs/lokitest"
	"collector/pkg/pipeline"
)

func TestNoLabelNameThatLokiRejectsIsPushed(t *testing.T) {
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
