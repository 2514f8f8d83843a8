package discovery

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
)

func TestEachFieldOfARuleHasItsEffect(t *testing.T) {
	f := func(change func(*Rule), want labels.Labels) {
		t.Helper()
		var r Rule
		r.SetToDefault()
		r.SourceLabels, r.TargetLabel = []string{"a", "b"}, "c"
		change(&r)
		made, err := NewRelabel(RelabelConfig{Targets: NewSet(labels.FromStrings("a", "1", "b", "2")), Rules: []Rule{r}}, component.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, _ := made.out.Targets()
		if len(got) != 1 || !labels.Equal(got[0], want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	f(func(*Rule) {}, labels.FromStrings("a", "1", "b", "2", "c", "1;2"))
	f(func(r *Rule) { r.SourceLabels = []string{"b"} }, labels.FromStrings("a", "1", "b", "2", "c", "2"))
	f(func(r *Rule) { r.Separator = "-" }, labels.FromStrings("a", "1", "b", "2", "c", "1-2"))
	f(func(r *Rule) { r.Regex = "(.);." }, labels.FromStrings("a", "1", "b", "2", "c", "1"))
	f(func(r *Rule) { r.TargetLabel = "d" }, labels.FromStrings("a", "1", "b", "2", "d", "1;2"))
	f(func(r *Rule) { r.Replacement = "<$1>" }, labels.FromStrings("a", "1", "b", "2", "c", "<1;2>"))
	f(func(r *Rule) { r.Action, r.Modulus = "hashmod", 1 }, labels.FromStrings("a", "1", "b", "2", "c", "0"))
}
