package journal

import "collector/pkg/logs/source/lines"

// batch gathers lines until they are delivered.
type batch struct {
	lines.Batch
	of   []*stream // by their numbers
	from []*folder // of the lines
}

// reset empties the batch and keeps its buffers, but no line.
func (b *batch) reset() {
	b.Reset()
	for _, s := range b.of {
		s.index = -1
	}
	clear(b.of)
	clear(b.from)
	b.of, b.from = b.of[:0], b.from[:0]
}
