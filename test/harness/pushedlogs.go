package harness

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"collector/pkg/logs/lokitest"
)

// LogOracle compares what containers wrote with what was pushed to a Loki that accepts
// everything. The entries' labels are expected to hold container_id and stream.
type LogOracle struct {
	Loki *lokitest.Server

	mu   sync.Mutex
	read int                                // requests that have been added
	have map[string]map[string][]PushedLine // by container and stream, in the order of arrival
}

// PushedLine is one entry as it was pushed.
type PushedLine struct {
	Time   time.Time
	Text   string
	Labels map[string]string
}

// StartLogOracle starts the Loki.
func StartLogOracle(t testing.TB) *LogOracle {
	t.Helper()
	return &LogOracle{Loki: lokitest.New(t), have: make(map[string]map[string][]PushedLine)}
}

// take adds the requests that have come since. The caller holds mu.
func (o *LogOracle) take(t testing.TB) {
	t.Helper()
	labels := make(map[string]map[string]string)
	requests := o.Loki.Requests()
	for _, r := range requests[o.read:] {
		for _, e := range r.Entries {
			if labels[e.Labels] == nil {
				parsed, err := lokitest.ParseLabels(e.Labels)
				if err != nil {
					t.Fatal(err)
				}
				labels[e.Labels] = parsed
			}
			l := labels[e.Labels]
			id, stream := l["container_id"], l["stream"]
			if o.have[id] == nil {
				o.have[id] = make(map[string][]PushedLine)
			}
			o.have[id][stream] = append(o.have[id][stream], PushedLine{e.Time, e.Line, l})
		}
	}
	o.read = len(requests)
}

// Pushed returns the lines of one stream of a container in the order in which
// they were pushed, with every repetition.
func (o *LogOracle) Pushed(t testing.TB, id, stream string) []PushedLine {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.take(t)
	return o.have[id][stream]
}

// Count is how many lines of a container were pushed, with every repetition.
func (o *LogOracle) Count(t testing.TB, id string) int {
	t.Helper()
	return len(o.Pushed(t, id, "stdout")) + len(o.Pushed(t, id, "stderr"))
}

// Compare is nil when each line of want was pushed once, in order, with its
// time, and nothing else of that container. It fails the test at what time
// cannot fix: a line that is repeated, out of order or damaged. The text of
// empty lines makes no entry.
func (o *LogOracle) Compare(t testing.TB, id string, want []EngineLine) error {
	t.Helper()
	byStream := map[string][]EngineLine{"stdout": nil, "stderr": nil}
	for _, line := range want {
		if line.Text != "" {
			byStream[line.Stream] = append(byStream[line.Stream], line)
		}
	}
	var missing error
	for stream, lines := range byStream {
		got := o.Pushed(t, id, stream)
		distinct(lines)
		for i := range min(len(got), len(lines)) {
			if got[i].Text != lines[i].Text || !got[i].Time.Equal(lines[i].Time) {
				t.Fatalf("%s of %.12s, line %d of %d: got %s %.100q, want %s %.100q", stream, id, i+1, len(lines), got[i].Time, got[i].Text, lines[i].Time, lines[i].Text)
			}
		}
		switch {
		case len(got) > len(lines):
			extra := got[len(lines)]
			t.Fatalf("%s of %.12s: %d lines were pushed, %d were written; the first too many is %s %.100q", stream, id, len(got), len(lines), extra.Time, extra.Text)
		case len(got) < len(lines):
			missing = fmt.Errorf("%s of %.12s: %d of %d lines were pushed", stream, id, len(got), len(lines))
		}
	}
	return missing
}

// distinct moves lines that have the time of the line before by a nanosecond,
// as the collector does to keep their order.
func distinct(lines []EngineLine) {
	for i := 1; i < len(lines); i++ {
		before := lines[i-1].Time
		if !lines[i].Time.After(before) && before.Sub(lines[i].Time) < time.Second {
			lines[i].Time = before.Add(1)
		}
	}
}

// Await waits until n lines of a container were pushed, and compares them with
// what the Engine has of it.
func (o *LogOracle) Await(t testing.TB, limit time.Duration, e *Engine, id string, n int) {
	t.Helper()
	o.AwaitCount(t, limit, id, n)
	if err := o.Compare(t, id, e.Output(t, id)); err != nil {
		t.Fatal(err)
	}
}

// AwaitCount waits until n lines of a container were pushed.
func (o *LogOracle) AwaitCount(t testing.TB, limit time.Duration, id string, n int) {
	t.Helper()
	Eventually(t, limit, func() error {
		if got := o.Count(t, id); got < n {
			return fmt.Errorf("%.12s: %d of %d lines were pushed", id, got, n)
		}
		return nil
	})
}

// LogsConfig is a configuration that pushes what the containers with the label
// scenario write, under the labels container_id, container, stream and host, to
// a Loki. Extra is added to loki.source.docker.
func LogsConfig(host, scenario, push, extra string) string {
	replace := strings.NewReplacer("HOST", host, "SCENARIO", scenario, "PUSH", push, "EXTRA", extra)
	return replace.Replace(`
discovery.docker "all" {
	host             = "HOST"
	refresh_interval = "5s"

	filter {
		name   = "label"
		values = ["scenario=SCENARIO"]
	}
}

discovery.relabel "all" {
	targets = discovery.docker.all.targets

	rule {
		source_labels = ["__meta_docker_container_name"]
		regex         = "/(.*)"
		target_label  = "container"
	}

	rule {
		source_labels = ["__meta_docker_container_id"]
		target_label  = "container_id"
	}

	rule {
		source_labels = ["__meta_docker_container_log_stream"]
		target_label  = "stream"
	}
}

loki.source.docker "all" {
	host          = "HOST"
	targets       = discovery.relabel.all.output
	relabel_rules = discovery.relabel.all.rules
	forward_to    = [loki.write.all.receiver]
	EXTRA
}

loki.write "all" {
	endpoint { url = "PUSH" }
}
`)
}
