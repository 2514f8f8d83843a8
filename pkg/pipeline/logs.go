package pipeline

import (
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Logs is a batch of log entries, grouped by stream.
type Logs struct {
	Streams []Stream
}

// Stream is a run of entries that share their labels, in the order in which
// they were read. Labels that start with "__" are for sinks to act on
// (such as __tenant_id__) and are never sent.
type Stream struct {
	Labels  labels.Labels
	Entries []Entry
}

// Entry is one log line without its line end. Line may hold any bytes.
type Entry struct {
	Time     time.Time
	Line     string
	Metadata labels.Labels // structured metadata; usually empty
}

// Entries counts the entries of all streams.
func (l Logs) Entries() int {
	n := 0
	for i := range l.Streams {
		n += len(l.Streams[i].Entries)
	}
	return n
}

// IsInternal reports whether a label is for sinks to act on and never sent.
func IsInternal(name string) bool { return strings.HasPrefix(name, "__") }

// Public returns lset without its internal labels.
func Public(lset labels.Labels) labels.Labels {
	internal := false
	lset.Range(func(l labels.Label) { internal = internal || IsInternal(l.Name) })
	if !internal {
		return lset
	}
	b := labels.NewScratchBuilder(lset.Len())
	lset.Range(func(l labels.Label) {
		if !IsInternal(l.Name) {
			b.Add(l.Name, l.Value)
		}
	})
	return b.Labels()
}
