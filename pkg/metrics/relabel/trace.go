package relabel

import (
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
)

// maxInputs bounds the series that Inputs lists, as each is relabeled to be shown.
const maxInputs = 2000

// Inputs are the labels of series that passed, before the rules, some of them if
// there are many.
func (r *Relabel) Inputs() []labels.Labels { return r.cache.inputs(maxInputs) }

// Trace relabels a series as the component does, step by step.
func (r *Relabel) Trace(input labels.Labels) discovery.Trace {
	out := discovery.Trace{Input: input}
	b := labels.NewBuilder(input)
	if out.Steps, out.Kept = r.rules.Trace(b); out.Kept {
		out.Output = r.rules.Series(labels.NewBuilder(input), r.names)
		out.Kept = !out.Output.IsEmpty()
	}
	return out
}

// Dropper reports whether a series is kept, and which rule drops it if not: its
// index, or -1 if no label is left.
func (r *Relabel) Dropper(input labels.Labels) (rule int, kept bool) {
	b := labels.NewBuilder(input)
	rule = r.rules.Dropper(b)
	return rule, rule < 0 && !b.Labels().IsEmpty()
}
