package scrape

import (
	"context"
	"net"
	"net/http"
	"time"

	"collector/pkg/component"
	"collector/pkg/listen"
)

// routed sends requests to the components of this program in memory, and the others
// through others: with their credentials, and through their proxy.
type routed struct {
	memory, others http.RoundTripper
}

// memoryDial bounds how long the program's own server may take to accept a connection.
const memoryDial = 10 * time.Second

func newRouted(memory *listen.Memory, others http.RoundTripper) *routed {
	return &routed{
		memory: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				// A scrape that is canceled leaves its dial behind.
				ctx, cancel := context.WithTimeout(ctx, memoryDial)
				defer cancel()
				return memory.Dial(ctx)
			},
			// A new connection costs less than one that waits for the next scrape.
			DisableKeepAlives: true,
			// The fetcher says what it accepts, and unpacks it.
			DisableCompression: true,
		},
		others: others,
	}
}

// RoundTrip implements http.RoundTripper.
func (t *routed) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == component.MemoryAddress && r.URL.Scheme == "http" {
		return t.memory.RoundTrip(r)
	}
	return t.others.RoundTrip(r)
}

// CloseIdleConnections is what http.Client looks for.
func (t *routed) CloseIdleConnections() {
	if c, ok := t.others.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
