package exporter

import (
	"context"
	"strings"
	"sync"

	"collector/pkg/deliver"
	"collector/pkg/otlp/auth"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// signalWriter is the path of one signal through an exporter.
type signalWriter struct {
	signal pipeline.Signal
	dir    string
	e      *Exporter
	off    string // why there is no place to send to: what comes is dropped and counted

	writer *deliver.Writer // nil until the signal writer is started; written with Exporter.mu held
	active bool            // the writer runs; guarded by Exporter.mu

	mu      sync.Mutex
	asked   *pipeline.Batching // what the current limits come from; guarded by mu
	limits  limits             // guarded by mu
	batches flow.BatchCounter  // of the last request that asked; nil: none; guarded by mu
}

// cut records how the request must be merged, and cuts it if it is too large.
func (l *signalWriter) cut(ctx context.Context, w *deliver.Writer, request pipeline.OTLP) ([]wire.Part, error) {
	limits := l.setBatching(w, request.Batching, flow.BatchCounterOf(ctx))
	if len(request.Data) <= limits.maxBytes && (limits.maxItems == 0 || request.Items <= limits.maxItems) {
		return []wire.Part{{Data: request.Data, Items: request.Items}}, nil
	}
	return wire.Split(request.Signal, request.Data, limits.maxBytes, limits.maxItems)
}

// setBatching merges from now on as the request asks. Requests that ask for
// nothing change nothing: one exporter may be reached with and without a batch
// processor on the way.
func (l *signalWriter) setBatching(w *deliver.Writer, asked *pipeline.Batching, batches flow.BatchCounter) limits {
	l.mu.Lock()
	defer l.mu.Unlock()
	if batches != nil {
		l.batches = batches
	}
	if asked == nil || l.asked != nil && *l.asked == *asked {
		return l.limits
	}
	own := *asked
	l.asked, l.limits = &own, limitsOf(l.e.queue.Batch, &own)
	w.SetBatch(l.e.to, l.limits.batch)
	return l.limits
}

// sender sends the requests of a signal writer.
type sender struct{ of *signalWriter }

// Send implements deliver.Sender.
func (s sender) Send(ctx context.Context, blocks []queue.Block) (deliver.Result, error) {
	if _, carried, ok := strings.Cut(blocks[0].Tag, carriedMark); ok {
		ctx = auth.WithCarried(ctx, carried)
	}
	res, err := s.of.e.transport.Send(ctx, s.of.signal, blocks)
	if err != nil {
		return deliver.Result{}, err
	}
	bytes, items := 0, 0
	for i := range blocks {
		bytes += len(blocks[i].Data)
		items += blocks[i].Items
	}
	s.of.delivered(bytes, items)
	res.Dropped = min(max(res.Dropped, 0), items) // whatever the destination says
	return res, nil
}

// Split implements deliver.Sender: it cuts a block in two.
func (s sender) Split(b queue.Block) []queue.Block {
	if b.Items < 2 {
		return nil
	}
	parts, err := wire.Split(s.of.signal, b.Data, 0, (b.Items+1)/2)
	if err != nil || len(parts) < 2 {
		return nil
	}
	blocks := make([]queue.Block, len(parts))
	for i, p := range parts {
		blocks[i] = queue.Block{Data: p.Data, Tag: b.Tag, Items: p.Items, MinTime: b.MinTime, MaxTime: b.MaxTime}
	}
	return blocks
}

// delivered reports what was sent to the batch processor on the way, if there is one.
func (l *signalWriter) delivered(bytes, items int) {
	l.mu.Lock()
	batches, least := l.batches, l.limits.batch.MinItems
	l.mu.Unlock()
	if batches != nil {
		batches.Sent(bytes, items, least)
	}
}
