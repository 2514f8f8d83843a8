package graph

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
)

// An instance's name is the name of its folder: with another one, a source would read
// everything again.
func TestAnElementWithAReceiverHasTheSameNameInEveryProcess(t *testing.T) {
	const text = `
toy.logs "w" { }
foreach "f" {
	collection = [{"host" = "a", "to" = [toy.logs.w.receiver]}]
	var        = "each"
	template {
		toy.source "s" {
			host       = each["host"]
			forward_to = each["to"]
		}
	}
}`
	id := "foreach.f/foreach_" + digest(`map[string]interface {}{"host":"a", "to":[]interface {}{"toy.logs.w.receiver"}}`) + "_1/toy.source.s"
	inBubble(t, func(b bench) {
		if log := b.load(text); !slices.Contains(log, "run "+id) {
			t.Errorf("%s does not run: %q", id, log)
		}
		b.want(b.load(text)) // the same again does nothing
		if log := b.load(strings.Replace(text, `"w" { }`, `"w" { max_streams = 3 }`, 1)); !slices.Contains(log, "run "+id) {
			t.Errorf("with another receiver, %s does not run: %q", id, log)
		}
	})
}

func TestATargetKeepsItsNameWhenItsContainerEnds(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(`
toy.targets "t" { list = [{"__address__" = "a"}] }
toy.logs "w" { }
foreach "f" {
	collection = toy.targets.t.targets
	var        = "each"
	template {
		toy.source "s" {
			host       = each["__address__"]
			targets    = [each]
			forward_to = [toy.logs.w.receiver]
		}
	}
}`)
		ended := labels.FromStrings("__address__", "a", discovery.EndedLabel, "true")
		b.toys.get("toy.targets.t").(*toyTargets).set.Replace([]discovery.Target{ended})
		id := "foreach.f/foreach_" + digest(`map[string]interface {}{"__address__":"a"}`) + "_1/toy.source.s"
		b.want(b.settle(), "new "+id, "bind "+id, "end "+id, "run "+id)
		if got, _ := b.toys.get(id).(*toySource).config.Targets.Targets(); len(got) != 1 || !labels.Equal(got[0], ended) {
			t.Errorf("it is given %v", got)
		}
	})
}

// With another name, a source would read everything again.
func TestAnElementKeepsItsNameWhenTheTargetsInItChange(t *testing.T) {
	for name, element := range map[string]string{
		"in an object": `{"host" = "a", "list" = toy.targets.t.targets}`,
		"in a list":    `["a", toy.targets.t.targets]`,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b bench) {
				log := b.load(`
toy.targets "t" { list = [{"__address__" = "a"}] }
toy.logs "w" { }
foreach "f" {
	collection = [` + element + `]
	var        = "each"
	template {
		toy.source "s" {
			host       = "h"
			anything   = each
			forward_to = [toy.logs.w.receiver]
		}
	}
}`)
				i := slices.IndexFunc(log, func(line string) bool { return strings.HasPrefix(line, "bind foreach.f/") })
				if i < 0 {
					t.Fatalf("loading does %q", log)
				}
				id := strings.TrimPrefix(log[i], "bind ")
				b.toys.get("toy.targets.t").(*toyTargets).set.Replace([]discovery.Target{labels.FromStrings("__address__", "b")})
				b.want(b.settle(), "new "+id, "bind "+id, "end "+id, "run "+id)
			})
		})
	}
}

func TestElementsThatAreMadeOfTargetsAreNamedByThem(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(`
toy.targets "t" { list = [{"__address__" = "a"}] }
foreach "f" {
	collection = [toy.targets.t.targets[0]["__address__"]]
	var        = "each"
	template {
		toy.value "v" { value = each }
	}
}`)
		b.toys.get("toy.targets.t").(*toyTargets).set.Replace([]discovery.Target{labels.FromStrings("__address__", "b")})
		b.want(sorted(b.settle()), "end foreach.f/foreach_a_1/toy.value.v", "new foreach.f/foreach_b_1/toy.value.v", "run foreach.f/foreach_b_1/toy.value.v")
	})
}
