package discovery

import (
	"slices"
	"strings"

	"collector/pkg/docker"
	"collector/pkg/inspect"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
)

// Trace applies the rules to what b holds, as Apply does, and reports what each of them
// did.
func (r *Rules) Trace(b *labels.Builder) (steps []inspect.Step, keep bool) {
	if r == nil {
		return nil, true
	}
	before := Held(b)
	for i, config := range r.configs {
		step := inspect.Step{Rule: shown(r.source[i]), Value: joined(config, before)}
		step.Matched = matches(config, step.Value, before)
		step.Dropped = !relabel.ProcessBuilder(b, config)
		after := Held(b)
		step.Changes = changes(before, after)
		steps, before = append(steps, step), after
		if step.Dropped {
			return steps, false
		}
	}
	return steps, true
}

// Held is what b holds. Unlike b.Labels it does not change b in any way: what labelmap
// makes of two labels that get the same name depends on the order within b.
func Held(b *labels.Builder) labels.Labels {
	s := labels.NewScratchBuilder(16)
	b.Range(func(l labels.Label) { s.Add(l.Name, l.Value) })
	s.Sort()
	return s.Labels()
}

// Dropper applies the rules and gives the index of the one that omits what
// b holds, or -1.
func (r *Rules) Dropper(b *labels.Builder) int {
	for i := range r.Len() {
		if !relabel.ProcessBuilder(b, r.configs[i]) {
			return i
		}
	}
	return -1
}

func joined(c *relabel.Config, l labels.Labels) string {
	var values []string
	for _, name := range c.SourceLabels {
		values = append(values, l.Get(string(name)))
	}
	return strings.Join(values, c.Separator)
}

// matches reports whether what a rule looks for is there: the value matches its
// expression, the name of a label does (labelmap, labeldrop, labelkeep), or the
// value equals the target label (keepequal, dropequal). The other actions
// look for nothing.
func matches(c *relabel.Config, value string, l labels.Labels) bool {
	switch c.Action {
	case relabel.Replace, relabel.Keep, relabel.Drop:
		return c.Regex.MatchString(value)
	case relabel.KeepEqual, relabel.DropEqual:
		return l.Get(c.TargetLabel) == value
	case relabel.LabelMap, relabel.LabelDrop, relabel.LabelKeep:
		found := false
		l.Range(func(l labels.Label) { found = found || c.Regex.MatchString(l.Name) })
		return found
	}
	return true
}

// changes are in the order of the labels' names.
func changes(before, after labels.Labels) []inspect.LabelChange {
	var out []inspect.LabelChange
	old := map[string]string{}
	before.Range(func(l labels.Label) { old[l.Name] = l.Value })
	after.Range(func(l labels.Label) {
		if old[l.Name] != l.Value {
			out = append(out, inspect.LabelChange{Name: l.Name, Before: old[l.Name], After: l.Value})
		}
		delete(old, l.Name)
	})
	before.Range(func(l labels.Label) {
		if _, gone := old[l.Name]; gone {
			out = append(out, inspect.LabelChange{Name: l.Name, Before: l.Value})
		}
	})
	slices.SortFunc(out, func(a, b inspect.LabelChange) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func shown(r Rule) inspect.Rule {
	return inspect.Rule{
		Action: r.Action, SourceLabels: r.SourceLabels, Separator: r.Separator, Regex: r.Regex,
		TargetLabel: r.TargetLabel, Replacement: r.Replacement, Modulus: r.Modulus,
	}
}

func (r *Rules) shown() []inspect.Rule {
	var all []inspect.Rule
	for _, rule := range r.Source() {
		all = append(all, shown(rule))
	}
	return all
}

// Relabeling is part of inspect.Relabeler.
func (r *Relabel) Relabeling() inspect.Relabeling {
	return inspect.Relabeling{
		Targets: true, Inputs: r.inputs, Rules: r.targets.shown(),
		Dropper: func(input Target, _ string) (int, bool) { return r.dropper(input) },
		Trace:   func(input Target, _ string) inspect.Trace { return r.trace(input) },
	}
}

// Consume is part of inspect.TargetConsumer.
func (r *Relabel) Consume(t Target) (o inspect.Onward, listed bool) {
	if !r.in.Has(t) {
		return o, false
	}
	if _, o.Taken = r.dropper(t); !o.Taken {
		o.Why = "one of its rules drops the target"
	}
	return o, true
}

func (r *Relabel) inputs() []Target {
	targets, _ := r.in.Targets()
	return targets
}

// trace relabels a target as the component does.
func (r *Relabel) trace(t Target) inspect.Trace {
	out := inspect.Trace{Input: t}
	out.Output, out.Kept = pass(t, labels.NewBuilder(labels.EmptyLabels()), func(b *labels.Builder) (keep bool) {
		out.Steps, keep = r.targets.Trace(b)
		return keep
	})
	return out
}

// dropper reports whether t is kept, and by which rule it is dropped if not: its
// index.
func (r *Relabel) dropper(t Target) (rule int, kept bool) {
	pass(t, labels.NewBuilder(labels.EmptyLabels()), func(b *labels.Builder) bool {
		rule = r.targets.Dropper(b)
		return rule < 0
	})
	return rule, rule < 0
}

// maxInputs bounds the label sets that are listed, as each is relabeled to be shown.
const maxInputs = 2000

// Relabeling is what a component shows that applies the rules by Series. inputs are
// at most n label sets before the rules, some of those that passed.
func (r *Rules) Relabeling(names *LabelNames, inputs func(n int) []labels.Labels) inspect.Relabeling {
	return inspect.Relabeling{
		Inputs:  func() []labels.Labels { return inputs(maxInputs) },
		Rules:   r.shown(),
		Dropper: func(input labels.Labels, _ string) (int, bool) { return r.seriesDropper(input) },
		Trace:   func(input labels.Labels, _ string) inspect.Trace { return r.traceSeries(input, names) },
	}
}

// traceSeries relabels the labels of a series or stream as Series does, step by
// step.
func (r *Rules) traceSeries(input labels.Labels, names *LabelNames) inspect.Trace {
	out := inspect.Trace{Input: input}
	if out.Steps, out.Kept = r.Trace(labels.NewBuilder(input)); out.Kept {
		out.Output = r.Series(labels.NewBuilder(input), names)
		out.Kept = !out.Output.IsEmpty()
	}
	return out
}

// seriesDropper reports whether Series keeps a series or stream, and which rule
// drops it if not: its index, or -1 if no label is left.
func (r *Rules) seriesDropper(input labels.Labels) (rule int, kept bool) {
	b := labels.NewBuilder(input)
	rule = r.Dropper(b)
	return rule, rule < 0 && !b.Labels().IsEmpty()
}

// Engine is part of inspect.Containers.
func (d *Docker) Engine() inspect.Engine {
	s := d.EngineStatus()
	return inspect.Engine{Host: s.Host, Connected: s.Connected, Error: s.Error, Since: s.Since, Targets: s.Targets, Refused: s.Refused}
}

// Containers are the containers of the targets that the component gives.
func (d *Docker) Containers() []inspect.Container {
	const compose = metaContainer + "label_com_docker_compose_"
	targets, _ := d.set.Targets()
	snap, _ := d.engine.Snapshot()
	here := networkNames(d.self.place(snap).networks)
	var out []inspect.Container
	seen := map[string]bool{}
	for _, t := range targets {
		id := t.Get(metaContainer + "id")
		if seen[id] {
			continue
		}
		seen[id] = true
		made := inspect.Container{
			ID: id, Name: strings.TrimPrefix(t.Get(metaContainer+"name"), "/"),
			Project: t.Get(compose + "project"), Service: t.Get(compose + "service"), Ended: t.Get(EndedLabel) == "true",
		}
		if c := find(id, snap); c != nil {
			made.Ports, made.Networks, made.Labels, made.Here = exposed(c), networkNames(networksOf(c, snap)), c.Labels, here
		}
		out = append(out, made)
	}
	return out
}

// exposed are the TCP ports that a container exposes.
func exposed(c *docker.Container) []int {
	var ports []int
	for _, p := range c.Ports { // sorted
		if n := int(p.Private); p.Type == "tcp" && (len(ports) == 0 || ports[len(ports)-1] != n) {
			ports = append(ports, n)
		}
	}
	return ports
}

// networkNames are the names of networks; none for the host's, where containers
// have no address of their own.
func networkNames(networks []docker.Endpoint) []string {
	var names []string
	for _, n := range networks {
		if n.Name != hostMode {
			names = append(names, n.Name)
		}
	}
	return names
}

// Unlisted are the names of the containers of which the component makes no
// targets, and why.
func (d *Docker) Unlisted() map[string]string {
	targets, _ := d.set.Targets()
	listed := map[string]bool{}
	for _, t := range targets {
		listed[t.Get(metaContainer+"id")] = true
	}
	out := map[string]string{}
	snap, _ := d.engine.Snapshot()
	for _, c := range snap.Containers {
		switch {
		case listed[c.ID] || c.Name == "":
		case !c.Running:
			out[strings.TrimPrefix(c.Name, "/")] = "it is not running (" + c.State + ")"
		default:
			out[strings.TrimPrefix(c.Name, "/")] = "the component's filters exclude it"
		}
	}
	return out
}
