package process

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/pipeline"
)

// arrival is a stream as it comes to the first Holder.
type arrival struct {
	labels  labels.Labels
	entries []pipeline.Entry
	// from is what was extracted from each entry; nil: nothing but the labels.
	from []Extracted
}

// begin makes e the i-th entry.
func (a *arrival) begin(e *Entry, i int) {
	in := &a.entries[i]
	e.Labels.reset(a.labels)
	if a.from == nil {
		e.Extracted.reset(a.labels)
	} else {
		e.Extracted.copyFrom(&a.from[i])
	}
	e.Time, e.Line, e.Metadata = in.Time, in.Line, in.Metadata
}

// intake gathers what comes to the first Holder. What arrivals returns is valid until
// reset.
type intake struct {
	out    output
	from   [][]Extracted // by stream; empty: nothing but the labels
	fields []field       // of all in from
}

// keptFields is the number of extracted values for which an intake keeps its memory.
const keptFields = 16 * keptEntries

func (in *intake) add(lset labels.Labels, e *Entry) {
	in.out.add(lset, pipeline.Entry{Time: e.Time, Line: e.Line, Metadata: e.Metadata})
	i := in.out.last
	for len(in.from) <= i {
		in.from = slices.Grow(in.from, 1)[:len(in.from)+1] // with the memory of an earlier one
	}
	if e.Extracted.only(lset) && len(in.from[i]) == 0 {
		return
	}
	for len(in.from[i]) < len(in.out.streams[i].Entries)-1 {
		in.from[i] = append(in.from[i], Extracted{initial: lset})
	}
	in.from[i] = append(in.from[i], in.clone(&e.Extracted))
}

func (in *intake) clone(x *Extracted) Extracted {
	first := len(in.fields)
	in.fields = append(in.fields, x.fields...)
	out := Extracted{initial: x.initial, fields: slices.Clip(in.fields[first:])}
	if x.index != nil {
		out.reindex()
	}
	return out
}

func (in *intake) arrivals() []arrival {
	out := make([]arrival, len(in.out.streams))
	for i := range in.out.streams {
		s := &in.out.streams[i]
		out[i] = arrival{labels: s.Labels, entries: s.Entries}
		if len(in.from[i]) > 0 {
			out[i].from = in.from[i]
		}
	}
	return out
}

// reset empties in. It keeps memory, but nothing of what was in it.
func (in *intake) reset() {
	if in.out.entries > keptEntries || cap(in.fields) > keptFields {
		*in = intake{}
		return
	}
	in.out.reset()
	for i := range in.from {
		clear(in.from[i])
		in.from[i] = in.from[i][:0]
	}
	clear(in.fields)
	in.from, in.fields = in.from[:0], in.fields[:0]
}

// byLabels joins the streams that have the same labels, as stdout and stderr
// may have.
func byLabels(streams []pipeline.Stream) []arrival {
	out := make([]arrival, 0, len(streams))
	for i := range streams {
		s := &streams[i]
		at := slices.IndexFunc(out, func(o arrival) bool { return labels.Equal(o.labels, s.Labels) })
		if at < 0 {
			out = append(out, arrival{labels: s.Labels, entries: s.Entries})
			continue
		}
		out[at].entries = slices.Concat(out[at].entries, s.Entries)
	}
	return out
}
