package graph

import (
	"context"
	"reflect"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"collector/pkg/config"
)

// debounce is how long changes are collected before they are evaluated.
const debounce = 100 * time.Millisecond

// wake says that something has changed that the graph is made of.
func (c *Controller) wake() {
	select {
	case c.woken <- struct{}{}:
	default: // it has been signaled already
	}
}

// pending takes the nodes whose exports have changed since they were last taken.
func (g *graph) pending() []*node {
	var out []*node
	for _, n := range g.nodes {
		if n.pending.CompareAndSwap(true, false) {
			out = append(out, n)
		}
	}
	return out
}

// watch wakes when a set of targets that g was made from is replaced, until g is no
// longer in force.
func (c *Controller) watch(g *graph) {
	ctx, cancel := context.WithCancel(c.stopping)
	if c.unwatch != nil {
		c.unwatch()
	}
	c.unwatch = cancel
	if len(g.watched) == 0 {
		return
	}
	c.following.Go(func() {
		cases := []reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())}}
		for _, changed := range g.watched {
			cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(changed)})
		}
		if chosen, _, _ := reflect.Select(cases); chosen > 0 {
			c.wake()
		}
	})
}

// reevaluateWhenWoken evaluates the configuration in force again whenever
// something changes that it is made of, until Stop.
func (c *Controller) reevaluateWhenWoken() {
	last := ""
	for wait(c.stopping, c.woken) {
		timer := time.NewTimer(debounce)
		if !waitFor(c.stopping, timer.C) {
			timer.Stop()
			return
		}
		err := c.reevaluate()
		switch {
		case err == nil:
			last = ""
		case c.stopping.Err() == nil && err.Error() != last:
			last = err.Error()
			c.options.Logger.Error("a value changed and the configuration cannot be evaluated with it; the previous value stays in use", "err", err)
		}
	}
}

func waitFor(ctx context.Context, t <-chan time.Time) bool {
	select {
	case <-t:
		return true
	case <-ctx.Done():
		return false
	}
}

// reevaluate evaluates the configuration again and puts the result in force. It is all or
// nothing, as Load is.
func (c *Controller) reevaluate() error {
	c.loading.Lock()
	defer c.loading.Unlock()
	c.metrics.evaluating.Set(1)
	defer c.metrics.evaluating.Set(0)
	began, old := time.Now(), c.graph()
	seen := old.pending()
	o := c.options
	o.making = c.stopping
	next, ds := buildWith(old.language, o, c.metrics, old.sources, old)
	err := c.stopping.Err() // constructors fail then
	if err == nil {
		err = ds.Err()
	}
	if err == nil {
		err = c.replace(o.making, old, next, old.sources, ds.Warnings())
	}
	c.noteReevaluation(seen, old, next, err)
	c.reportEvaluation("SubmitDependantsForEvaluation", began, next, err, attribute.Int("originators_count", len(seen)))
	if err != nil {
		c.keep(old, next, seen, err)
		return err
	}
	if failure := c.failure.Load(); failure != nil && failure.Reevaluation {
		c.failure.Store(nil)
	}
	return nil
}

// replace replaces old by next, which was made from sources, unless one of its listeners
// is not available, or ctx ends.
func (c *Controller) replace(ctx context.Context, old, next *graph, sources []config.Source, warnings config.Diagnostics) error {
	select {
	case c.swapping <- struct{}{}: // what is beside must not take the same port now
		defer func() { <-c.swapping }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := bindAll(c.options.Listeners, next, old, c.other()).Err(); err != nil {
		return err
	}
	next.sources, next.warnings = sources, warnings
	for _, n := range next.nodes {
		n.setStale(nil)
	}
	if c.options.module == "" { // a block tracing belongs to the user's own configuration
		c.options.Spans.Carry(next.carriers())
	}
	c.swap(old, next)
	for n, m := range next.modules {
		if k, ok := n.component.(keeper); ok {
			guard(func() error { k.Keep(m); return nil })
		}
	}
	c.options.InForce()
	return nil
}

// keep records that old stays in force though the exports of the nodes in seen have
// changed. It is shown at them, and at the components where the error is.
func (c *Controller) keep(old, next *graph, seen []*node, err error) {
	if failure := c.failure.Load(); failure == nil || failure.Reevaluation {
		failed := newAttempt(old.sources, err)
		failed.Reevaluation = true
		c.failure.Store(failed)
	}
	for _, n := range seen {
		n.pending.Store(true)
		n.setStale(err)
	}
	// The channels that signaled this change are closed: new ones signal the next one.
	watched := newGraph()
	watched.watched = append(next.watched, slices.DeleteFunc(slices.Clone(old.watched), closed)...)
	c.watch(watched)
	ds, _ := err.(config.Diagnostics)
	for _, n := range old.nodes {
		for _, d := range ds {
			if block := old.blocks[n.id]; block != nil && block.Contains(d.At) {
				n.setStale(err)
			}
		}
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (n *node) setStale(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stale = err
}

func (n *node) staleness() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stale
}
