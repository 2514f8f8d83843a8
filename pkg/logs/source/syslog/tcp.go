package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/listen"
)

const (
	// handshakeTime is how long a client may take to begin TLS.
	handshakeTime = 10 * time.Second
	// drainTime is how long what a client has sent is read when the component stops.
	drainTime = time.Second
)

// accept serves connections until ctx ends, and what has been read of them until
// lasting ends.
func (l *listener) accept(ctx, lasting context.Context, from net.Listener) error {
	from = l.source.limit.Listener(from)
	defer from.Close()
	stop := context.AfterFunc(ctx, func() { from.Close() })
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	for {
		c, err := from.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept syslog connections on %s: %w", from.Addr(), err)
		}
		all.Go(func() { l.serve(ctx, lasting, c) })
	}
}

// conn is a connection that is read.
type conn struct {
	net.Conn
	inner    net.Conn // beneath TLS
	listener *listener
	client   string // as budgets know it
	labels   labels.Labels
	parser   parser
	batch    batch
	claim    *listen.Claim // for the batch; nil: there is none

	long    *listen.Arrival // a long message; nil: there is none
	claimed int             // by long
	arrived bool            // long has, and nothing has been read since

	mu       sync.Mutex
	stopping bool      // guarded by mu
	due      time.Time // when more of long has to be there; guarded by mu
}

// serve reads one connection.
func (l *listener) serve(ctx, lasting context.Context, inner net.Conn) {
	defer inner.Close()
	l.counts.connections.Add(1)
	defer l.counts.connections.Add(-1)
	address := addressOf(inner.RemoteAddr())
	client, err := l.secure(lasting, inner) // a client may send its first message before it knows that it is accepted
	if err != nil {
		l.failed(reasonTLS, address, err)
		return
	}
	c := &conn{Conn: client, inner: inner, listener: l, client: listen.ClientOf(inner.RemoteAddr().String()), labels: l.client(lasting, address)}
	c.parser.listener, c.batch.from = l, l
	stop := context.AfterFunc(ctx, c.stop)
	defer stop()
	defer c.release()
	c.read(lasting, address)
}

// secure is inner after the handshake of TLS, if the listener has it.
func (l *listener) secure(ctx context.Context, inner net.Conn) (net.Conn, error) {
	if l.tls == nil {
		return inner, nil
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	c := tls.Server(inner, l.tls)
	return c, c.HandshakeContext(ctx)
}

func addressOf(a net.Addr) netip.Addr {
	if ap, err := netip.ParseAddrPort(a.String()); err == nil {
		return ap.Addr().Unmap()
	}
	return netip.Addr{}
}

// failed counts a connection that is closed because of what came by it.
func (l *listener) failed(reason string, client netip.Addr, err error) {
	s := l.source
	s.metrics.connections.WithLabelValues(reason).Inc()
	l.counts.wrong(client.String(), fmt.Errorf("connection closed: %w", err))
	s.quiet.Warn(s.options.Logger, reason+client.String(), "connection closed", "reason", reason, "address", l.Address(), "client", client.String(), "err", err)
}

// read forwards what comes until the client, or lasting, ends.
func (c *conn) read(lasting context.Context, address netip.Addr) {
	l := c.listener
	f := l.config.frames()
	f.r, f.until, f.grow, f.pause = arriving{c}, c.until, c.grow, func() error { return c.pause(lasting) }
	for {
		m, err := f.next()
		if errors.Is(err, errTooLong) {
			l.source.metrics.drop(reasonTooLong, 1)
			l.counts.lost(1)
			l.source.quiet.Warn(l.source.options.Logger, reasonTooLong+address.String(), "message dropped: it is longer than max_message_length", "address", l.Address(), "client", address.String(), "bytes", m.size)
			continue
		}
		if err != nil {
			if c.flush(lasting) == nil {
				c.end(address, err)
			}
			return
		}
		if err := c.take(lasting, &f, m); err != nil {
			return
		}
	}
}

// take adds a message to the batch, and forwards that if it is full. It waits for
// memory for all messages that have been read.
func (c *conn) take(lasting context.Context, f *frames, m frame) (err error) {
	if c.long != nil {
		c.long.Arrived()
		c.arrived = true
	}
	if c.claim == nil {
		s := c.listener.source
		if c.claim, err = s.claim(lasting, c.client, batchCost(len(m.text)+f.end-f.start)); err != nil {
			s.metrics.drop(reasonStopped, 1)
			return err
		}
	}
	c.parser.take(&c.batch, m, c.labels, time.Now())
	if c.batch.entries >= batchEntries {
		return c.flush(lasting)
	}
	return nil
}

// pause forwards what has been read, before more is.
func (c *conn) pause(lasting context.Context) error {
	err := c.flush(lasting)
	if c.arrived && c.long != nil {
		c.long.Resume()
	}
	c.arrived = false
	return err
}

func (c *conn) flush(lasting context.Context) error {
	err := c.listener.source.forward(lasting, &c.batch)
	if c.claim != nil {
		c.claim.Release()
		c.claim = nil
	}
	return err
}

// end counts what ended the connection, if it is a fault.
func (c *conn) end(address netip.Addr, err error) {
	var framing framingError
	switch {
	case errors.As(err, &framing):
		c.listener.source.metrics.malformed.Inc()
		c.listener.failed(reasonFraming, address, err)
	case errors.Is(err, listen.ErrTooSlow):
		c.listener.failed(reasonTooSlow, address, err)
	case errors.Is(err, listen.ErrNoRoom), errors.Is(err, listen.ErrTooLarge):
		c.listener.failed(reasonOverload, address, err)
	case err == io.EOF, errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed), errors.Is(err, context.Canceled):
	default:
		c.listener.failed(reasonBroken, address, err)
	}
}

// arriving reads a connection, and ends a long message that arrives too slowly.
type arriving struct{ *conn }

func (c arriving) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.long != nil {
		err = c.long.Read(n, err)
	}
	return n, err
}

// until sets the deadline for reading: within a time, or, for 0, as long as the
// connection may be idle, or a long message may take.
func (c *conn) until(within time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	deadline := time.Now().Add(c.listener.config.idle())
	switch {
	case within > 0:
		deadline = time.Now().Add(within)
	case c.long != nil:
		deadline = c.due
	}
	c.setDeadline(deadline)
}

// setDue sets when more of a long message has to be there.
func (c *conn) setDue(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.due = t
	c.setDeadline(t)
}

// setDeadline sets the deadline for reading, unless the component stops. The caller
// holds mu.
func (c *conn) setDeadline(t time.Time) {
	if !c.stopping {
		_ = c.SetReadDeadline(t) // a connection that is closed says so when it is read
	}
}

// stop tells the client that nobody reads any more, and reads what it has sent, for
// as long as drainTime. A client that looks before it writes loses nothing: rsyslog
// does, at the socket, where an alert of TLS would look like data.
func (c *conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	_ = c.SetReadDeadline(time.Now().Add(drainTime))
	if half, ok := c.inner.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// grow claims memory for a message that is longer than most, or gives it back.
func (c *conn) grow(n int) error {
	if c.long == nil {
		c.long = c.listener.source.budget.Arrive(c.client, c.setDue)
	}
	if err := c.long.Grow(n); err != nil {
		return err
	}
	if c.claimed += n; c.claimed == 0 {
		c.long.Release()
		c.long = nil
	}
	return nil
}

// release gives back all memory that is claimed.
func (c *conn) release() {
	if c.claim != nil {
		c.claim.Release()
	}
	if c.long != nil {
		c.long.Release()
	}
}
