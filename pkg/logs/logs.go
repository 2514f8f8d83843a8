// Package logs reads the output of containers and delivers log entries to
// Loki.
//
// A tail follows the output of one container through the Docker Engine:
//
//	Engine ──frames──▶ joiner ──lines──▶ batch ──WriteLogs──▶ sinks
//	   ▲                                   │
//	   └───────── since ◀── cursor ◀── nil ┘
//
// A cursor moves only when every sink has taken the lines before it, and it
// says exactly which lines those are, so that nothing is lost and nothing is
// repeated however often a connection ends.
//
// Write is a sink: it encodes entries as logproto.PushRequest, queues them on
// disk and sends them to every endpoint.
package logs

import (
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// The output streams of a container.
const (
	stdout = iota
	stderr
	streamCount
)

// streamName is Docker's name of a stream.
func streamName(stream int) string {
	if stream == stderr {
		return "stderr"
	}
	return "stdout"
}

// streamIndex is the inverse of streamName.
func streamIndex(name string) int {
	if name == "stderr" {
		return stderr
	}
	return stdout
}

// isInternal tells a label that is never sent.
func isInternal(name string) bool { return strings.HasPrefix(name, "__") }

// public is lset without the labels that are never sent.
func public(lset labels.Labels) labels.Labels {
	internal := false
	lset.Range(func(l labels.Label) { internal = internal || isInternal(l.Name) })
	if !internal {
		return lset
	}
	b := labels.NewScratchBuilder(lset.Len())
	lset.Range(func(l labels.Label) {
		if !isInternal(l.Name) {
			b.Add(l.Name, l.Value)
		}
	})
	return b.Labels()
}
