package logs_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/docker/dockertest"
	"collector/pkg/logs/logstest"
	"collector/pkg/logs/lokitest"
	"collector/pkg/logs/process"
	"collector/pkg/pipeline"
)

// firstLineEnv has the collector of logs join lines: its value is the regular
// expression of first lines.
const firstLineEnv = "LOGS_TEST_FIRST_LINE"

func childProcess(firstLine, dir string, to pipeline.LogsSink) (*process.Process, error) {
	var m process.MultilineConfig
	m.SetToDefault()
	m.FirstLine, m.MaxWaitTime = firstLine, time.Hour // a slow machine is to cut no block
	cfg := process.Config{ForwardTo: []pipeline.LogsSink{to}, Stages: []process.StageConfig{{Multiline: &m}}}
	return process.New(cfg, component.Options{Dir: filepath.Join(dir, "process"), Metrics: prometheus.NewRegistry()})
}

// streamRule makes a label of the stream.
func streamRule() (*discovery.Rules, error) {
	var rule discovery.Rule
	rule.SetToDefault()
	rule.SourceLabels, rule.TargetLabel = []string{"__meta_docker_container_log_stream"}, "stream"
	return discovery.Compile([]discovery.Rule{rule})
}

// Killed again and again while lines are held back, and while Loki is down, the
// collector delivers each block whole; what it repeats is identical.
func TestAKilledCollectorCutsNoBlock(t *testing.T) {
	engine, loki, dir := dockertest.New(t), lokitest.New(t), t.TempDir()
	id := engine.Run(dockertest.Container{})
	start := func() (kill func()) {
		return logstest.StartChild(t, nil, childEnv+"="+strings.Join([]string{dir, engine.Host(), loki.URL(), id}, " "), firstLineEnv+"=^block")
	}
	var want []string
	load := func(stop <-chan struct{}) {
		for {
			block, noise := fmt.Sprintf("block %d", len(want)), fmt.Sprintf("noise %d", len(want))
			engine.Print(id, "stderr", block+"\n")
			for i := range 5 {
				line := fmt.Sprintf(" at %d in %d", i, len(want))
				engine.Print(id, "stdout", noise+line+"\n")
				engine.Print(id, "stderr", line+"\n")
				block += "\n" + line
				want = append(want, noise+line)
			}
			want = append(want, block)
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	killAgainAndAgain(t, loki, start, load)
	engine.Print(id, "stderr", "block end\n")
	loki.AwaitEntries(t.Context(), len(want))
	var got []string
	for _, e := range loki.Entries() {
		got = append(got, e.Line)
	}
	logstest.WantEach(t, want, got)
	t.Logf("%d entries, %d repeated identically", len(want), loki.Repeated())
}
