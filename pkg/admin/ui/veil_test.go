package ui

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/config"
	"collector/pkg/inspect"
)

// copying is a relabelling that copies a secret, and what it made of it.
func copying(input labels.Labels) inspect.Relabeling {
	inputs := []labels.Labels{input}
	rule := func(from, to, replacement string) inspect.Rule {
		return inspect.Rule{Action: "replace", SourceLabels: []string{from}, Separator: ";", Regex: "(.*)", TargetLabel: to, Replacement: replacement}
	}
	return inspect.Relabeling{
		Component: "discovery.relabel.copying",
		Inputs:    func() []labels.Labels { return inputs },
		Dropper:   func(labels.Labels, string) (int, bool) { return -1, true },
		Trace: func(input labels.Labels, _ string) inspect.Trace {
			return inspect.Trace{
				Input: input, Kept: true,
				Output: labels.FromStrings("copy_of_it", planted, "part", "Bearer "+planted, "end", "planted"),
				Steps: []inspect.Step{
					{Rule: rule("password", "copy_of_it", "$1"), Value: planted, Matched: true, Changes: []inspect.LabelChange{{Name: "copy_of_it", Before: "", After: planted}}},
					{Rule: rule("copy_of_it", "part", "Bearer $1"), Value: planted, Matched: true, Changes: []inspect.LabelChange{{Name: "part", Before: "", After: "Bearer " + planted}}},
					{Rule: rule("part", "end", "$1"), Value: "Bearer " + planted, Matched: true, Changes: []inspect.LabelChange{{Name: "end", Before: "", After: "planted"}}},
					{Rule: rule("end", "last", "$1"), Value: "planted", Matched: true, Changes: []inspect.LabelChange{{Name: "end", Before: "planted", After: ""}, {Name: "last", Before: "", After: "planted"}}},
					{Rule: inspect.Rule{Action: "labeldrop", Regex: "password"}, Changes: []inspect.LabelChange{{Name: "password", Before: planted, After: ""}}},
				},
			}
		},
		After: func(labels.Labels, labels.Labels) []inspect.Onward {
			return []inspect.Onward{{Component: "other", Why: "it does not want " + planted}}
		},
	}
}

// A secret that a rule has copied to a label of another name is hidden there
// too: in the steps after it, in what comes out, and wherever that goes. The
// helper get looks for it in each answer.
func TestACopiedSecretIsHiddenEverywhere(t *testing.T) {
	input := labels.FromStrings("__address__", "x:1", "name", "web", "password", planted)
	output := labels.FromStrings("__address__", "x:1", "copy_of_it", planted, "part", "Bearer "+planted, "name", "web")
	s := &stock{
		rules:   []inspect.Relabeling{copying(input)},
		targets: []inspect.ScrapeTarget{{Component: "prometheus.scrape.x", ID: "1", Job: planted, URL: "http://x:1/" + planted, State: "down", Labels: output, Discovered: output, Error: "no " + planted}},
		tails:   []inspect.LogTail{{Component: "loki.source.docker.x", ID: "c", Container: "web", State: "reading", Error: "no " + planted, Labels: map[string]map[string]string{"stdout": {"copy": planted}}}},
	}
	u := newTestUI(t, `toy.sink "x" { values = [{ copy_of_it = "hunter2planted", part = "Bearer hunter2planted", name = "web" }] }`, having(s))
	at := "/relabel/discovery.relabel.copying/" + inputID(input)
	for _, path := range []string{"/", "/targets", "/targets/prometheus.scrape.x/1", "/targets/logs", "/relabel", at, "/component/toy.sink.x"} {
		checkPage(t, path, get(t, u, path))
	}
	for _, path := range []string{"/overview", "/targets", "/targets/prometheus.scrape.x/1", "/targets/logs", "/relabel", at, "/components/toy.sink.x"} {
		if text := get(t, u, "/api/v1"+path); !json.Valid([]byte(text)) {
			t.Errorf("%s: no JSON: %s", path, text)
		}
	}
	for path, want := range map[string]string{
		"/api/v1/targets": `"part":"Bearer (secret)"`, "/api/v1/components/toy.sink.x": `"part":"Bearer (secret)"`, "/api/v1/targets/logs": `"copy":"(secret)"`,
	} {
		if text := get(t, u, path); !strings.Contains(text, want) || !strings.Contains(text, "web") {
			t.Errorf("%s: %s", path, text)
		}
	}
	var m relabelTrace
	if err := json.Unmarshal([]byte(get(t, u, "/api/v1"+at)), &m); err != nil {
		t.Fatal(err)
	}
	if m.Output["copy_of_it"] != "(secret)" || m.Output["end"] != "(secret)" || m.Input["name"] != "web" || m.Steps[3].Value != "(secret)" || m.Steps[3].Changes[0].Before != "(secret)" {
		t.Errorf("%+v", m)
	}
	for _, path := range []string{"/api/v1/targets", "/api/v1/targets/logs", "/api/v1/relabel"} {
		if found := listed[any](t, u, path+"?q="+planted); found.Total != 0 {
			t.Errorf("%s: a copied secret can be found by a filter", path)
		}
	}
	// Nobody names it a secret any more.
	s.rules = nil
	if w := u.ask("GET", "/api/v1/targets"); !strings.Contains(w.Body.String(), planted) {
		t.Error("what is no secret is hidden")
	}
}

func TestAVeilHidesWholeValuesAndParts(t *testing.T) {
	found := map[string]bool{}
	secretsIn(labels.FromStrings("a_token", "s3cr", "b_token", "s3cret-one", "c_token", "s3cret-one-more", "d_token", "true", "e_token", "x", "plain", "visible", "f_token", `qu"ote<d`), found)
	if len(found) != 4 || found["visible"] || found["true"] || found["x"] {
		t.Fatalf("%v", found)
	}
	v := (*veil)(nil).and(found)
	for text, want := range map[string]string{
		"s3cr": "(secret)", "as3cret": "as3cret", "a s3cret-one b": "a (secret) b", "s3cret-one-more!": "(secret)!", "visible": "visible", "true": "true", "": "",
	} {
		if got := v.text(text); got != want {
			t.Errorf("%q becomes %q, not %q", text, got, want)
		}
	}
	if got := string(v.json(json.RawMessage(`{"s3cret-one": ["s3cret-one", 1, "x s3cret-one"], "q":"qu\"ote\u003cd", "ok":"\u003cx"}`))); got != `{"s3cret-one": ["(secret)", 1, "x (secret)"], "q":"(secret)", "ok":"\u003cx"}` {
		t.Error(got)
	}
	if more := v.and(map[string]bool{"another": true}); more.text("another s3cret-one") != "(secret) (secret)" || v.text("another") != "another" {
		t.Error("a veil over another")
	}
}

// The veil is made again when the inputs are replaced, and only then.
func TestTheVeilFollowsTheInputs(t *testing.T) {
	inputs := []labels.Labels{labels.FromStrings("password", "first-secret")}
	rule := inspect.Relabeling{Component: "r", Inputs: func() []labels.Labels { return inputs }}
	s := &stock{rules: []inspect.Relabeling{rule}}
	u := newTestUI(t, small, having(s))
	first := u.veil()
	if u.veil() != first || first.text("first-secret") != config.Redacted {
		t.Error("it is made again, or hides nothing")
	}
	inputs = slices.Clone(inputs)
	inputs[0] = labels.FromStrings("password", "second-secret")
	if v := u.veil(); v.text("second-secret") != config.Redacted || v.text("first-secret") != "first-secret" {
		t.Error("it hides what was a secret, not what is")
	}
	s.rules = nil
	if u.veil().text("second-secret") != "second-secret" {
		t.Error("it remembers a component that is gone")
	}
}
