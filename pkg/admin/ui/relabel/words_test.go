package relabel

import (
	"regexp"
	"strings"
	"testing"

	"collector/pkg/inspect"
)

// docker is what labels are called in the tests.
func docker(name string) string {
	if rest, is := strings.CutPrefix(name, containerLabel); is {
		return "the label " + strings.ReplaceAll(rest, "_", ".")
	}
	return name
}

func TestARuleIsDescribedInWords(t *testing.T) {
	const scrape, other = containerLabel + "metrics_scrape", containerLabel + "prometheus_io_scrape"
	both := []string{scrape, other}
	for _, c := range []struct {
		step inspect.Step
		want string
	}{
		{inspect.Step{Rule: inspect.Rule{Action: "keep", SourceLabels: both, Separator: ";", Regex: "true;.*|.*;true"}, Value: ";"},
			"It keeps only those where the label metrics.scrape is “true”, or the label prometheus.io.scrape is “true”; here, the label metrics.scrape and the label prometheus.io.scrape are not set"},
		{inspect.Step{Rule: inspect.Rule{Action: "keep", SourceLabels: []string{scrape}, Separator: ";", Regex: "true"}, Value: "yes"},
			"It keeps only those where the label metrics.scrape is “true”; here, the label metrics.scrape is “yes”"},
		{inspect.Step{Rule: inspect.Rule{Action: "drop", SourceLabels: []string{"a", "b"}, Separator: "@", Regex: ".+@(?:x.*)"}, Value: "1@xy", Matched: true},
			"It drops those where a is set and b begins with “x”; here, a is “1”, b is “xy”"},
		{inspect.Step{Rule: inspect.Rule{Action: "keep", SourceLabels: []string{"name"}, Separator: ";", Regex: "(web|api|db)"}},
			"It keeps only those where name is “web” or “api” or “db”; here, name is not set"},
		{inspect.Step{Rule: inspect.Rule{Action: "replace", SourceLabels: []string{"port"}, Separator: ";", Regex: `(\d+)`, TargetLabel: "to"}, Value: "http"},
			"It sets to only where port is a number; here, port is “http”"},
		{inspect.Step{Rule: inspect.Rule{Action: "keep", SourceLabels: []string{"a"}, Separator: ";", Regex: ""}, Value: "x"},
			"It keeps only those where a is empty; here, a is “x”"},
		{inspect.Step{Rule: inspect.Rule{Action: "keep", SourceLabels: []string{"a"}, Separator: ";", Regex: `.*\.example\.com`}, Value: "x"},
			"It keeps only those where a ends with “.example.com”; here, a is “x”"},
		{inspect.Step{Rule: inspect.Rule{Action: "replace", SourceLabels: []string{"a"}, Separator: ";", Regex: "(.*)"}, Value: "x", Matched: true}, ""},
		{inspect.Step{Rule: inspect.Rule{Action: "keep", SourceLabels: []string{"a"}, Separator: ";", Regex: "[a-z]{3}"}}, ""},
		{inspect.Step{Rule: inspect.Rule{Action: "keep", SourceLabels: both, Separator: ";", Regex: "true"}}, ""},
		{inspect.Step{Rule: inspect.Rule{Action: "labeldrop", Regex: "a"}}, ""},
	} {
		if got := inWords(&c.step, docker); got != c.want {
			t.Errorf("%q\n got %s\nwant %s", c.step.Rule.Regex, got, c.want)
		}
	}
}

// The words for an expression say what it does.
func FuzzConditions(f *testing.F) {
	f.Add("true;.*|.*;true", "true", "x")
	f.Add("(a|b)", "a", "")
	f.Add(`.+;(\d+)`, "x", "12")
	f.Add(`(?:.*\.com);.+x.+`, "a.com", "yxz")
	f.Fuzz(func(t *testing.T, regex, first, second string) {
		compiled, err := regexp.Compile("^(?s:" + regex + ")$")
		if err != nil || strings.Contains(first+second, ";") {
			return
		}
		for _, values := range [][]string{{first}, {first, second}} {
			rule := inspect.Rule{SourceLabels: []string{"a", "b"}[:len(values)], Separator: ";", Regex: regex}
			branches, known := conditions(&rule)
			if !known {
				continue
			}
			holds := false
			for _, branch := range branches {
				all := true
				for i, c := range branch {
					all = all && c.holds(values[i])
				}
				holds = holds || all
			}
			if want := compiled.MatchString(strings.Join(values, ";")); holds != want {
				t.Errorf("%q of %q: %v, and in words %v", regex, values, want, holds)
			}
		}
	})
}
