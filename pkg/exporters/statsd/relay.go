package statsd

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"collector/pkg/throttle"
)

// relayInterval is how long a line waits at most for others to fill a packet.
const relayInterval = time.Second

// relay sends lines to another StatsD server, several in a packet.
type relay struct {
	address string
	longest int // packet
	metrics *metrics
	log     *slog.Logger
	quiet   throttle.Log

	mu     sync.Mutex
	packet bytes.Buffer // guarded by mu, as all below
	conn   net.Conn     // nil: there is none
	stale  bool         // conn has failed
}

// add puts a line into the next packet.
func (r *relay) add(line string) {
	if line == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(line)+1 > r.longest {
		r.metrics.relayLong.Inc()
		return
	}
	if r.packet.Len()+len(line)+1 > r.longest {
		r.send()
	}
	r.packet.WriteString(line + "\n")
	r.metrics.relayLines.Inc()
}

// send sends the packet, which is lost without a connection. The caller holds mu.
func (r *relay) send() {
	if r.packet.Len() == 0 {
		return
	}
	defer r.packet.Reset()
	if r.conn == nil {
		return // connect has said why
	}
	if _, err := r.conn.Write(r.packet.Bytes()); err != nil { // of the packet before, if nobody listened
		r.warn(err)
		r.stale = true
		return
	}
	r.metrics.relayPackets.Inc()
}

func (r *relay) warn(err error) {
	r.quiet.Warn(r.log, "relay", "cannot relay lines", "address", r.address, "err", err)
}

// connect looks the address up, if there is no connection or it has failed. Nobody who
// has a line waits for it.
func (r *relay) connect(ctx context.Context) {
	r.mu.Lock()
	good := r.conn != nil && !r.stale
	r.mu.Unlock()
	if good {
		return
	}
	conn, err := (&net.Dialer{Timeout: relayInterval}).DialContext(ctx, "udp", r.address)
	if err != nil {
		if ctx.Err() == nil {
			r.warn(err)
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.close()
	r.conn, r.stale = conn, false
}

func (r *relay) close() {
	if r.conn != nil {
		r.conn.Close()
		r.conn = nil
	}
}

// run sends the packet once a second, until ctx ends.
func (r *relay) run(ctx context.Context) {
	tick := time.NewTicker(relayInterval)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			r.connect(ctx)
		}
		r.mu.Lock()
		r.send()
		r.mu.Unlock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.close()
}
