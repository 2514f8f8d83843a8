package listen

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// lastCall is how long a connection that is kept open between requests stays open when a
// server shuts down. A client that sends often learns within that time, from an answer,
// that the connection ends with it.
const lastCall = 250 * time.Millisecond

// firstCall is how long a connection on which nothing has arrived yet stays open when a
// server shuts down: a client that connects is about to send, however busy the machine.
const firstCall = time.Second

// farewell is how long clients of HTTP/2 get to read that their connections end, and to
// close them. net/http closes them itself after a second. If they were closed before, a
// client that sends at that moment would see a reset in place of the farewell, by which
// it knows that its request may be sent again.
const farewell = 2 * time.Second

// ServeHTTP serves s on l, with TLS if s has a TLSConfig, until ctx ends. It then takes no
// more connections, and ends each one with the answer to the next request on it, which says
// so. It does not use http.Server.Shutdown for HTTP/1, which drops requests that were sent
// and not yet read. Requests in progress may take as long as grace; cutOff is the number of
// connections that were cut off then. ServeHTTP closes l.
func ServeHTTP(ctx context.Context, s *http.Server, l net.Listener, grace time.Duration) (cutOff int, err error) {
	var ending, http2 atomic.Bool
	conns := newConns(s.ConnState)
	s.ConnState = conns.track
	handler := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 {
			http2.Store(true)
		}
		if ending.Load() {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
	ended := make(chan error, 1)
	go func() {
		if s.TLSConfig != nil {
			ended <- s.ServeTLS(l, "", "")
		} else {
			ended <- s.Serve(l)
		}
	}()
	defer s.Close()
	select {
	case err := <-ended:
		return 0, err
	case <-ctx.Done():
	}
	ending.Store(true)
	l.Close()
	<-ended
	begun := time.Now()
	conns.wait(min(lastCall, grace), conns.any)
	conns.wait(min(firstCall, grace)-time.Since(begun), conns.unanswered)
	cutOff = conns.wait(grace-time.Since(begun), conns.busy)
	if http2.Load() {
		ctx, cancel := context.WithTimeout(context.Background(), min(farewell, grace-time.Since(begun)))
		defer cancel()
		_ = s.Shutdown(ctx) // an error says that the time is over
	}
	return cutOff, nil
}

// conns tracks a server's connections and the state of each.
type conns struct {
	next func(net.Conn, http.ConnState) // told of every change, too; may be nil

	changed chan struct{} // wakes wait

	mu     sync.Mutex
	states map[net.Conn]http.ConnState // guarded by mu
}

func newConns(next func(net.Conn, http.ConnState)) *conns {
	return &conns{next: next, states: make(map[net.Conn]http.ConnState), changed: make(chan struct{}, 1)}
}

// track is an http.Server's ConnState.
func (c *conns) track(conn net.Conn, state http.ConnState) {
	if c.next != nil {
		c.next(conn, state)
	}
	c.mu.Lock()
	if state == http.StateClosed || state == http.StateHijacked {
		delete(c.states, conn)
	} else {
		c.states[conn] = state
	}
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// any counts the connections. The caller holds mu.
func (c *conns) any() int { return len(c.states) }

// busy counts the connections with a request in progress. The caller holds mu.
func (c *conns) busy() (n int) {
	for _, state := range c.states {
		if state == http.StateActive {
			n++
		}
	}
	return n
}

// unanswered counts the connections with a request in progress, or before their
// first. The caller holds mu.
func (c *conns) unanswered() (n int) {
	for _, state := range c.states {
		if state == http.StateActive || state == http.StateNew {
			n++
		}
	}
	return n
}

// wait waits until count is 0, at most for timeout, and returns the count. One
// call at a time.
func (c *conns) wait(timeout time.Duration, count func() int) int {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		c.mu.Lock()
		n := count()
		c.mu.Unlock()
		if n == 0 {
			return 0
		}
		select {
		case <-c.changed:
		case <-timer.C:
			return n
		}
	}
}
