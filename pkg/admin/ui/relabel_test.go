package ui

import (
	"encoding/json"
	"strings"
	"testing"

	"collector/pkg/inspect"

	"github.com/prometheus/prometheus/model/labels"
)

// relabelToy keeps the targets whose address ends in :8080 and whose container's
// name ends in -1 and holds no 3.
func relabelToy(s *stock) inspect.Relabeling {
	judge := func(input labels.Labels) (int, bool) {
		if strings.Contains(input.Get(containerName), "3") {
			return 1, false
		}
		return -1, true
	}
	return inspect.Relabeling{
		Component: "discovery.relabel.toy",
		Inputs: func() []labels.Labels {
			var all []labels.Labels
			for _, t := range s.targets {
				all = append(all, t.Discovered)
			}
			return all
		},
		Dropper: func(input labels.Labels, _ string) (int, bool) { return judge(input) },
		Trace: func(input labels.Labels, _ string) inspect.Trace {
			_, kept := judge(input)
			t := inspect.Trace{Input: input, Kept: kept, Steps: []inspect.Step{
				{Rule: inspect.Rule{Action: "replace", SourceLabels: []string{"__param_token"}, Regex: "(.*)", Replacement: "$1", Separator: ";", TargetLabel: "copy"}, Value: planted, Matched: true,
					Changes: []inspect.LabelChange{{Name: "copy", Before: "", After: planted}}},
				{Rule: inspect.Rule{Action: "drop", SourceLabels: []string{containerName}, Regex: ".*3.*<b>", Replacement: "$1", Separator: ";"}, Value: input.Get(containerName), Matched: !kept, Dropped: !kept},
			}}
			if kept {
				t.Output = input
			}
			return t
		},
		After: func(_, output labels.Labels) []inspect.Onward {
			if output.IsEmpty() {
				return nil
			}
			return []inspect.Onward{{Component: "prometheus.scrape.containers", Taken: true, Target: "0000000000000001"}, {Component: "prometheus.scrape.other", Why: "it has no __address__"}}
		},
	}
}

func TestRelabelTellsWhyAContainerIsNoTarget(t *testing.T) {
	s := newStock(20, 0)
	s.rules = []inspect.Relabeling{relabelToy(s)}
	u := newTestUI(t, small, having(s))
	if all := listed[relabelInput](t, u, "/api/v1/relabel"); all.Total != 20 {
		t.Errorf("%d", all.Total)
	}
	dropped := listed[relabelInput](t, u, "/api/v1/relabel?state=dropped")
	if dropped.Total != 2 || dropped.Items[0].Kept || dropped.Items[0].DroppedBy != 2 || dropped.Items[0].Name != "shop-service-0003-1" {
		t.Fatalf("%+v", dropped)
	}
	path := "/relabel/discovery.relabel.toy/" + dropped.Items[0].ID
	page := get(t, u, path)
	checkPage(t, path, page)
	for _, want := range []string{`href="#rule-2"`, "Rule 2", "drops it: __meta_docker_container_name is “/shop-service-0003-1”, which matches", "&lt;b&gt;", "(secret)", `id="rule-1"`, "dropped here"} {
		if !strings.Contains(page, want) {
			t.Errorf("%s: no %s", path, want)
		}
	}
	kept := listed[relabelInput](t, u, "/api/v1/relabel?q=0004")
	path = "/relabel/discovery.relabel.toy/" + kept.Items[0].ID
	page = get(t, u, path)
	checkPage(t, path, page)
	for _, want := range []string{"It is kept.", "/targets/prometheus.scrape.containers/0000000000000001", "does not take it: it has no __address__"} {
		if !strings.Contains(page, want) {
			t.Errorf("%s: no %s", path, want)
		}
	}
	var trace relabelTrace
	if err := json.Unmarshal([]byte(get(t, u, "/api/v1"+path)), &trace); err != nil || len(trace.Steps) != 2 || !trace.Kept || trace.Steps[0].Changes[0].After != "(secret)" {
		t.Errorf("%v %+v", err, trace)
	}
	if page := get(t, u, "/relabel?q=stopped"); !strings.Contains(page, "it does not run (exited)") {
		t.Error("a container that does not run is not told of")
	}
	for _, path := range []string{"/relabel/discovery.relabel.toy/0", "/relabel/nobody/" + kept.Items[0].ID} {
		if w := u.ask("GET", path); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestAStepSaysWhatTheRuleFound(t *testing.T) {
	for want, step := range map[string]inspect.Step{
		"a, b is “1;2”, which does not match “x”": {Rule: inspect.Rule{Action: "keep", SourceLabels: []string{"a", "b"}, Regex: "x"}, Value: "1;2"},
		"a is empty, which matches “(.*)”":        {Rule: inspect.Rule{Action: "replace", SourceLabels: []string{"a"}, Regex: "(.*)"}, Matched: true},
		"a is “1”, and so is b":                   {Rule: inspect.Rule{Action: "keepequal", SourceLabels: []string{"a"}, TargetLabel: "b"}, Value: "1", Matched: true},
		"no label's name matches “z”":             {Rule: inspect.Rule{Action: "labeldrop", Regex: "z"}},
	} {
		if got := whyOf(&step); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	rule := inspect.Rule{Action: "keep", SourceLabels: []string{"a", "b"}, Regex: "x", Separator: ";", Replacement: "$1"}
	if got := ruleText(&rule); got != `source_labels = ["a", "b"]  regex = "x"  action = "keep"` {
		t.Error(got)
	}
}
