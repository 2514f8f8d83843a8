package discovery

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
)

func sameLabels() cmp.Option { return cmp.Comparer(labels.Equal) }

func rule(change func(*Rule)) Rule {
	var r Rule
	r.SetToDefault()
	change(&r)
	return r
}

func newRelabel(t *testing.T, in *Set, rules ...Rule) *Relabel {
	t.Helper()
	r, err := NewRelabel(RelabelConfig{Targets: in, Rules: rules}, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRelabelHasItsOutputWhenItIsMade(t *testing.T) {
	in := NewSet(labels.FromStrings("a", "1"), labels.FromStrings("a", "2", "drop", "yes"))
	r := newRelabel(t, in,
		rule(func(r *Rule) { r.SourceLabels, r.Regex, r.Action = []string{"drop"}, "yes", "drop" }),
		rule(func(r *Rule) { r.SourceLabels, r.TargetLabel = []string{"a"}, "b" }))
	got, _ := targetsOf(r, "output").Targets()
	if diff := cmp.Diff([]Target{labels.FromStrings("a", "1", "b", "1")}, got, sameLabels()); diff != "" {
		t.Error(diff)
	}
	if rules := r.Exports()["rules"].(*Rules); rules.Len() != 2 {
		t.Errorf("%d rules", rules.Len())
	}
}

func TestRelabelFollowsItsTargets(t *testing.T) {
	in := NewSet()
	r := newRelabel(t, in, rule(func(r *Rule) { r.TargetLabel, r.Replacement = "host", "h" }))
	run(t, r)
	for i := range 5 {
		in.Replace([]Target{labels.FromStrings("a", fmt.Sprint(i))})
		await(t, targetsOf(r, "output"), func(targets []Target) bool {
			return len(targets) == 1 && targets[0].Get("a") == fmt.Sprint(i) && targets[0].Get("host") == "h"
		})
	}
	in.Replace(nil)
	await(t, targetsOf(r, "output"), count(0))
}

func TestRelabelWithoutTargetsIsEmpty(t *testing.T) {
	if got, _ := targetsOf(newRelabel(t, nil), "output").Targets(); len(got) != 0 {
		t.Errorf("targets %v", got)
	}
}

func TestTheEndedLabelPassesThroughAnyRule(t *testing.T) {
	for _, action := range []func(*Rule){
		func(r *Rule) { r.Action, r.Regex = "labelkeep", "a" },
		func(r *Rule) { r.Action, r.Regex = "labeldrop", "__.*" },
		func(r *Rule) { r.TargetLabel, r.Replacement = EndedLabel, "" },
		func(r *Rule) { r.SourceLabels, r.Regex, r.Action = []string{EndedLabel}, "true", "drop" },
	} {
		r := newRelabel(t, NewSet(labels.FromStrings("a", "1", EndedLabel, "true")), rule(action))
		got, _ := targetsOf(r, "output").Targets()
		if diff := cmp.Diff([]Target{labels.FromStrings("a", "1", EndedLabel, "true")}, got, sameLabels()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestARuleCannotEndATarget(t *testing.T) {
	r := newRelabel(t, NewSet(labels.FromStrings("a", "1")), rule(func(r *Rule) { r.TargetLabel, r.Replacement = EndedLabel, "true" }))
	if got, _ := targetsOf(r, "output").Targets(); got[0].Has(EndedLabel) {
		t.Errorf("targets %v", got)
	}
}

func TestRelabelWorksOnlyOnWhatIsNew(t *testing.T) {
	r := newRelabel(t, NewSet(labels.FromStrings("a", "1"), labels.FromStrings("a", "2")), rule(func(r *Rule) { r.TargetLabel = "x" }))
	if len(r.cache) != 2 {
		t.Fatalf("%d cached", len(r.cache))
	}
	for key, v := range r.cache {
		v.target = labels.FromStrings("cached", "yes")
		r.cache[key] = v
	}
	got := r.apply([]Target{labels.FromStrings("a", "2"), labels.FromStrings("a", "3")})
	if got[0].Get("cached") != "yes" || got[1].Get("a") != "3" || len(r.cache) != 2 {
		t.Errorf("targets %v, %d cached", got, len(r.cache))
	}
}

func TestRelabelReportsARuleThatCannotWork(t *testing.T) {
	_, err := NewRelabel(RelabelConfig{Rules: []Rule{rule(func(r *Rule) { r.Regex = "(" })}}, component.Options{})
	if err == nil || !strings.Contains(err.Error(), "rule 1") {
		t.Errorf("error %v", err)
	}
}

func TestASetSignalsChangesOnly(t *testing.T) {
	s := NewSet(labels.FromStrings("a", "1"))
	_, changed := s.Targets()
	s.Replace([]Target{labels.FromStrings("a", "1")})
	select {
	case <-changed:
		t.Error("an equal list is a change")
	default:
	}
	s.Replace([]Target{labels.FromStrings("a", "2")})
	<-changed
	if got, _ := s.Targets(); got[0].Get("a") != "2" {
		t.Errorf("targets %v", got)
	}
}

func TestLabelsOfTargetsMayHaveAnyNameAndThoseOfSeriesNot(t *testing.T) {
	rules := []Rule{
		rule(func(r *Rule) { r.SourceLabels, r.TargetLabel = []string{"a"}, "b-c" }),
		rule(func(r *Rule) { r.SourceLabels, r.TargetLabel, r.Replacement = []string{"a"}, "${1}", "x" }),
	}
	for i := range rules {
		if err := rules[i].Validate(); err != nil {
			t.Fatal(err)
		}
	}
	r, err := NewRelabel(RelabelConfig{Targets: NewSet(labels.FromStrings("a", "v-w")), Rules: rules}, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out, _ := r.Exports()["output"].(*Set).Targets()
	if want := labels.FromStrings("a", "v-w", "b-c", "v-w", "v-w", "x"); len(out) != 1 || !labels.Equal(out[0], want) {
		t.Errorf("targets %v, want %v", out, want)
	}
	b := labels.NewBuilder(labels.FromStrings("a", "v-w"))
	if kept := r.Exports()["rules"].(*Rules).Apply(b); !kept || !labels.Equal(b.Labels(), labels.FromStrings("a", "v-w")) {
		t.Errorf("a series becomes %v", b.Labels())
	}
}

func TestRulesThatCannotWorkAreRejected(t *testing.T) {
	for _, test := range []struct {
		change func(*Rule)
		want   string
	}{
		{func(r *Rule) { r.Action = "rename" }, "unknown: use one of"},
		{func(r *Rule) { r.Regex = "(" }, "regex"},
		{func(r *Rule) {}, "target_label"},
		{func(r *Rule) { r.Action, r.TargetLabel = "hashmod", "x" }, "modulus"},
	} {
		r := rule(test.change)
		if err := r.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
}

// keepequal and dropequal compare two labels: what else a rule has must be what
// it has without being set.
func TestRulesThatCompareLabelsTakeTheDefaultsOfTheRestOnly(t *testing.T) {
	for action, kept := range map[string]bool{"keepequal": true, "dropequal": false} {
		equal := func(change func(*Rule)) Rule {
			return rule(func(r *Rule) {
				r.Action, r.SourceLabels, r.TargetLabel = action, []string{"a"}, "b"
				change(r)
			})
		}
		r := equal(func(*Rule) {})
		if err := r.Validate(); err != nil {
			t.Fatalf("%s: %v", action, err)
		}
		explicit := equal(func(r *Rule) { r.Regex, r.Separator, r.Replacement, r.Modulus = "(.*)", ";", "$1", 0 })
		if err := explicit.Validate(); err != nil {
			t.Errorf("%s with the defaults written out: %v", action, err)
		}
		rules, err := Compile([]Rule{r})
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range []string{"1", "2"} {
			if got := rules.Apply(labels.NewBuilder(labels.FromStrings("a", "1", "b", b))); got != (kept == (b == "1")) {
				t.Errorf("%s of 1 and %s: kept is %t", action, b, got)
			}
		}
		for name, change := range map[string]func(*Rule){
			"regex":       func(r *Rule) { r.Regex = ".*" },
			"separator":   func(r *Rule) { r.Separator = "," },
			"replacement": func(r *Rule) { r.Replacement = "$2" },
			"modulus":     func(r *Rule) { r.Modulus = 2 },
			"target":      func(r *Rule) { r.TargetLabel = "" },
		} {
			r := equal(change)
			if err := r.Validate(); err == nil {
				t.Errorf("%s with another %s is accepted", action, name)
			}
		}
	}
}

func BenchmarkRelabel(b *testing.B) {
	var targets []Target
	for i := range 2000 {
		targets = append(targets, labels.FromStrings("__address__", fmt.Sprint(i), "__meta_docker_container_name", "/app",
			"__meta_docker_container_id", strings.Repeat("0123456789abcdef", 4), "__meta_docker_container_label_com_docker_compose_project", "demo"))
	}
	r, err := NewRelabel(RelabelConfig{Targets: NewSet(), Rules: []Rule{
		rule(func(r *Rule) {
			r.SourceLabels, r.Regex, r.TargetLabel = []string{"__meta_docker_container_name"}, "/(.*)", "container"
		}),
		rule(func(r *Rule) {
			r.Action, r.Regex, r.Replacement = "labelmap", "__meta_docker_container_label_(.+)", "$1"
		}),
	}}, component.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r.apply(targets)
	}
}
