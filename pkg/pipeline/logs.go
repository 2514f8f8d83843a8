package pipeline

import (
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
