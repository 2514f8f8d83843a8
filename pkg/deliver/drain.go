package deliver

import (
	"context"
	"fmt"

	"collector/pkg/queue"
)

// Drain delivers what is waiting in a queue that no process uses to the writer's
// destination of that id ("": its only one), and removes the queue when nothing
// is left. It ends with ctx, and counts what it has delivered and dropped.
func (w *Writer) Drain(ctx context.Context, f queue.Folder, to string) (delivered, dropped uint64, err error) {
	if to == "" && len(w.destinations) == 1 {
		to = w.destinations[0].ID
	}
	d := w.destination(to)
	if d == nil {
		var ids []string
		for _, d := range w.destinations {
			ids = append(ids, d.ID)
		}
		return 0, 0, fmt.Errorf("%s has no single endpoint %q: choose one of %q", w.o.Component, to, ids)
	}
	q, err := queue.OpenFolder(f, queue.Options{Logger: w.o.Logger, Description: f.Description})
	if err != nil {
		return 0, 0, err
	}
	left := uint64(0)
	for _, from := range f.Destinations {
		r := q.Reader(from.Reader)
		for r.Queued() > 0 && ctx.Err() == nil {
			d.run(ctx, ctx, r, true)
			if r.Queued() > 0 {
				sleep(ctx, drainPause)
			}
		}
		left += r.Queued()
	}
	for _, s := range q.Stats() {
		delivered += s.Delivered
		for _, n := range s.Dropped {
			dropped += n
		}
	}
	if left == 0 {
		return delivered, dropped, q.Remove()
	}
	if err := q.Close(); err != nil {
		return delivered, dropped, err
	}
	return delivered, dropped, fmt.Errorf("%d items remain because the destination does not accept them: %s", left, d.health().LastError)
}
