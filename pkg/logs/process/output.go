package process

import (
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/pipeline"
)

// keptEntries is the number of entries for which an output keeps its buffers.
const keptEntries = 4096

// output gathers entries by stream, those of a stream in their order.
type output struct {
	streams []pipeline.Stream
	entries int

	last  int            // the stream of the last entry
	index map[uint64]int // of streams by the hash of their labels, if they are many
}

// indexedAbove is the number of streams from which on they are found by an index.
const indexedAbove = 8

func (o *output) empty() bool { return o.entries == 0 }

func (o *output) logs() pipeline.Logs { return pipeline.Logs{Streams: o.streams} }

func (o *output) add(lset labels.Labels, e pipeline.Entry) {
	o.entries++
	i := o.find(lset)
	o.last = i
	o.streams[i].Entries = append(o.streams[i].Entries, e)
}

// find returns the index of the stream, which it makes if there is none.
func (o *output) find(lset labels.Labels) int {
	if o.last < len(o.streams) && labels.Equal(o.streams[o.last].Labels, lset) {
		return o.last
	}
	if len(o.streams) <= indexedAbove {
		for i := range o.streams {
			if labels.Equal(o.streams[i].Labels, lset) {
				return i
			}
		}
		return o.open(lset)
	}
	if o.index == nil {
		o.index = make(map[uint64]int)
	}
	for i := len(o.index); i < len(o.streams); i++ {
		o.index[o.streams[i].Labels.Hash()] = i
	}
	if i, ok := o.index[lset.Hash()]; ok && labels.Equal(o.streams[i].Labels, lset) {
		return i
	}
	return o.open(lset)
}

// open appends a stream, with the entries' buffer of an earlier one.
func (o *output) open(lset labels.Labels) int {
	n := len(o.streams)
	if n < cap(o.streams) {
		o.streams = o.streams[:n+1]
	} else {
		o.streams = append(o.streams, pipeline.Stream{})
	}
	o.streams[n].Labels = lset
	return n
}

// reset empties o. It keeps buffers, but nothing of what was in them.
func (o *output) reset() {
	if o.entries > keptEntries {
		*o = output{}
		return
	}
	for i := range o.streams {
		entries := o.streams[i].Entries
		clear(entries)
		o.streams[i] = pipeline.Stream{Entries: entries[:0]}
	}
	*o = output{streams: o.streams[:0]}
}
