//go:build integration

package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"collector/test/harness"
	"collector/test/stack/received"
)

// environment is one project that runs.
type environment struct {
	engine *isolated
	name   string
	files  []string // Compose files; compose.yaml by default
	env    []string
}

func (p *environment) compose(t *testing.T, args ...string) string {
	t.Helper()
	var files []string
	for _, file := range p.files {
		files = append(files, "-f", file)
	}
	return p.engine.run(t, p.env, harness.Tool(t, "docker-compose"), append(append(files, "-p", p.name), args...)...)
}

// up starts the project, or some of its services, and waits until they are healthy.
// Compose must not have to download or build anything.
func (p *environment) up(t *testing.T, services ...string) {
	t.Helper()
	p.compose(t, append([]string{"up", "--detach", "--wait", "--wait-timeout", "120", "--no-build", "--pull", "never"}, services...)...)
}

func (p *environment) down(t *testing.T) {
	if t.Failed() {
		t.Logf("%s:\n%s", p.name, p.compose(t, "ps", "--all"))
		t.Logf("%s:\n%s", p.name, p.compose(t, "logs", "--tail", "5"))
	}
	p.compose(t, "down", "--volumes", "--timeout", "3")
}

// containers are the project's, by service.
func (p *environment) containers(t *testing.T) map[string]container.InspectResponse {
	t.Helper()
	list, err := p.engine.Client.ContainerList(context.Background(), container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", "com.docker.compose.project="+p.name)),
	})
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]container.InspectResponse)
	for _, c := range list {
		out[c.Labels["com.docker.compose.service"]] = p.engine.Inspect(t, c.ID)
	}
	return out
}

// get reads JSON from a service's port.
func (p *environment) get(t *testing.T, service, path string, into any) {
	t.Helper()
	address := p.containers(t)[service].NetworkSettings.Networks[p.name+"_default"].IPAddress
	resp, err := p.engine.HTTP.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s of %s: %s", path, service, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatalf("%s of %s: %v", path, service, err)
	}
}

func (p *environment) received(t *testing.T, service, port string) (r received.Received) {
	t.Helper()
	p.get(t, service, port+"/received", &r)
	return r
}

// series is the answer to a PromQL query.
func (p *environment) series(t *testing.T, query string) []struct {
	Metric map[string]string
	Value  [2]any
} {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	p.get(t, "victoriametrics", ":8428/api/v1/query?query="+url.QueryEscape(query), &answer)
	return answer.Data.Result
}

// TestStack starts the whole stack twice on one Engine by Docker Compose, sends
// load, and compares what has arrived.
func TestStack(t *testing.T) {
	engine := startIsolated(t)
	engine.buildImages(t)
	dev := &environment{engine: engine, name: "dev"}
	staging := &environment{engine: engine, name: "staging", env: []string{"GRAFANA_PORT=3001", "BACKEND_PORT=8001", "COLLECTOR_PORT=12346", "FARO_PORT=12348"}}
	for _, p := range []*environment{dev, staging} {
		t.Cleanup(func() { p.down(t) })
	}
	t.Run("up", func(t *testing.T) {
		for _, p := range []*environment{dev, staging} {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				p.up(t)
				p.checkHealth(t)
			})
		}
	})
	if t.Failed() {
		return
	}
	t.Run("ports", func(t *testing.T) {
		for _, port := range []string{"3000/api/health", "8000/health", "12345/-/ready", "3001/api/health", "8001/health", "12346/-/ready"} {
			resp, err := engine.HTTP.Get("http://127.0.0.1:" + port)
			if err != nil {
				t.Error(err)
				continue
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", port, resp.Status)
			}
		}
	})
	engine.run(t, []string{"LOAD_SECONDS=5"}, "./load.sh", "30", "http://127.0.0.1:8000")
	engine.run(t, []string{"LOAD_SECONDS=4"}, "./load.sh", "20", "http://127.0.0.1:8001")
	for _, p := range []*environment{dev, staging} {
		t.Run(p.name+" has everything once", p.checkData)
		t.Run(p.name+" has the rules", p.checkRules)
		t.Run(p.name+" knows the host and its containers", p.checkDashboards)
	}
	for _, p := range []*environment{dev, staging} {
		t.Run(p.name+" asks Docker for nothing that is rejected", p.checkNothingRejected)
	}
	t.Run("with the host", func(t *testing.T) { checkWithHost(t, engine) })
	if a, b := dev.received(t, "loki", ":3100"), staging.received(t, "loki", ":3100"); len(a.Lines) == len(b.Lines) {
		t.Errorf("both projects have %d lines, although they had different load", len(a.Lines))
	}
}

// checkHealth checks each container as its own health check says.
func (p *environment) checkHealth(t *testing.T) {
	containers := p.containers(t)
	want := []string{"alertmanager", "backend", "collector", "docker-proxy", "grafana", "loki", "probe", "pyroscope", "tempo", "victoriametrics", "vmalert"}
	if got := slices.Sorted(maps.Keys(containers)); !slices.Equal(got, want) {
		t.Errorf("services are %v, want %v", got, want)
	}
	for service, c := range containers {
		if c.RestartCount > 0 {
			t.Errorf("%s was restarted %d times", service, c.RestartCount)
		}
		if service == "probe" {
			if c.State.Status != "exited" || c.State.ExitCode != 0 {
				t.Errorf("probe is %s, exit code %d", c.State.Status, c.State.ExitCode)
			}
			continue
		}
		if c.State.Health == nil || c.State.Health.Status != container.Healthy {
			t.Errorf("%s is not healthy: %+v", service, c.State.Health)
		}
	}
}

// checkData waits until the number of requests that the backend has logged,
// counted and traced is the same, and then looks for repetitions, and for what
// belongs to another project.
func (p *environment) checkData(t *testing.T) {
	backend := p.containers(t)["backend"].ID
	var spans received.Received
	harness.Eventually(t, time.Minute, func() error {
		spans = p.received(t, "tempo", ":3200")
		requests, roots, counted := 0, 0, "0"
		for _, line := range p.engine.Output(t, backend) {
			if strings.Contains(line.Text, "message=request ") {
				requests++
			}
		}
		for _, span := range spans.Spans {
			if span.ParentID == "" {
				roots++
			}
		}
		for _, s := range p.series(t, "sum(http_requests_total)") {
			counted = fmt.Sprint(s.Value[1])
		}
		if requests < 10 || requests != roots || fmt.Sprint(requests) != counted {
			return fmt.Errorf("%d requests were logged, %d traced, %s counted", requests, roots, counted)
		}
		return nil
	})
	harness.Eventually(t, time.Minute, func() error {
		return p.checkLines(t, p.received(t, "loki", ":3100").Lines)
	})
	once(t, "span", spans.Spans, func(s received.Span) string { return s.SpanID })
	for _, span := range spans.Spans {
		if span.Resource["project"] != p.name || span.Resource["service.name"] != "backend" {
			t.Fatalf("a span's resource is %v", span.Resource)
		}
	}
	p.checkProfiles(t)
	p.checkMetrics(t)
}

// checkLines compares what has arrived of every container with what the Engine
// has kept of it.
func (p *environment) checkLines(t *testing.T, got []received.Line) error {
	t.Helper()
	arrived := make(map[string]int)
	for _, line := range got {
		if !strings.Contains(line.Labels, fmt.Sprintf("project=%q", p.name)) || !strings.Contains(line.Labels, `host="docker"`) {
			t.Fatalf("labels of a line are %s", line.Labels)
		}
		arrived[fmt.Sprint(line.Time.UnixNano(), " ", line.Text)]++
	}
	wanted := 0
	for service, c := range p.containers(t) {
		for _, line := range p.engine.Output(t, c.ID) {
			key := fmt.Sprint(line.Time.UnixNano(), " ", line.Text)
			if arrived[key] == 0 {
				return fmt.Errorf("a line of %s has not arrived: %s", service, line.Text)
			}
			wanted++
		}
	}
	if len(got) > wanted {
		return fmt.Errorf("%d lines have arrived, %d were written", len(got), wanted)
	}
	return nil
}

func (p *environment) checkProfiles(t *testing.T) {
	t.Helper()
	var profiles []string
	harness.Eventually(t, time.Minute, func() error {
		if profiles = p.received(t, "pyroscope", ":4040").Profiles; len(profiles) == 0 {
			return fmt.Errorf("no profile has arrived")
		}
		return nil
	})
	once(t, "profile", profiles, func(s string) string { return s })
	for _, profile := range profiles {
		if !strings.Contains(profile, "project="+p.name) || !strings.HasPrefix(profile, "backend") {
			t.Errorf("a profile is %s", profile)
		}
	}
}

func (p *environment) checkMetrics(t *testing.T) {
	t.Helper()
	for _, s := range p.series(t, `count by (project) (last_over_time({__name__!="",job="containers"}[1h]))`) {
		if s.Metric["project"] != p.name {
			t.Errorf("there are metrics of project %q", s.Metric["project"])
		}
	}
	for _, service := range []string{"backend", "collector"} {
		if n := len(p.series(t, fmt.Sprintf("last_over_time(up{service=%q}[1h])", service))); n != 1 {
			t.Errorf("up of %s has %d series", service, n)
		}
	}
	// One scrape every 5 s: twice as many would mean another collector.
	for _, s := range p.series(t, `count_over_time(up{service="backend"}[1h]) / (1 + (tlast_over_time(up{service="backend"}[1h]) - tfirst_over_time(up{service="backend"}[1h])) / 5)`) {
		if value := fmt.Sprint(s.Value[1]); value > "1.5" {
			t.Errorf("the backend is scraped %s times in 5 s", value)
		}
	}
}

// checkRules asks as Grafana does: VictoriaMetrics, which asks vmalert.
func (p *environment) checkRules(t *testing.T) {
	var answer struct {
		Data struct {
			Groups []struct {
				Name     string
				Interval float64
				Rules    []struct{ Name, LastError string }
			}
		}
	}
	p.get(t, "victoriametrics", ":8428/api/v1/rules", &answer)
	names := make(map[string]bool)
	for _, group := range answer.Data.Groups {
		if group.Interval != 15 {
			t.Errorf("group %s is evaluated every %g s", group.Name, group.Interval)
		}
		for _, rule := range group.Rules {
			names[rule.Name] = true
			if rule.LastError != "" {
				t.Errorf("%s: %s", rule.Name, rule.LastError)
			}
		}
	}
	for _, name := range []string{"BackendDown", "HighErrorRate", "HighLatencyP99", "DiskFull", "MemoryPressure", "ContainerRestarting", "CertificateExpiring"} {
		if !names[name] {
			t.Errorf("there is no rule %s: %v", name, names)
		}
	}
}

// once fails the test when something appears twice.
func once[T any](t *testing.T, what string, items []T, id func(T) string) {
	t.Helper()
	seen := make(map[string]bool)
	for _, item := range items {
		if seen[id(item)] {
			t.Errorf("%s %s has arrived twice", what, id(item))
		}
		seen[id(item)] = true
	}
}
