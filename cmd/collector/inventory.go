package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/cause"
	"collector/pkg/graph"
	"collector/pkg/inspect"
	"collector/pkg/listen"
)

// inventory is what the UI shows of what there is to collect from. It uses the interfaces
// of components, and knows none of them.
type inventory struct{ graph *graph.Controller }

// each visits the components that are a C.
func each[C any](g *graph.Controller, f func(id string, c C)) {
	g.Components(func(id string, found any) {
		if c, ok := found.(C); ok {
			f(id, c)
		}
	})
}

// ScrapeTargets is part of ui.Inventory, as are the methods below.
func (i inventory) ScrapeTargets() []inspect.ScrapeTarget {
	var out []inspect.ScrapeTarget
	each(i.graph, func(id string, c inspect.Scraper) {
		for _, t := range c.ScrapeTargets() {
			t.Component = id
			out = append(out, t)
		}
	})
	facts := i.facts()
	for n := range out {
		facts.Explain(&out[n])
	}
	return out
}

// facts are what is known of the containers and of the rules.
func (i inventory) facts() *inspect.Facts { return inspect.NewFacts(i.Containers(), i.Relabelings()) }

func (i inventory) Fetch(ctx context.Context, component, target string) (answer inspect.Response, found bool, err error) {
	each(i.graph, func(id string, c inspect.Scraper) {
		if id == component {
			answer, err = c.Fetch(ctx, target)
			found = !errors.Is(err, inspect.ErrNoTarget)
		}
	})
	for _, t := range i.ScrapeTargets() {
		if !found || t.Component != component || t.ID != target {
			continue
		}
		answer.Cause = i.facts().ExplainTo(&t, answer.Err)
		if err != nil {
			err = &cause.Explained{Err: err, Cause: i.facts().ExplainTo(&t, err)}
		}
	}
	return answer, found, err
}

func (i inventory) LogTails() []inspect.LogTail {
	var out []inspect.LogTail
	each(i.graph, func(id string, c inspect.Tailer) {
		for _, t := range c.LogTails() {
			t.Component = id
			out = append(out, t)
		}
	})
	return out
}

func (i inventory) Receivers() []listen.Received {
	var out []listen.Received
	each(i.graph, func(id string, c inspect.Receiver) {
		r := c.Receiving()
		r.Component = id
		out = append(out, r)
	})
	return out
}

func (i inventory) Engines() []inspect.Engine {
	out := []inspect.Engine{}
	each(i.graph, func(id string, c inspect.EngineUser) {
		e := c.Engine()
		e.Component, e.Host = id, withoutCredentials(e.Host)
		out = append(out, e)
	})
	return out
}

func (i inventory) Containers() []inspect.Container {
	found := map[string]inspect.Container{}
	each(i.graph, func(_ string, c inspect.Containers) {
		for _, container := range c.Containers() {
			found[container.ID] = container
		}
	})
	return slices.Collect(maps.Values(found))
}

func (i inventory) Lives() []inspect.Life {
	found := map[string]inspect.Life{}
	each(i.graph, func(_ string, c inspect.Lives) {
		for _, l := range c.Lives() {
			found[l.ID] = l
		}
	})
	return slices.SortedFunc(maps.Values(found), func(a, b inspect.Life) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
}

func (i inventory) Unlisted() map[string]string {
	out := map[string]string{}
	listed := map[string]bool{}
	for _, c := range i.Containers() {
		listed[c.Name] = true
	}
	each(i.graph, func(_ string, c inspect.Containers) {
		for name, why := range c.Unlisted() {
			if !listed[name] {
				out[name] = why
			}
		}
	})
	return out
}

func (i inventory) Relabelings() []inspect.Relabeling {
	var out []inspect.Relabeling
	each(i.graph, func(id string, c inspect.Relabeler) {
		r := c.Relabeling()
		r.Component = id
		if after := r.After; after != nil {
			r.After = func(input, output labels.Labels) []inspect.Onward {
				all := after(input, output)
				for n := range all {
					all[n].Component = id
				}
				return all
			}
		}
		if r.Targets {
			r.After = func(_, output labels.Labels) []inspect.Onward { return i.after(id, output) }
		}
		out = append(out, r)
	})
	return out
}

func (i inventory) Stages() []inspect.Stages {
	var out []inspect.Stages
	each(i.graph, func(id string, c inspect.Stager) {
		s := c.Stages()
		s.Component = id
		for n := range s.List {
			at := i.graph.Place(id, s.List[n].Path)
			s.List[n].File, s.List[n].Line = at.File, at.Line
		}
		out = append(out, s)
	})
	return out
}

// after is what the components do with a target that use the output of a component.
func (i inventory) after(of string, target labels.Labels) []inspect.Onward {
	var out []inspect.Onward
	if target.IsEmpty() {
		return nil
	}
	users := i.graph.FlowsTo(of)
	each(i.graph, func(id string, c inspect.TargetConsumer) {
		if !slices.Contains(users, id) {
			return // it may have a target with the same labels, from elsewhere
		}
		if o, listed := c.Consume(target); listed {
			o.Component = id
			out = append(out, o)
		}
	})
	return out
}
