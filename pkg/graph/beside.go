package graph

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/deliver"
)

// host is a block whose component loads a configuration that runs beside the user's
// own. Neither sees the other; they have ports, queues and what is shown in common.
type host interface {
	Beside(load component.Load, running func() bool)
}

// host is the node of the block that is one; nil without one.
func (g *graph) host() (*node, host) {
	for _, n := range g.nodes {
		if h, ok := n.component.(host); ok {
			return n, h
		}
	}
	return nil, nil
}

// introduce gives a host that is new in next the function that it loads with.
func (c *Controller) introduce(old, next *graph) {
	if n, h := next.host(); h != nil && !old.has(n) {
		c.give(n, h)
	}
}

// refresh notifies a host that keeps running that the user has loaded next, and stops
// what ran beside old if next has no host.
func (c *Controller) refresh(old, next *graph) {
	n, h := next.host()
	if h != nil && old.has(n) {
		c.give(n, h)
	}
	if h == nil {
		c.clear()
	}
}

// clear ends what runs beside the configuration.
func (c *Controller) clear() {
	b := c.beside.Load()
	if b == nil {
		return
	}
	if len(b.graph().nodes) > 0 {
		if err := b.Load(c.stopping, nil); err != nil {
			c.options.Logger.Error("cannot stop the configuration that ran alongside the file", "module", b.options.module, "err", err)
		}
	}
	b.ready.Store(false)
}

func (c *Controller) give(n *node, h host) {
	b := c.beside.Load()
	if b == nil {
		b = c.newBeside(n.id)
		c.beside.Store(b)
	}
	load := func(ctx context.Context, files []component.ModuleFile) error {
		if !c.graph().has(n) {
			return fmt.Errorf("%s is no longer in the configuration", n.id)
		}
		return b.Load(ctx, config.Sources(files))
	}
	_ = guard(func() error { h.Beside(load, b.ready.Load); return nil })
}

// newBeside makes the controller of what runs beside the configuration of c.
func (c *Controller) newBeside(module string) *Controller {
	o := c.options
	o.module, o.AllowEmpty = module, true
	o.folder = func() string { return folderOf(c.graph().sources) }
	b := newController(o)
	b.swapping, b.looking, b.other, b.history = c.swapping, c.looking, c.graph, c.history
	o.Registry.MustRegister(b.metrics.ofEvaluation()...)
	return b
}

// both are c and the controller beside it.
func (c *Controller) both() []*Controller {
	if b := c.beside.Load(); b != nil {
		return []*Controller{c, b}
	}
	return []*Controller{c}
}

// graphBeside is what runs beside the configuration; it is empty if nothing does.
func (c *Controller) graphBeside() *graph {
	if b := c.beside.Load(); b != nil {
		return b.graph()
	}
	return newGraph()
}

// nodes are the nodes of the configuration, and of what runs beside it.
func (c *Controller) nodes() []*node { return slices.Concat(c.graph().nodes, c.graphBeside().nodes) }

// find is the node with that id, and its graph; nil without one.
func (c *Controller) find(id string) (*graph, *node) {
	for _, g := range []*graph{c.graph(), c.graphBeside()} {
		if n := g.byID[id]; n != nil {
			return g, n
		}
	}
	return nil, nil
}

// expected are the queues that may get writers once a host has loaded what it brings.
func (c *Controller) expected() []deliver.Use {
	n, _ := c.graph().host()
	if b := c.beside.Load(); n == nil || b != nil && b.ready.Load() {
		return nil
	}
	return []deliver.Use{{Below: filepath.Join(c.options.StoragePath, n.id)}}
}
