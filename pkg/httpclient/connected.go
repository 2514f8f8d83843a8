package httpclient

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"
)

// Connected has a context tell how far a request got that is made with it:
// connected reports whether there was a connection, new or used before.
func Connected(ctx context.Context) (traced context.Context, connected func() bool) {
	var got atomic.Bool
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { got.Store(true) }}), got.Load
}
