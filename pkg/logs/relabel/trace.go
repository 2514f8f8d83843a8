package relabel

import (
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/inspect"
)

// maxInputs bounds the label sets that are listed, as each is relabeled to be shown.
const maxInputs = 2000

// Relabeling is part of inspect.Relabeler. Its inputs are labels before the rules,
// some of them if there are many.
func (r *Relabel) Relabeling() inspect.Relabeling {
	return inspect.Relabeling{
		Inputs:  func() []labels.Labels { return r.cache.Inputs(maxInputs) },
		Dropper: func(input labels.Labels, _ string) (int, bool) { return r.rules.SeriesDropper(input) },
		Trace:   func(input labels.Labels, _ string) inspect.Trace { return r.rules.TraceSeries(input, r.names) },
	}
}
