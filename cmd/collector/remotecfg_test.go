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
			if s := state("loki.echo.own"); s != graph.Healthy {
				t.Errorf("the file's own component is %s", s)
			}
			page := get(t, url+"/metrics")
			for _, want := range []string{
				`component_path="/remotecfg"`, `controller_id="remotecfg"`, "remotecfg_load_attempts_total ", `remotecfg_hash{hash="`,
			} {
				if !strings.Contains(page, want) {
					t.Errorf("the metrics lack %s", want)
				}
			}
			if page := get(t, url+"/api/v0/component/remotecfg/prometheus.exporter.self.s/metrics"); !strings.Contains(page, "remotecfg_load_attempts_total") {
				t.Error("an exporter that the server has configured has no page")
			}
			list := fetchJSON[[]struct{ ModuleID, LocalID string }](t, url+"/api/v0/web/remotecfg/components")
			if len(list) != 3 || list[0].ModuleID != "remotecfg" {
				t.Errorf("listed are %+v", list)
			}
			if page := get(t, url+"/api/v1/configuration"); !strings.Contains(page, "loki.process") {
				t.Error("the configuration that is shown lacks what the server has given")
			}
			server.Serve(strings.Replace(remoteText, "forward_to", "forwards_to", 1))
			if err := p.Reload(t.Context()); err != nil { // which polls
				t.Error(err)
			}
			wait(t, "the failure to be shown", func() bool { return state("remotecfg") == graph.Unhealthy })
			if s := state("remotecfg/loki.process.p"); s != graph.Healthy {
				t.Errorf("after a wrong one, it is %s", s)
			}
			if page := get(t, url+"/api/v1/components/remotecfg"); start == "with the server" && !strings.Contains(page, "forwards_to") {
				t.Errorf("the reason is not shown: %s", page)
			}
		})
		server.Fault(func(*http.Request) int { return http.StatusBadGateway })
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
