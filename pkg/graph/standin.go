package graph

import (
	"context"

	"collector/pkg/config"
)

// purpose is what a graph is built for.
type purpose int

const (
	// toRun: what this machine lacks is an error where a component cannot do
	// without it.
	toRun purpose = iota
	// toCheck: the configuration may be for another machine, so what this one lacks
	// is a warning.
	toCheck
	// toCheckHere: everything that this machine lacks is an error.
	toCheckHere
)

// excuse turns errors about what this machine lacks into warnings, if the
// configuration may be for another one.
func (s *scope) excuse(ds config.Diagnostics) config.Diagnostics {
	for i := range ds {
		if ds[i].Missing && s.options.purpose == toCheck {
			ds[i].Severity = config.Warning
		}
	}
	return ds
}

// standIn is the end of a node whose component cannot be made, for the reasons in
// ds. If it could on another machine, the node gets exports that hold nothing, so
// that what refers to it is checked all the same.
func (s *scope) standIn(n *node, ds config.Diagnostics) (*node, config.Diagnostics) {
	ds = s.excuse(ds)
	if s.options.purpose != toCheck || ds.Err() != nil {
		return nil, ds
	}
	n.component, n.exports = absent{}, map[string]any{}
	for _, e := range n.def.Doc.Exports {
		n.exports[e.Name] = s.options.Kinds.absent(e.Type)
	}
	return n, ds
}

// absent represents a component that cannot be made here.
type absent struct{}

func (absent) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// unknown is an export whose value nobody knows: arguments that take it are not
// checked.
type unknown struct{}
