package docker

import (
	"slices"
	"time"

	"collector/pkg/logs/source/lines"
)

// batchAge is the age at which a batch that is not full is delivered.
const batchAge = 100 * time.Millisecond

// batch gathers the lines of one container until they are forwarded.
type batch struct {
	lines.Batch
	of      []*streamLabels // of the streams, by their numbers
	reached bool            // the cursor has moved since the last batch, perhaps without any line
	end     cursor          // what has been read when all of the batch is delivered
}

// oldest is the time of the first line, or 0.
func (b *batch) oldest() int64 {
	if b == nil {
		return 0
	}
	return b.Oldest()
}

// stream is the number of the stream with these labels.
func (b *batch) stream(l *streamLabels) int {
	if i := slices.Index(b.of, l); i >= 0 {
		return i
	}
	b.of = append(b.of, l)
	return b.Open(l.labels)
}

// reset empties the batch and keeps its buffers, but no line.
func (b *batch) reset() {
	b.Reset()
	clear(b.of)
	b.of, b.reached, b.end = b.of[:0], false, cursor{}
}
