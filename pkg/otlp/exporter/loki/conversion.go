package loki

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/plog"

	"collector/pkg/pipeline"
)

// Each entry has all attributes of its resource, so that a small request may make large
// entries. bounds are the bytes of the entries that are held at once before they are
// forwarded, and of those of one request.
type bounds struct{ piece, request int64 }

const (
	maxPiece   = 32 << 20
	maxRequest = 1 << 30

	// memoryShare is the part of the program's memory limit that a piece may take.
	memoryShare = 16

	// entryCost is about what an entry costs besides its line and labels.
	entryCost = 100
)

func defaultBounds(memoryLimit int64) bounds {
	return bounds{piece: min(maxPiece, memoryLimit/memoryShare), request: maxRequest}
}

var errTooLarge = errors.New("the entries of one request are too large, as each has all attributes of its resource: remove large attributes, or send smaller requests")

// conversion makes entries of the records of a request.
type conversion struct {
	bounds  bounds
	forward func(pipeline.Logs) error

	out     pipeline.Logs  // grouped by labels, in the order in which those came
	streams map[string]int // by labels
	names   []byte         // labels that are looked for
	size    int64          // bytes of out
	before  int64          // and of what was forwarded

	made, failed int   // entries, and records of which none can be made
	why          error // what is wrong with the last of those
}

// write forwards the entries: at once, unless they are so large that they go in pieces. If
// one is not accepted, the sender sends the whole request again, so that the entries of
// the pieces before it may be forwarded twice.
func (c *conversion) write(ctx context.Context, ld plog.Logs, now time.Time) error {
	c.streams = make(map[string]int)
	var r record
	for _, rl := range ld.ResourceLogs().All() {
		r.of(rl.Resource().Attributes())
		for _, sl := range rl.ScopeLogs().All() {
			r.scope = sl.Scope()
			for _, lr := range sl.LogRecords().All() {
				if err := ctx.Err(); err != nil {
					return err
				}
				r.LogRecord = lr
				c.add(&r, now)
				if c.size < c.bounds.piece {
					continue
				}
				if err := c.flush(); err != nil {
					return err
				}
			}
		}
	}
	return c.flush()
}

func (c *conversion) add(r *record, now time.Time) {
	if c.before+c.size > c.bounds.request {
		c.failed, c.why = c.failed+1, errTooLarge
		return
	}
	lset, line, err := r.entry()
	if err != nil {
		c.failed, c.why = c.failed+1, err
		c.before += int64(len(r.w.text)) // it has cost as much as others
		return
	}
	c.names = lset.Bytes(c.names[:0])
	i, known := c.streams[string(c.names)]
	if !known {
		i = len(c.out.Streams)
		c.streams[string(c.names)] = i
		c.out.Streams = append(c.out.Streams, pipeline.Stream{Labels: lset})
	}
	c.out.Streams[i].Entries = append(c.out.Streams[i].Entries, pipeline.Entry{Time: r.time(now), Line: line, Metadata: labels.EmptyLabels()})
	c.made++
	c.size += int64(entryCost + len(line) + len(c.names))
}

// flush forwards the entries that there are.
func (c *conversion) flush() error {
	if len(c.out.Streams) == 0 {
		return nil
	}
	if err := c.forward(c.out); err != nil {
		return err
	}
	clear(c.streams)
	c.out = pipeline.Logs{}
	c.before, c.size = c.before+c.size, 0
	return nil
}
