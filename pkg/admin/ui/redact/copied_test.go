package redact_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/admin/ui/relabel"
	"collector/pkg/admin/ui/uitest"
	"collector/pkg/inspect"
)

// A secret that a rule has copied to a label of another name is hidden there
// too: in the steps after it, in what comes out, and wherever that goes. The
// helper get looks for it in each answer.
func TestACopiedSecretIsHiddenEverywhere(t *testing.T) {
	input := labels.FromStrings("__address__", "x:1", "name", "web", "password", uitest.Planted)
	output := labels.FromStrings("__address__", "x:1", "copy_of_it", uitest.Planted, "part", "Bearer "+uitest.Planted, "name", "web")
	s := &uitest.Stock{
		Rules:   []inspect.Relabeling{uitest.Copying(input)},
		Targets: []inspect.ScrapeTarget{{Component: "prometheus.scrape.x", ID: "1", Job: uitest.Planted, URL: "http://x:1/" + uitest.Planted, State: "down", Labels: output, Discovered: output, Error: "no " + uitest.Planted}},
		Tails:   []inspect.LogTail{{Component: "loki.source.docker.x", ID: "c", Container: "web", State: "reading", Error: "no " + uitest.Planted, Labels: map[string]map[string]string{"stdout": {"copy": uitest.Planted}}}},
	}
	u := uitest.New(t, `toy.sink "x" { values = [{ copy_of_it = "hunter2planted", part = "Bearer hunter2planted", name = "web" }] }`, uitest.Having(s))
	at := "/relabel/discovery.relabel.copying/" + relabel.InputID(input)
	for _, path := range []string{"/", "/targets", "/targets/prometheus.scrape.x/1", "/targets/logs", "/relabel", at, "/component/toy.sink.x"} {
		uitest.CheckPage(t, path, uitest.Get(t, u, path))
	}
	for _, path := range []string{"/overview", "/targets", "/targets/prometheus.scrape.x/1", "/targets/logs", "/relabel", at, "/components/toy.sink.x"} {
		if text := uitest.Get(t, u, "/api/v1"+path); !json.Valid([]byte(text)) {
			t.Errorf("%s: no JSON: %s", path, text)
		}
	}
	for path, want := range map[string]string{
		"/api/v1/targets": `"part":"Bearer (secret)"`, "/api/v1/components/toy.sink.x": `"part":"Bearer (secret)"`, "/api/v1/targets/logs": `"copy":"(secret)"`,
	} {
		if text := uitest.Get(t, u, path); !strings.Contains(text, want) || !strings.Contains(text, "web") {
			t.Errorf("%s: %s", path, text)
		}
	}
	var m relabel.Trace
	if err := json.Unmarshal([]byte(uitest.Get(t, u, "/api/v1"+at)), &m); err != nil {
		t.Fatal(err)
	}
	if m.Output["copy_of_it"] != "(secret)" || m.Output["end"] != "(secret)" || m.Input["name"] != "web" || m.Steps[3].Value != "(secret)" || m.Steps[3].Changes[0].Before != "(secret)" {
		t.Errorf("%+v", m)
	}
	for _, path := range []string{"/api/v1/targets", "/api/v1/targets/logs", "/api/v1/relabel"} {
		if found := uitest.Listed[any](t, u, path+"?q="+uitest.Planted); found.Total != 0 {
			t.Errorf("%s: a copied secret can be found by a filter", path)
		}
	}
	// Its name no longer says that it is a secret.
	s.Rules = nil
	if w := u.Ask("GET", "/api/v1/targets"); !strings.Contains(w.Body.String(), uitest.Planted) {
		t.Error("what is no secret is hidden")
	}
}
