package journal

import (
	"time"

	"collector/pkg/pipeline"
)

// batch gathers lines until they are delivered.
type batch struct {
	text    []byte
	lines   []batchLine
	to      []*stream
	streams []pipeline.Stream // of to
}

type batchLine struct {
	folder *folder
	stream int
	time   int64
	end    int // in text
}

func (b *batch) full() bool { return len(b.text) >= batchBytes || len(b.lines) >= batchLines }

// size is the length of the line number i.
func size(lines []batchLine, i int) int {
	if i == 0 {
		return lines[0].end
	}
	return lines[i].end - lines[i-1].end
}

// logs groups the lines by stream. The text becomes one string, of which the lines
// are parts: sinks may keep strings.
func (b *batch) logs() pipeline.Logs {
	text := string(b.text)
	b.streams = b.streams[:0]
	for _, s := range b.to {
		if n := len(b.streams); n < cap(b.streams) {
			b.streams = b.streams[:n+1]
		} else {
			b.streams = append(b.streams, pipeline.Stream{})
		}
		b.streams[len(b.streams)-1].Labels = s.labels
	}
	start := 0
	for _, l := range b.lines {
		entries := &b.streams[l.stream].Entries
		*entries = append(*entries, pipeline.Entry{Time: time.Unix(0, l.time), Line: text[start:l.end]})
		start = l.end
	}
	return pipeline.Logs{Streams: b.streams}
}

// reset empties the batch and keeps its buffers, but no line.
func (b *batch) reset() {
	if cap(b.text) > 2*batchBytes {
		b.text = nil
	}
	for i := range b.streams {
		entries := b.streams[i].Entries
		clear(entries)
		b.streams[i] = pipeline.Stream{Entries: entries[:0]}
	}
	for _, s := range b.to {
		s.index = -1
	}
	clear(b.to)
	clear(b.lines)
	*b = batch{text: b.text[:0], lines: b.lines[:0], to: b.to[:0], streams: b.streams[:0]}
}
