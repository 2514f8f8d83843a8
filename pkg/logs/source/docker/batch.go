package docker

import (
	"time"

	"collector/pkg/pipeline"
)

// A batch is handed to the sinks when it is as large as this, or as old.
const (
	batchBytes = 256 << 10
	batchLines = 1000
	batchAge   = 100 * time.Millisecond
)

// batch gathers the lines of one container until they are forwarded.
type batch struct {
	text    []byte
	lines   []batchLine
	reached bool   // the cursor has moved since the last batch, perhaps without any line
	end     cursor // what has been read when all of the batch is delivered

	// What is handed to the sinks; made by logs, and reused.
	streams []pipeline.Stream
}

type batchLine struct {
	labels *streamLabels
	time   int64
	end    int // of the line in text; it begins where the one before ends
}

func (b *batch) full() bool { return len(b.text) >= batchBytes || len(b.lines) >= batchLines }

// oldest is the time of the first line, or 0.
func (b *batch) oldest() int64 {
	if b == nil || len(b.lines) == 0 {
		return 0
	}
	return b.lines[0].time
}

// reset empties the batch and keeps its buffers, but no line.
func (b *batch) reset() {
	if cap(b.text) > 2*batchBytes {
		b.text = nil
	}
	clear(b.lines)
	for i := range b.streams {
		entries := b.streams[i].Entries
		clear(entries)
		b.streams[i] = pipeline.Stream{Entries: entries[:0]}
	}
	*b = batch{text: b.text[:0], lines: b.lines[:0], streams: b.streams[:0]}
}

// logs groups the lines by stream. The text becomes one string, of which the
// lines are parts: sinks may keep strings.
func (b *batch) logs() pipeline.Logs {
	text := string(b.text)
	var of []*streamLabels // the labels of b.streams, in the same order
	start := 0
	for _, l := range b.lines {
		i := 0
		for i < len(of) && of[i] != l.labels {
			i++
		}
		if i == len(of) {
			of = append(of, l.labels)
			b.addStream(l.labels)
		}
		entries := &b.streams[i].Entries
		*entries = append(*entries, pipeline.Entry{Time: time.Unix(0, l.time), Line: text[start:l.end]})
		start = l.end
	}
	return pipeline.Logs{Streams: b.streams}
}

// addStream appends a stream, with the entries' buffer of an earlier one.
func (b *batch) addStream(l *streamLabels) {
	if n := len(b.streams); n < cap(b.streams) {
		b.streams = b.streams[:n+1]
	} else {
		b.streams = append(b.streams, pipeline.Stream{})
	}
	b.streams[len(b.streams)-1].Labels = l.labels
}
