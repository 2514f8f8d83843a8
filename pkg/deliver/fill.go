package deliver

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"collector/pkg/durable"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// Queue describes the queue that the destinations of a writer share.
type Queue struct {
	Size     int64 `json:"size"`     // bytes on disk
	Capacity int64 `json:"capacity"` // the most that they may be
	// WhenFull is what happens to new data while there is no room: "wait", "refuse", or
	// "drop_oldest".
	WhenFull string `json:"whenFull"`
	// FullSince is since when there has not been room for everything; zero while there is.
	FullSince time.Time `json:"fullSince,omitzero"`
	Waiting   int       `json:"waiting"` // senders that wait for room
	Refused   uint64    `json:"refused"` // items for which there was no room; their senders still have them
	// Failing is why nothing can be added, such as a full disk; empty while something can.
	Failing string `json:"failing,omitempty"`
	// Disk is what the file system has left on which the queue is; nil if that is not known.
	Disk *durable.Space `json:"disk,omitempty"`
}

// Short reports whether the disk will be full before the queue is.
func (q *Queue) Short() bool { return q.Disk != nil && q.Disk.Free < q.Capacity-q.Size }

// diskEvery is the shortest time between two looks at the free space of the disk.
const diskEvery = 10 * time.Second

// disk is what was last seen of the disk on which a queue is.
type disk struct {
	mu   sync.Mutex
	at   time.Time
	seen *durable.Space
}

func (d *disk) space(dir string) *durable.Space {
	d.mu.Lock()
	defer d.mu.Unlock()
	if dir == "" || time.Since(d.at) < diskEvery {
		return d.seen
	}
	d.at, d.seen = time.Now(), nil
	if space, err := durable.SpaceAt(dir); err == nil {
		d.seen = &space
	}
	return d.seen
}

// appended records the outcome of an Append.
func (w *Writer) appended(ctx context.Context, blocks []queue.Block, err error) {
	switch {
	case err == nil:
		if w.failing.Load() != nil {
			w.failing.Store(nil)
		}
	case errors.Is(err, pipeline.ErrFull), ctx.Err() != nil && errors.Is(err, ctx.Err()):
		w.refused.Add(uint64(itemsOf(blocks)))
	case !pipeline.IsPermanent(err) && !errors.Is(err, pipeline.ErrClosed):
		w.refused.Add(uint64(itemsOf(blocks)))
		why := err.Error()
		w.failing.Store(&why)
	}
}

// fill describes the queue; q is nil while it is not open.
func (w *Writer) fill(q *queue.Queue) Queue {
	f := Queue{Capacity: cmp.Or(w.o.MaxBytes, queue.DefaultMaxBytes), WhenFull: w.o.WhenFull.String(), Refused: w.refused.Load()}
	if q == nil {
		return f
	}
	now := q.Fill()
	f.Size, f.Capacity, f.FullSince, f.Waiting = now.Size, now.Capacity, now.Since, now.Waiting
	if why := w.failing.Load(); why != nil {
		f.Failing = *why
	}
	f.Disk = w.disk.space(w.o.Dir)
	return f
}
