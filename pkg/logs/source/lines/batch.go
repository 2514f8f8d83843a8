package lines

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/pipeline"
)

// A batch is full when it is as large as this.
const (
	BatchBytes = 256 << 10
	BatchLines = 1000
)

// Batch gathers lines by stream until they are delivered.
type Batch struct {
	// Text is the text of all lines. Whoever has appended that of one calls Add.
	Text []byte

	lines   []line
	streams []pipeline.Stream
}

type line struct {
	stream int
	time   int64
	end    int // in Text; the line begins where the one before ends
}

// Open makes a stream, and returns its number. It is there until the next Reset.
func (b *Batch) Open(lset labels.Labels) int {
	n := len(b.streams)
	if n < cap(b.streams) {
		b.streams = b.streams[:n+1] // with the entries' buffer of an earlier one
	} else {
		b.streams = append(b.streams, pipeline.Stream{})
	}
	b.streams[n].Labels = lset
	return n
}

// Add adds the line that has been appended to Text to a stream.
func (b *Batch) Add(stream int, time int64) {
	b.lines = append(b.lines, line{stream, time, len(b.Text)})
}

// Len is how many lines there are.
func (b *Batch) Len() int { return len(b.lines) }

// Full reports whether the batch must be delivered before more is added.
func (b *Batch) Full() bool { return len(b.Text) >= BatchBytes || len(b.lines) >= BatchLines }

// Size is the length of the line number i.
func (b *Batch) Size(i int) int {
	if i == 0 {
		return b.lines[0].end
	}
	return b.lines[i].end - b.lines[i-1].end
}

// Oldest is the time of the first line, or 0.
func (b *Batch) Oldest() int64 {
	if len(b.lines) == 0 {
		return 0
	}
	return b.lines[0].time
}

// Logs groups the lines by stream. The text becomes one string, of which the lines
// are parts: sinks may keep strings, but nothing else.
func (b *Batch) Logs() pipeline.Logs {
	text := string(b.Text)
	for i := range b.streams {
		b.streams[i].Entries = b.streams[i].Entries[:0]
	}
	start := 0
	for _, l := range b.lines {
		entries := &b.streams[l.stream].Entries
		*entries = append(*entries, pipeline.Entry{Time: time.Unix(0, l.time), Line: text[start:l.end]})
		start = l.end
	}
	return pipeline.Logs{Streams: b.streams}
}

// Reset empties the batch and keeps its buffers, but no line.
func (b *Batch) Reset() {
	if cap(b.Text) > 2*BatchBytes {
		b.Text = nil
	}
	for i := range b.streams {
		entries := b.streams[i].Entries
		clear(entries)
		b.streams[i] = pipeline.Stream{Entries: entries[:0]}
	}
	*b = Batch{Text: b.Text[:0], lines: b.lines[:0], streams: b.streams[:0]}
}

// Deliver gives entries to every sink, to each until it accepts them; rejected counts
// those that one rejects. It fails only when ctx ends.
func Deliver(ctx context.Context, to []pipeline.LogsSink, logs pipeline.Logs, rejected prometheus.Counter, warn func(message string, args ...any)) error {
	_, err := pipeline.UntilAccepted(ctx, to, 0,
		func(ctx context.Context, to pipeline.LogsSink) error { return to.WriteLogs(ctx, logs) },
		pipeline.Notify{
			Refused: func(_ int, err error) {
				n := logs.Entries()
				rejected.Add(float64(n))
				warn("a receiver rejects log entries, which are dropped", "err", err, "entries", n)
			},
			Waiting: func(_ int, err error) { warn("a receiver does not accept log entries; retrying", "err", err) },
		})
	return err
}
