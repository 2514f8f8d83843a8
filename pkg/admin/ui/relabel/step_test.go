package relabel

import (
	"testing"

	"collector/pkg/inspect"
)

func TestAStepSaysWhatTheRuleFound(t *testing.T) {
	for want, step := range map[string]inspect.Step{
		"a, b is “1;2”, which does not match “x”": {Rule: inspect.Rule{Action: "keep", SourceLabels: []string{"a", "b"}, Regex: "x"}, Value: "1;2"},
		"a is empty, which matches “(.*)”":        {Rule: inspect.Rule{Action: "replace", SourceLabels: []string{"a"}, Regex: "(.*)"}, Matched: true},
		"a is “1”, equal to b":                    {Rule: inspect.Rule{Action: "keepequal", SourceLabels: []string{"a"}, TargetLabel: "b"}, Value: "1", Matched: true},
		"no label name matches “z”":               {Rule: inspect.Rule{Action: "labeldrop", Regex: "z"}},
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

func TestASentenceKeepsTheNamesOfLabels(t *testing.T) {
	for want, s := range map[string]inspect.Step{
		"service is “api”, which matches “(.*)”": {Rule: inspect.Rule{Action: "replace", SourceLabels: []string{"service"}, Regex: "(.*)"}, Value: "api", Matched: true},
		"No label name matches “a”":              {Rule: inspect.Rule{Action: "labeldrop", Regex: "a"}},
	} {
		if got := sentenceOf(&s); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
