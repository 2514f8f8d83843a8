package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/admin/ui"
	"collector/pkg/discovery"
	"collector/pkg/graph"
	dockerlogs "collector/pkg/logs/source/docker"
	filelogs "collector/pkg/logs/source/file"
	"collector/pkg/scrape"
)

// inventory is what the UI shows of what there is to collect from. It knows
// both the UI and the components, which do not know each other.
type inventory struct{ graph *graph.Controller }

// each visits the components of one type.
func each[C any](g *graph.Controller, f func(id string, c C)) {
	g.Components(func(id string, found any) {
		if c, ok := found.(C); ok {
			f(id, c)
		}
	})
}

// ScrapeTargets is part of ui.Inventory, as are the methods below.
func (i inventory) ScrapeTargets() []ui.ScrapeTarget {
	var out []ui.ScrapeTarget
	each(i.graph, func(id string, c *scrape.Scraper) {
		for _, t := range c.TargetStatus() {
			out = append(out, ui.ScrapeTarget{
				Component: id, ID: t.ID, Job: t.Job, URL: t.URL, State: t.Health, Labels: t.Labels, Discovered: t.DiscoveredLabels,
				LastScrape: t.LastScrape, Took: t.Took, Interval: t.Interval, Samples: t.Samples, Error: t.LastError,
			})
		}
	})
	return out
}

func (i inventory) Fetch(ctx context.Context, component, target string) (answer ui.Response, found bool, err error) {
	each(i.graph, func(id string, c *scrape.Scraper) {
		if id != component {
			return
		}
		var got scrape.Response
		got, err = c.Fetch(ctx, target)
		found = !errors.Is(err, scrape.ErrNoTarget)
		answer = ui.Response(got)
	})
	return answer, found, err
}

func (i inventory) LogTails() []ui.LogTail {
	var out []ui.LogTail
	each(i.graph, func(id string, c *dockerlogs.Source) {
		for _, t := range c.Tails() {
			out = append(out, ui.LogTail{
				Component: id, ID: t.ID, Container: t.Name, State: t.State, Labels: t.Labels, Lines: t.Lines, Bytes: t.Bytes, Dropped: t.Dropped,
				Connections: t.Connections, Cursor: t.Cursor, LagSeconds: t.LagSeconds, Error: t.LastError, ErrorAt: t.LastErrorAt,
			})
		}
	})
	each(i.graph, func(id string, c *filelogs.Source) {
		for _, t := range c.Tails() {
			out = append(out, ui.LogTail{
				Component: id, Container: t.Path, State: t.State, Labels: map[string]map[string]string{"file": t.Labels},
				Lines: t.Lines, Bytes: t.Bytes, Cursor: t.ReadAt, Error: t.LastError, ErrorAt: t.LastErrorAt,
			})
		}
	})
	return out
}

func (i inventory) Engines() []ui.Engine {
	out := []ui.Engine{}
	each(i.graph, func(id string, c *discovery.Docker) {
		s := c.EngineStatus()
		out = append(out, ui.Engine{Component: id, Host: withoutCredentials(s.Host), Connected: s.Connected, Error: s.Error, Since: s.Since, Targets: s.Targets, Refused: s.Refused})
	})
	return out
}

const (
	dockerMeta    = "__meta_docker_container_"
	composePrefix = dockerMeta + "label_com_docker_compose_"
)

func (i inventory) Containers() []ui.Container {
	found := map[string]ui.Container{}
	each(i.graph, func(_ string, c *discovery.Docker) {
		for _, t := range c.Targets() {
			id := t.Get(dockerMeta + "id")
			found[id] = ui.Container{
				ID: id, Name: strings.TrimPrefix(t.Get(dockerMeta+"name"), "/"), Project: t.Get(composePrefix + "project"),
				Service: t.Get(composePrefix + "service"), Ended: t.Get(discovery.EndedLabel) == "true",
			}
		}
	})
	return slices.Collect(maps.Values(found))
}

func (i inventory) Unlisted() map[string]string {
	out := map[string]string{}
	listed := map[string]bool{}
	for _, c := range i.Containers() {
		listed[c.Name] = true
	}
	each(i.graph, func(_ string, c *discovery.Docker) {
		for name, why := range c.Unlisted() {
			if !listed[name] {
				out[name] = why
			}
		}
	})
	return out
}

// relabeler is a component that relabels targets, series or streams.
type relabeler interface {
	Inputs() []labels.Labels
	Dropper(labels.Labels) (rule int, kept bool)
	Trace(labels.Labels) discovery.Trace
}

func (i inventory) Relabellings() []ui.Relabelling {
	var out []ui.Relabelling
	each(i.graph, func(id string, c relabeler) {
		r := ui.Relabelling{
			Component: id, Inputs: c.Inputs,
			Dropper: func(input labels.Labels, _ string) (int, bool) { return c.Dropper(input) },
			Trace:   func(input labels.Labels, _ string) ui.Trace { return traceOf(c.Trace(input)) },
		}
		if _, targets := c.(*discovery.Relabel); targets {
			r.After = func(_, output labels.Labels) []ui.Onward { return i.after(output) }
		}
		out = append(out, r)
	})
	each(i.graph, func(id string, c *dockerlogs.Source) {
		out = append(out, ui.Relabelling{
			Component: id, Streams: c.Streams(), Inputs: c.Inputs, Dropper: c.Dropper,
			Trace: func(input labels.Labels, stream string) ui.Trace { return traceOf(c.Trace(input, stream)) },
			After: func(input, _ labels.Labels) []ui.Onward { return i.read(id, c, input) },
		})
	})
	return out
}

func traceOf(t discovery.Trace) ui.Trace {
	out := ui.Trace{Input: t.Input, Output: t.Output, Kept: t.Kept}
	for _, s := range t.Steps {
		step := ui.TraceStep{Value: s.Value, Matched: s.Matched, Dropped: s.Dropped, Rule: ui.RelabelRule{
			Action: s.Rule.Action, SourceLabels: s.Rule.SourceLabels, Separator: s.Rule.Separator, Regex: s.Rule.Regex,
			TargetLabel: s.Rule.TargetLabel, Replacement: s.Rule.Replacement, Modulus: s.Rule.Modulus,
		}}
		for _, c := range s.Changes {
			step.Changes = append(step.Changes, ui.LabelShift(c))
		}
		out.Steps = append(out.Steps, step)
	}
	return out
}

// after tells what the components do that have a target in their lists.
func (i inventory) after(target labels.Labels) []ui.Onward {
	var out []ui.Onward
	if target.IsEmpty() {
		return nil
	}
	has := func(list []discovery.Target) bool {
		return slices.ContainsFunc(list, func(t discovery.Target) bool { return labels.Equal(t, target) })
	}
	each(i.graph, func(id string, c *scrape.Scraper) {
		if list, _ := c.Targets().Targets(); !has(list) {
			return
		}
		o := ui.Onward{Component: id, Taken: true}
		var err error
		if o.Target, err = c.Explain(target); err != nil {
			o.Taken, o.Why = false, err.Error()
		}
		out = append(out, o)
	})
	each(i.graph, func(id string, c *dockerlogs.Source) {
		if has(c.Inputs()) {
			out = append(out, i.read(id, c, target)...)
		}
	})
	each(i.graph, func(id string, c *discovery.Relabel) {
		if !has(c.Inputs()) {
			return
		}
		o := ui.Onward{Component: id}
		if _, o.Taken = c.Dropper(target); !o.Taken {
			o.Why = "one of its rules drops the target"
		}
		out = append(out, o)
	})
	return out
}

// read tells whether a source of logs reads the container of a target.
func (i inventory) read(id string, c *dockerlogs.Source, target labels.Labels) []ui.Onward {
	container := target.Get(dockerMeta + "id")
	switch {
	case container == "":
		return []ui.Onward{{Component: id, Why: "the target has no label " + dockerMeta + "id, by which its container could be read"}}
	case !c.Picked(target):
		return []ui.Onward{{Component: id, Why: "the container has several targets, one for each port and network, and another one stands for its output"}}
	}
	return []ui.Onward{{Component: id, Taken: true, Why: "The output of the container is read."}}
}
