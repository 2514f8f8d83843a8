package docker

import (
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
	"collector/pkg/inspect"
)

// Relabeling is part of inspect.Relabeler.
func (s *Source) Relabeling() inspect.Relabeling {
	return inspect.Relabeling{
		Streams: streams(), Inputs: s.inputs, Dropper: s.dropper, Trace: s.trace,
		After: func(input, _ labels.Labels) []inspect.Onward { return []inspect.Onward{s.read(input)} },
	}
}

// Consume is part of inspect.TargetConsumer.
func (s *Source) Consume(t discovery.Target) (o inspect.Onward, listed bool) {
	if !s.cfg.Targets.Has(t) {
		return o, false
	}
	return s.read(t), true
}

// read says whether the container of a target is read.
func (s *Source) read(t discovery.Target) inspect.Onward {
	switch {
	case t.Get(containerIDLabel) == "":
		return inspect.Onward{Why: "the target has no label " + containerIDLabel + ", by which its container could be read"}
	case !s.picked(t):
		return inspect.Onward{Why: "the container has several targets, one for each port and network, and its logs are read through another one"}
	}
	return inspect.Onward{Taken: true, Why: "The container's logs are read."}
}

func (s *Source) inputs() []discovery.Target {
	targets, _ := s.cfg.Targets.Targets()
	return targets
}

// streams are the names of a container's output streams.
func streams() []string {
	var names []string
	for stream := range streamCount {
		names = append(names, streamName(stream))
	}
	return names
}

// trace labels a stream of a target as the source does. It returns nothing for a stream
// that does not exist.
func (s *Source) trace(t discovery.Target, stream string) (out inspect.Trace) {
	for i := range streamCount {
		if streamName(i) != stream {
			continue
		}
		made := labelStream(t, s.cfg.Labels, i, s.names, func(b *labels.Builder) (keep bool) {
			out.Input = discovery.Held(b)
			out.Steps, keep = s.cfg.RelabelRules.Trace(b)
			return keep
		})
		out.Kept = !made.drop
		if out.Kept {
			out.Output = made.labels
		}
	}
	return out
}

// picked reports whether t is the target that represents its container, which has
// one for each of its ports and networks.
func (s *Source) picked(t discovery.Target) bool {
	picked, ok := pickTargets(s.inputs())[t.Get(containerIDLabel)]
	return ok && labels.Equal(picked, t)
}

// dropper reports whether a stream of t is kept, and by which rule it is dropped
// if not: its index.
func (s *Source) dropper(t discovery.Target, stream string) (rule int, kept bool) {
	rule = -1
	for i := range streamCount {
		if streamName(i) == stream {
			kept = !labelStream(t, s.cfg.Labels, i, s.names, func(b *labels.Builder) bool {
				rule = s.cfg.RelabelRules.Dropper(b)
				return rule < 0
			}).drop
		}
	}
	return rule, kept
}
