package relabel

import "collector/pkg/inspect"

// Relabeling is part of inspect.Relabeler.
func (r *Relabel) Relabeling() inspect.Relabeling {
	return r.rules.Relabeling(r.names, r.cache.Inputs)
}
