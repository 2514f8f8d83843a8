package httpclient

import (
	"context"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
)

// Trails records how far requests got. Each Trail is reused, as scrapes and pushes need
// one for each request. The zero value is ready for use.
type Trails struct{ unused sync.Pool }

// Trail is how far one request got.
type Trail struct {
	trace httptrace.ClientTrace
	got   atomic.Bool
}

// Begin returns a context that records how far its request gets. End must be called when
// the request has been answered or has failed.
func (t *Trails) Begin(ctx context.Context) (context.Context, *Trail) {
	trail, ok := t.unused.Get().(*Trail)
	if !ok {
		trail = new(Trail)
		trail.trace.GotConn = func(httptrace.GotConnInfo) { trail.got.Store(true) }
	}
	trail.got.Store(false)
	return httptrace.WithClientTrace(ctx, &trail.trace), trail
}

// End reports whether there was a connection, new or used before.
func (t *Trails) End(trail *Trail) (connected bool) {
	connected = trail.got.Load()
	t.unused.Put(trail)
	return connected
}
