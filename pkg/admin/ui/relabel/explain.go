package relabel

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/inspect"
)

// Explained is what the rules of one component make of one input, in words.
type Explained struct {
	Trace
	// Targets is whether the outputs are targets.
	Targets bool
	// Verdict says why it is kept or dropped.
	Verdict string
	// Rule is the number of the rule that drops it, from 1; 0 if none does.
	Rule int
	// Origins are the resulting labels, with the rule that set each.
	Origins []Origin
	// Path is the page with each step.
	Path string
}

// Origin is where a label comes from.
type Origin struct {
	Name  string
	Value string
	Rule  int // its number, from 1; 0 for a label that the input had
}

// maxExplained bounds how many inputs are explained.
const maxExplained = 50

// Explain explains the inputs that match, of all components with rules, in the order in
// which these are built; of a log source, once for each stream.
func (p *Page) Explain(matches func(labels.Labels) bool) []Explained {
	var out []Explained
	v, all := p.Redactor.Current(), p.Inventory.Relabelings()
	facts := inspect.NewFacts(p.Inventory.Containers(), all)
	for _, c := range all {
		for _, input := range c.Inputs() {
			if !matches(input) {
				continue
			}
			for _, stream := range orNone(c.Streams) {
				if len(out) == maxExplained {
					return out
				}
				t := traced(&c, v, input, InputID(input), stream)
				t.explain(facts, input)
				out = append(out, explained(t, c.Targets))
			}
		}
	}
	return out
}

// orNone returns streams, or one empty stream for a component that has none.
func orNone(streams []string) []string {
	if len(streams) == 0 {
		return []string{""}
	}
	return streams
}

func explained(t Trace, targets bool) Explained {
	e := Explained{Trace: t, Targets: targets, Verdict: "kept", Path: pathOf(t.Component, t.ID)}
	if t.Stream != "" {
		e.Path += "?stream=" + t.Stream
	}
	if !t.Kept {
		e.Verdict = "dropped: it has no labels left"
	}
	from := map[string]int{}
	for i := range t.Steps {
		s := &t.Steps[i]
		for _, c := range s.Changes {
			from[c.Name] = i + 1
		}
		if s.Dropped {
			e.Rule, e.Verdict = i+1, fmt.Sprintf("rule %d drops it: %s", i+1, cmp.Or(strings.Replace(s.Words, "It ", "it ", 1), whyOf(s)))
			if t.Hint != "" {
				e.Verdict += "; " + strings.TrimSuffix(t.Hint, ".")
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Output)) {
		e.Origins = append(e.Origins, Origin{name, t.Output[name], from[name]})
	}
	return e
}
