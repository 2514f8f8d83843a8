package discovery

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/inspect"
)

func TestATraceShowsWhatEachRuleDid(t *testing.T) {
	r := newRelabel(t, NewSet(),
		rule(func(r *Rule) { r.SourceLabels, r.Regex, r.TargetLabel = []string{"name"}, "/(.*)", "container" }),
		rule(func(r *Rule) { r.SourceLabels, r.Regex, r.TargetLabel = []string{"port"}, "(8.)", "x" }),
		rule(func(r *Rule) { r.Action, r.Regex = "labeldrop", "name" }),
		rule(func(r *Rule) { r.SourceLabels, r.Regex, r.Action = []string{"container", "port"}, "web;80", "drop" }),
		rule(func(r *Rule) { r.TargetLabel, r.Replacement = "never", "reached" }))
	got := r.trace(labels.FromStrings("name", "/web", "port", "80"))
	want := inspect.Trace{Input: labels.FromStrings("name", "/web", "port", "80"), Steps: []inspect.Step{
		{Value: "/web", Matched: true, Changes: []inspect.LabelChange{{Name: "container", Before: "", After: "web"}}},
		{Value: "80", Matched: true, Changes: []inspect.LabelChange{{Name: "x", Before: "", After: "80"}}},
		{Matched: true, Changes: []inspect.LabelChange{{Name: "name", Before: "/web", After: ""}}},
		{Value: "web;80", Matched: true, Dropped: true},
	}}
	for i := range got.Steps {
		got.Steps[i].Rule = inspect.Rule{}
	}
	if diff := cmp.Diff(want, got, sameLabels()); diff != "" {
		t.Error(diff)
	}
	if rule, kept := r.dropper(labels.FromStrings("name", "/web", "port", "80")); rule != 3 || kept {
		t.Errorf("rule %d, kept %v", rule, kept)
	}
	if rule, kept := r.dropper(labels.FromStrings("name", "/web", "port", "81")); rule != -1 || !kept {
		t.Errorf("rule %d, kept %v", rule, kept)
	}
}

// randomRule makes a rule that is valid, of few names and values, so that rules
// act on what others have made.
func randomRule(r *rand.Rand) Rule {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	for {
		rule := Rule{
			Separator: pick(";", "", "-"), Regex: pick("(.*)", "", "a", "(a|b).*", "__.*", ".+", "(.)(.*)", "c", "a;b"),
			Modulus: uint64(r.IntN(3)), TargetLabel: pick("a", "b", "c", "", "$1", "x$1", EndedLabel),
			Replacement: pick("$1", "", "a", "$2$1", "b"), Action: string(actions()[r.IntN(len(actions()))]),
		}
		for range r.IntN(3) {
			rule.SourceLabels = append(rule.SourceLabels, pick("a", "b", "c", "d", EndedLabel))
		}
		if r.IntN(2) == 0 {
			rule.Separator, rule.Regex, rule.Replacement, rule.Modulus = ";", "(.*)", "$1", 0
		}
		if rule.Validate() == nil {
			return rule
		}
	}
}

func randomTarget(r *rand.Rand) Target {
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, name := range []string{"a", "b", "c", "d", "__e", EndedLabel} {
		b.Set(name, []string{"", "a", "b", "ab", "c", "true"}[r.IntN(6)])
	}
	return b.Labels()
}

// checkTrace checks that a trace says what the component has made of a target,
// and that its steps lead from the one to the other.
func checkTrace(t *testing.T, rules []Rule, target Target) {
	t.Helper()
	r, err := NewRelabel(RelabelConfig{Targets: NewSet(target), Rules: rules}, component.Options{})
	if err != nil {
		t.Skip(err)
	}
	out, _ := r.Exports()["output"].(*Set).Targets()
	trace := r.trace(target)
	rule, kept := r.dropper(target)
	if trace.Kept != (len(out) == 1) || trace.Kept != kept {
		t.Fatalf("%v %+v: kept %v in the trace, %v by Dropper, %v is the output", target, rules, trace.Kept, kept, out)
	}
	if trace.Kept && !labels.Equal(trace.Output, out[0]) {
		t.Fatalf("%v %+v: %v in the trace, %v is the output", target, rules, trace.Output, out[0])
	}
	b := labels.NewBuilder(target)
	b.Del(EndedLabel)
	for i, step := range trace.Steps {
		if step.Dropped != (!kept && rule == i) {
			t.Fatalf("step %d: dropped %v, by Dropper rule %d", i, step.Dropped, rule)
		}
		for _, c := range step.Changes {
			if b.Get(c.Name) != c.Before || c.Before == c.After {
				t.Fatalf("step %d: %+v, but it was %q", i, c, b.Get(c.Name))
			}
			b.Set(c.Name, c.After)
		}
		if a := step.Rule.Action; (a == "replace" || a == "labelmap" || a == "labeldrop") && !step.Matched && step.Changes != nil ||
			a == "drop" && step.Dropped != step.Matched || a == "keep" && step.Dropped == step.Matched {
			t.Fatalf("step %d: matched %v, changes %v, dropped %v of %+v", i, step.Matched, step.Changes, step.Dropped, step.Rule)
		}
	}
	if kept {
		b.Set(EndedLabel, target.Get(EndedLabel))
		if !labels.Equal(b.Labels(), trace.Output) {
			t.Fatalf("the changes lead to %v, not to %v", b.Labels(), trace.Output)
		}
	}
}

func TestATraceEqualsWhatTheComponentDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		var rules []Rule
		for range r.IntN(6) {
			rules = append(rules, randomRule(r))
		}
		checkTrace(t, rules, randomTarget(r))
	}
}

func FuzzTrace(f *testing.F) {
	f.Add("replace", "a,b", ";", "(.*)", "t", "$1", uint64(0), "a=1,b=2")
	f.Add("keep", "a", ";", "x|", "", "$1", uint64(0), "a=1,"+EndedLabel+"=true")
	f.Add("labelmap", "", ";", "a(.*)", "", "m_$1", uint64(0), "ab=1,ac=2,m_b=3")
	f.Add("hashmod", "a", "", "(.*)", "t", "$1", uint64(3), "a=1")
	f.Fuzz(func(t *testing.T, action, source, separator, regex, target, replacement string, modulus uint64, text string) {
		rule := Rule{Action: action, Separator: separator, Regex: regex, TargetLabel: target, Replacement: replacement, Modulus: modulus}
		if source != "" {
			rule.SourceLabels = strings.Split(source, ",")
		}
		if rule.Validate() != nil {
			t.Skip()
		}
		b := labels.NewBuilder(labels.EmptyLabels())
		for pair := range strings.SplitSeq(text, ",") {
			if name, value, ok := strings.Cut(pair, "="); ok && name != "" {
				b.Set(name, value)
			}
		}
		checkTrace(t, []Rule{rule, rule}, b.Labels())
	})
}
