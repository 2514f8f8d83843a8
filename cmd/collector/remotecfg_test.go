package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"collector/pkg/graph"
	"collector/pkg/remotecfg/remotecfgtest"
)

const remoteText = `
prometheus.exporter.self "s" { }
loki.echo "e" { }
loki.process "p" { forward_to = [loki.echo.e.receiver] }
`

// TestAServersConfigurationRunsBesideTheFile runs the program with a server, gives it
// a wrong configuration, takes the server away, and starts the program again.
func TestAServersConfigurationRunsBesideTheFile(t *testing.T) {
	server := &remotecfgtest.Server{}
	server.Serve(remoteText)
	listening := httptest.NewServer(server)
	defer listening.Close()
	storage := "--storage.path=" + t.TempDir()
	text := `remotecfg {
	url = "` + listening.URL + `"
	id  = "c1"
}
loki.echo "own" { }
`
	for _, start := range []string{"with the server", "without it"} {
		t.Run(start, func(t *testing.T) {
			p, url := runProgram(t, text, storage)
			state := func(id string) graph.HealthState {
				info, _ := p.graph.Component(id)
				return info.Health.State
			}
			wait(t, "what the server has configured", func() bool { return state("remotecfg/loki.process.p") == graph.Healthy })
			wait(t, "the file's own component", func() bool { return state("loki.echo.own") == graph.Healthy })
			shows(t, url+"/metrics", `component_path="/remotecfg"`, `controller_id="remotecfg"`, "remotecfg_load_attempts_total ", `remotecfg_hash{hash="`)
			shows(t, url+"/api/v0/component/remotecfg/prometheus.exporter.self.s/metrics", "remotecfg_load_attempts_total")
			shows(t, url+"/api/v1/configuration", "loki.process")
			list := fetchJSON[[]struct{ ModuleID, LocalID string }](t, url+"/api/v0/web/remotecfg/components")
			if len(list) != 3 || list[0].ModuleID != "remotecfg" {
				t.Errorf("listed are %+v", list)
			}
			server.Serve(strings.Replace(remoteText, "forward_to", "forwards_to", 1))
			if err := p.Reload(t.Context()); err != nil { // which polls
				t.Error(err)
			}
			wait(t, "the failure to be shown", func() bool { return state("remotecfg") == graph.Unhealthy })
			if s := state("remotecfg/loki.process.p"); s != graph.Healthy {
				t.Errorf("after a wrong one, it is %s", s)
			}
			if start == "with the server" {
				shows(t, url+"/api/v1/components/remotecfg", "forwards_to")
			}
		})
		server.Fault(func(*http.Request) int { return http.StatusBadGateway })
	}
}

// shows waits until a page has each of these texts.
func shows(t *testing.T, url string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		wait(t, url+" to show "+text, func() bool { return strings.Contains(get(t, url), text) })
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("%s: %s, %v", url, answer.Status, err)
	}
	return string(text)
}
