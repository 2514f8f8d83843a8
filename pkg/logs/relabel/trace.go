package relabel

import (
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
)

// maxInputs bounds the label sets that Inputs lists, as each is relabeled to be
// shown.
const maxInputs = 2000

// Inputs are labels of streams that passed, before the rules, some of them if
// there are many.
func (r *Relabel) Inputs() []labels.Labels { return r.cache.Inputs(maxInputs) }

// Trace relabels a stream as the component does, step by step.
func (r *Relabel) Trace(input labels.Labels) discovery.Trace {
	return r.rules.TraceSeries(input, r.names)
}

// Dropper reports whether a stream is kept, and which rule drops it if not: its
// index, or -1 if no label is left.
func (r *Relabel) Dropper(input labels.Labels) (rule int, kept bool) {
	return r.rules.SeriesDropper(input)
}
