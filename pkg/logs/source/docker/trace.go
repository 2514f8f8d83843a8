package docker

import (
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
)

// Inputs are the targets that the source is given, which the caller must not
// modify.
func (s *Source) Inputs() []discovery.Target {
	targets, _ := s.cfg.Targets.Targets()
	return targets
}

// Rules are those by which the labels of the streams are made; nil for none.
func (s *Source) Rules() *discovery.Rules { return s.cfg.RelabelRules }

// Streams are the names of a container's output streams.
func (s *Source) Streams() []string {
	var names []string
	for stream := range streamCount {
		names = append(names, streamName(stream))
	}
	return names
}

// Trace labels a stream of a target as the source does. It gives nothing of a
// stream that does not exist.
func (s *Source) Trace(t discovery.Target, stream string) (out discovery.Trace) {
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

// Picked tells whether t is the target that stands for its container, which has
// one for each of its ports and networks.
func (s *Source) Picked(t discovery.Target) bool {
	picked, ok := pickTargets(s.Inputs())[t.Get(containerIDLabel)]
	return ok && labels.Equal(picked, t)
}

// Dropper tells whether a stream of t is kept, and by which rule it is left out
// if not: its index, or -1 if it is for having no labels.
func (s *Source) Dropper(t discovery.Target, stream string) (rule int, kept bool) {
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
