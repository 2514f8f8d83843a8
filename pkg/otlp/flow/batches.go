package flow

import "context"

// BatchCounter counts, for a batch processor, what the exporters after it send: they
// merge requests as it asks.
type BatchCounter interface {
	// Sent counts a request of so many bytes, uncompressed, and items, for which
	// least items were to be gathered.
	Sent(bytes, items, least int)
}

type batchCounterKey struct{}

// WithBatchCounter lets the exporters after a batch processor count for it.
func WithBatchCounter(ctx context.Context, c BatchCounter) context.Context {
	return context.WithValue(ctx, batchCounterKey{}, c)
}

// BatchCounterOf returns what WithBatchCounter put there; nil: no batch processor is
// on the way.
func BatchCounterOf(ctx context.Context) BatchCounter {
	c, _ := ctx.Value(batchCounterKey{}).(BatchCounter)
	return c
}
