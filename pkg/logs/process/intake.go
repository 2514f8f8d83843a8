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

// intake gathers what comes to the first Holder.
type intake struct {
	out  output
	from [][]Extracted // by stream
}

func (in *intake) add(lset labels.Labels, e *Entry) {
	in.out.add(lset, pipeline.Entry{Time: e.Time, Line: e.Line, Metadata: e.Metadata})
	i := in.out.last
	if n := len(in.out.streams) - len(in.from); n > 0 {
		in.from = append(in.from, make([][]Extracted, n)...)
	}
	if e.Extracted.only(lset) && in.from[i] == nil {
		return
	}
	for len(in.from[i]) < len(in.out.streams[i].Entries)-1 {
		in.from[i] = append(in.from[i], Extracted{initial: lset})
	}
	in.from[i] = append(in.from[i], e.Extracted.Clone())
}

func (in *intake) arrivals() []arrival {
	out := make([]arrival, len(in.out.streams))
	for i := range in.out.streams {
		s := &in.out.streams[i]
		out[i] = arrival{s.Labels, s.Entries, in.from[i]}
	}
	return out
}

func (in *intake) reset() {
	in.out.reset()
	in.from = in.from[:0]
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
