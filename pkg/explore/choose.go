package explore

import (
	"sync/atomic"

	"collector/pkg/live"
)

// Chooser reports on which edges items are kept, so that an item that takes several ways
// is kept once: where it reaches a destination, a component that sends nothing on. If a
// component sends to several destinations, the first one counts, and the other ways of
// its items do not. Its zero value chooses nothing.
type Chooser struct {
	last atomic.Pointer[map[*live.Edge]chosen]
}

// chosen is an edge to a destination on which items are kept.
type chosen struct {
	earlier []*live.Edge // from the same component to other destinations
	from    *sender
}

// sender is a component that sends data on.
type sender struct {
	stores []*live.Edge // to destinations, in their order
	inputs []input
}

type input struct {
	edge *live.Edge
	from *sender
}

// Update must be called when the graph has changed.
func (c *Chooser) Update(edges []*live.Edge) {
	senders := map[string]*sender{}
	for _, e := range edges {
		if senders[e.From] == nil {
			senders[e.From] = &sender{}
		}
	}
	choice := map[*live.Edge]chosen{}
	for _, e := range edges {
		from := senders[e.From]
		if to := senders[e.To]; to != nil {
			to.inputs = append(to.inputs, input{e, from})
			continue
		}
		choice[e] = chosen{from.stores[:len(from.stores):len(from.stores)], from}
		from.stores = append(from.stores, e)
	}
	c.last.Store(&choice)
}

// Take reports whether what passes e should be kept. It locks nothing.
func (c *Chooser) Take(e *live.Edge, s live.Signal) bool {
	choice := c.last.Load()
	if choice == nil {
		return false
	}
	to, ok := (*choice)[e]
	return ok && !passed(to.earlier, s) && !to.from.kept(s)
}

// kept reports whether all that comes to a component is kept on its way from
// those before it to another destination.
func (d *sender) kept(s live.Signal) bool {
	came := false
	for _, in := range d.inputs {
		if !in.edge.Carries(s) {
			continue
		}
		if came = true; !passed(in.from.stores, s) && !in.from.kept(s) {
			return false
		}
	}
	return came
}

// passed reports whether a signal goes over one of edges.
func passed(edges []*live.Edge, s live.Signal) bool {
	for _, e := range edges {
		if e.Carries(s) {
			return true
		}
	}
	return false
}
