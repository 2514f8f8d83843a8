//go:build integration

// Package integration runs the collector as a user does, between real
// containers, clients and backends, and compares what arrives with what was
// produced.
package integration

import (
	"bytes"
	_ "embed"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"text/template"

	"collector/pkg/profiles/profilestest"
	"collector/test/harness"
)

//go:embed pipeline.alloy
var pipelineConfig string

// stack is a collector with everything around it. A proxy is in front of each
// backend.
type stack struct {
	Engine    *harness.Engine
	Metrics   *harness.VictoriaMetrics
	Logs      *harness.VictoriaLogs
	Tempo     *harness.OTLPServer
	Pyroscope *profilestest.Server
	Fronts    map[string]*harness.Front // by signal

	Collector                         *harness.Collector
	GRPCPort, HTTPPort, PyroscopePort int
}

// startStack starts everything but the collector, which is configured with
// pipeline.alloy.
func startStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{
		Engine:    harness.StartEngine(t),
		Metrics:   harness.StartVictoriaMetrics(t),
		Logs:      harness.StartVictoriaLogs(t),
		Tempo:     harness.StartOTLPServer(t),
		Pyroscope: profilestest.NewServer(t),
		GRPCPort:  harness.FreePort(t), HTTPPort: harness.FreePort(t), PyroscopePort: harness.FreePort(t),
	}
	s.Fronts = map[string]*harness.Front{
		"metrics":  harness.StartFront(t, hostPort(t, s.Metrics.URL)),
		"logs":     harness.StartFront(t, hostPort(t, s.Logs.URL)),
		"traces":   harness.StartFront(t, s.Tempo.Address),
		"profiles": harness.StartFront(t, hostPort(t, s.Pyroscope.URL)),
	}
	s.Collector = harness.NewCollector(t, s.config(t, pipelineConfig))
	return s
}

func hostPort(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// config fills in a configuration's addresses.
func (s *stack) config(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	err := template.Must(template.New("config").Parse(text)).Execute(&b, map[string]any{
		"Docker": s.Engine.Host, "Loki": s.Fronts["logs"].Address, "VictoriaMetrics": s.Fronts["metrics"].Address,
		"Tempo": s.Fronts["traces"].Address, "Pyroscope": s.Fronts["profiles"].Address,
		"GRPCPort": s.GRPCPort, "HTTPPort": s.HTTPPort, "PyroscopePort": s.PyroscopePort,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func hostname(t *testing.T) string {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// compose is the labels that Docker Compose gives to a container.
func compose(project, service string, more ...string) map[string]string {
	out := map[string]string{"com.docker.compose.project": project, "com.docker.compose.service": service}
	for i := 0; i+1 < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

// checkLogs compares what VictoriaLogs has of a container with what the Engine
// itself kept: each line, once, in order, with its timestamp and labels.
func (s *stack) checkLogs(t *testing.T, id string, labels map[string]string) error {
	t.Helper()
	want := make(map[string][]harness.EngineLine)
	for _, line := range s.Engine.Output(t, id) {
		want[line.Stream] = append(want[line.Stream], line)
	}
	total := 0
	for stream, lines := range want {
		got := s.Logs.Query(t, fmt.Sprintf(`{container_id=%q,stream=%q}`, id, stream))
		if len(got) != len(lines) {
			return fmt.Errorf("%s of %.12s: %d lines arrived, %d were written%s", stream, id, len(got), len(lines), firstDifference(got, lines))
		}
		for i, line := range lines {
			if got[i].Line != line.Text || !got[i].Time.Equal(line.Time) {
				t.Fatalf("%s of %.12s, line %d: got %s %.200q, want %s %.200q", stream, id, i, got[i].Time, got[i].Line, line.Time, line.Text)
			}
			checkLabels(t, got[i].Fields, labels, "stream", stream, "container_id", id, "host", hostname(t))
		}
		total += len(lines)
	}
	if all := s.Logs.Query(t, fmt.Sprintf(`{container_id=%q}`, id)); len(all) != total {
		t.Fatalf("%.12s: %d lines in all streams, want %d", id, len(all), total)
	}
	return nil
}

func firstDifference(got []harness.LogEntry, want []harness.EngineLine) string {
	for i := range min(len(got), len(want)) {
		if got[i].Line != want[i].Text {
			return fmt.Sprintf("; line %d is %.80q instead of %.80q", i, got[i].Line, want[i].Text)
		}
	}
	return ""
}

// checkLabels fails the test unless got is exactly labels and more.
func checkLabels(t *testing.T, got, labels map[string]string, more ...string) {
	t.Helper()
	want := make(map[string]string)
	for name, value := range labels {
		want[name] = value
	}
	for i := 0; i+1 < len(more); i += 2 {
		want[more[i]] = more[i+1]
	}
	var wrong []string
	for name, value := range want {
		if got[name] != value {
			wrong = append(wrong, fmt.Sprintf("%s is %q, want %q", name, got[name], value))
		}
	}
	for name, value := range got {
		if _, ok := want[name]; !ok {
			wrong = append(wrong, fmt.Sprintf("%s=%q is not wanted", name, value))
		}
	}
	if len(wrong) > 0 {
		t.Fatalf("labels: %s", strings.Join(wrong, "; "))
	}
}
