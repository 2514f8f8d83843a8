package process

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/pipeline"
)

// StageConfig is one block stage.*: exactly one of its fields is set.
type StageConfig struct {
	Multiline *MultilineConfig `alloy:"multiline,block,optional"`
}

// Unsupported lists the stages that Alloy has besides.
func (StageConfig) Unsupported() []string {
	return strings.Fields(`
		cri decolorize docker drop eventlogmessage geoip json label_drop label_keep labels limit
		logfmt luhn match metrics output pack pattern regex replace sampling static_labels
		structured_metadata structured_metadata_drop template tenant timestamp truncate windowsevent
	`)
}

// emitter takes what comes out of a stage.
type emitter func(labels.Labels, pipeline.Entry)

// stage is a step of loki.process. What it does is a function of the calls that
// it gets and of nothing else, so that they can be replayed; it may use the
// time given to decide what is due, not what comes out.
type stage interface {
	// holds tells whether take would hold back any of the entries, or has
	// held back some of the stream. It changes nothing.
	holds(stream labels.Labels, entries []pipeline.Entry) bool
	// take processes an entry and emits what comes of it. It may keep the
	// labels and the metadata, but not the line.
	take(stream labels.Labels, e pipeline.Entry, now time.Time, emit emitter)
	// flush emits what is held of a stream.
	flush(stream labels.Labels, emit emitter)
	// due is when the first stream has to be flushed.
	due() (at time.Time, any bool)
	// each calls f for each stream: first those of which a block is held, in
	// the order in which they were touched, then the others, likewise. It goes
	// on to the others when f returns false.
	each(f func(heldBlock) bool)
	// held counts what is held.
	held() (streams, lines, bytes int)
	// restore sets what is held of a stream.
	restore(b heldBlock, now time.Time, emit emitter)
}

// heldBlock is what a stage holds of a stream. A block of no lines says that
// the stage knows the stream.
type heldBlock struct {
	labels   labels.Labels
	time     time.Time
	metadata labels.Labels
	lines    int
	text     []byte
	due      time.Time // not stored
}

// stages are the steps of one loki.process.
type stages []stage

func newStages(configs []StageConfig, m *metrics) (stages, error) {
	var out stages
	for i, c := range configs {
		if c.Multiline == nil {
			return nil, fmt.Errorf("stage %d is empty", i+1)
		}
		s, err := newMultiline(*c.Multiline, m)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (ss stages) holds(stream labels.Labels, entries []pipeline.Entry) bool {
	for _, s := range ss {
		if s.holds(stream, entries) {
			return true
		}
	}
	return false
}

// take passes an entry through the stages from the given one on.
func (ss stages) take(from int, stream labels.Labels, e pipeline.Entry, now time.Time, emit emitter) {
	if from >= len(ss) {
		emit(stream, e)
		return
	}
	ss[from].take(stream, e, now, ss.after(from, now, emit))
}

// after is what takes what comes out of stage i.
func (ss stages) after(i int, now time.Time, emit emitter) emitter {
	if i+1 >= len(ss) {
		return emit
	}
	return func(l labels.Labels, e pipeline.Entry) { ss.take(i+1, l, e, now, emit) }
}

func (ss stages) flush(i int, stream labels.Labels, now time.Time, emit emitter) {
	if i < len(ss) {
		ss[i].flush(stream, ss.after(i, now, emit))
	}
}

func (ss stages) due() (at time.Time, any bool) {
	for _, s := range ss {
		if d, ok := s.due(); ok && (!any || d.Before(at)) {
			at, any = d, true
		}
	}
	return at, any
}

// stageStream is a stream of which a stage holds a block.
type stageStream struct {
	stage  int
	labels labels.Labels
}

// expired lists what has to be flushed, of each stage first what comes first.
func (ss stages) expired(now time.Time) (out []stageStream) {
	for i, s := range ss {
		s.each(func(b heldBlock) bool {
			if b.lines == 0 || b.due.After(now) {
				return false
			}
			out = append(out, stageStream{i, b.labels})
			return true
		})
	}
	return out
}

// all lists every block, also those that a stage will hold when those before it
// are flushed.
func (ss stages) all() (out []stageStream) {
	for i, s := range ss {
		s.each(func(b heldBlock) bool {
			for after := i; b.lines > 0 && after < len(ss); after++ {
				out = append(out, stageStream{after, b.labels})
			}
			return b.lines > 0
		})
	}
	slices.SortStableFunc(out, func(a, b stageStream) int { return a.stage - b.stage })
	return out
}

// snapshot appends the records that restore what is held. With only the
// streams, it is those of which a block is held, without that block.
func (ss stages) snapshot(buf []byte, onlyStreams bool) []byte {
	for i, s := range ss {
		s.each(func(b heldBlock) bool {
			if onlyStreams && b.lines == 0 {
				return false
			}
			if onlyStreams {
				b = heldBlock{labels: b.labels}
			}
			buf = appendHeld(buf, i, b)
			return true
		})
	}
	return buf
}

// restore takes a record of a snapshot. What a stage held that is not there any
// more comes out as it is.
func (ss stages) restore(r record, now time.Time, emit emitter) {
	switch {
	case r.stage < len(ss):
		ss[r.stage].restore(r.held, now, ss.after(r.stage, now, emit))
	case r.held.lines > 0:
		emit(r.held.labels, pipeline.Entry{Time: r.held.time, Line: string(r.held.text), Metadata: r.held.metadata})
	}
}

// held counts what is held.
func (ss stages) held() (streams, lines, bytes int) {
	for _, s := range ss {
		n, l, b := s.held()
		streams, lines, bytes = streams+n, lines+l, bytes+b
	}
	return streams, lines, bytes
}
