package docker

import (
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
	"collector/pkg/pipeline"
)

const (
	containerIDLabel   = "__meta_docker_container_id"
	containerNameLabel = "__meta_docker_container_name"
	logStreamLabel     = "__meta_docker_container_log_stream"
)

// streamLabels are the labels of one output stream of a container.
type streamLabels struct {
	labels labels.Labels
	drop   bool // a rule drops the stream
}

// identity is what a target makes of its container: the labels of its
// streams. It is immutable.
type identity struct {
	target  discovery.Target
	streams [streamCount]streamLabels
}

// newIdentity labels the streams of target. As in Alloy, the extra labels win over those
// of the target, and the rules see both. Names that Loki would reject are made valid.
func newIdentity(target discovery.Target, extra map[string]string, rules *discovery.Rules, names *discovery.LabelNames) *identity {
	id := &identity{target: target}
	for stream := range streamCount {
		id.streams[stream] = labelStream(target, extra, stream, names, rules.Apply)
	}
	return id
}

// labelStream labels one stream of target; apply applies the rules. A stream that
// is left without a label is kept, as in Alloy: a loki.process may give it some.
func labelStream(target discovery.Target, extra map[string]string, stream int, names *discovery.LabelNames, apply func(*labels.Builder) bool) streamLabels {
	b := labels.NewBuilder(target)
	for name, value := range extra {
		b.Set(name, value)
	}
	b.Set(logStreamLabel, streamName(stream))
	keep := apply(b)
	return streamLabels{labels: names.Valid(pipeline.Public(b.Labels())), drop: !keep}
}

// pickTargets chooses one target for each container: a container has one for
// each of its ports and networks. One that runs is preferred to one that has
// ended, and then the first in the order of labels, so that the choice doesn't
// depend on the order of discovery.
func pickTargets(targets []discovery.Target) map[string]discovery.Target {
	out := make(map[string]discovery.Target)
	for _, t := range targets {
		id := t.Get(containerIDLabel)
		if id == "" {
			continue
		}
		best, ok := out[id]
		if !ok || before(t, best) {
			out[id] = t
		}
	}
	return out
}

func before(a, b discovery.Target) bool {
	if hasEnded(a) != hasEnded(b) {
		return hasEnded(b)
	}
	return labels.Compare(a, b) < 0
}

func hasEnded(t discovery.Target) bool { return t.Get(discovery.EndedLabel) == "true" }
