package otlptest

import (
	"net"
	"slices"
	"sync"
)

// Watch watches connections.
type Watch struct {
	mu sync.Mutex
	p  Passed // guarded by mu
}

// Passed is what connections were used for.
type Passed struct {
	Reads, Writes []int // how many bytes were asked for, and written, at a time
	Open          int   // connections
}

// Conn is c, watched.
func (w *Watch) Conn(c net.Conn) net.Conn {
	w.note(func(p *Passed) { p.Open++ })
	return &watchedConn{Conn: c, watch: w}
}

// Listener is l, whose connections are watched.
func (w *Watch) Listener(l net.Listener) net.Listener { return watchedListener{l, w} }

// Passed is what has passed since the last call.
func (w *Watch) Passed() Passed {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.p
	w.p.Reads, w.p.Writes = nil, nil
	return p
}

func (w *Watch) note(what func(*Passed)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	what(&w.p)
}

// Largest are the most bytes that were asked for, and written, at a time.
func (p Passed) Largest() (read, written int) {
	return slices.Max(append(p.Reads, 0)), slices.Max(append(p.Writes, 0))
}

type watchedListener struct {
	net.Listener
	watch *Watch
}

func (l watchedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.watch.Conn(c), nil
}

type watchedConn struct {
	net.Conn
	watch *Watch
	once  sync.Once
}

func (c *watchedConn) Read(b []byte) (int, error) {
	c.watch.note(func(p *Passed) { p.Reads = append(p.Reads, len(b)) })
	return c.Conn.Read(b)
}

func (c *watchedConn) Write(b []byte) (int, error) {
	c.watch.note(func(p *Passed) { p.Writes = append(p.Writes, len(b)) })
	return c.Conn.Write(b)
}

func (c *watchedConn) Close() error {
	c.once.Do(func() { c.watch.note(func(p *Passed) { p.Open-- }) })
	return c.Conn.Close()
}
