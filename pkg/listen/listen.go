// Package listen keeps listening sockets open across reloads: components take
// them from a Pool by address, and an address stays bound for as long as
// anyone holds it, so that no client sees a refused connection.
package listen

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// acceptPause is how long accepting rests after an error that may pass.
const acceptPause = 10 * time.Millisecond

// Pool hands out listeners by network and address. It is safe for concurrent
// use.
type Pool struct {
	mu      sync.Mutex
	sockets map[string]*socket // by network and address; guarded by mu
}

// NewPool makes an empty pool.
func NewPool() *Pool { return &Pool{sockets: make(map[string]*socket)} }

// socket is one bound address. Its accept loop runs for as long as the socket
// is held, and offers each connection to whichever listener accepts next.
type socket struct {
	key    string
	net    net.Listener
	conns  chan net.Conn
	closed chan struct{}
	err    error // why accepting ended; set before closed is closed
	refs   int   // guarded by Pool.mu
}

// Listen binds network ("tcp", "tcp4", "tcp6", "unix") and address, or shares
// the socket if the pool holds it already. option is the user's setting that
// named the address; a failure names both.
//
// Closing the returned listener ends its Accept; the socket itself is closed
// with the last of its listeners. While an old and a new listener of one
// address overlap, each connection goes to one of them.
func (p *Pool) Listen(network, address, option string) (net.Listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := network + "\x00" + address
	s := p.sockets[key]
	if s == nil {
		l, err := net.Listen(network, address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("listen on %s (set by %s): the port is in use by another process or component; stop it, or set another address", address, option)
		} else if err != nil {
			return nil, fmt.Errorf("listen on %s (set by %s): %w", address, option, err)
		}
		s = &socket{key: key, net: l, conns: make(chan net.Conn), closed: make(chan struct{})}
		// Port 0 names a new port each time, so such a socket is never shared.
		if _, port, err := net.SplitHostPort(address); err != nil || port != "0" {
			p.sockets[key] = s
		}
		go s.accept()
	}
	s.refs++
	return &listener{pool: p, socket: s, done: make(chan struct{})}, nil
}

func (s *socket) accept() {
	defer close(s.closed)
	for {
		c, err := s.net.Accept()
		var temporary interface{ Temporary() bool }
		if err != nil && errors.As(err, &temporary) && temporary.Temporary() && !errors.Is(err, net.ErrClosed) {
			time.Sleep(acceptPause) // out of file descriptors, most likely
			continue
		}
		if err != nil {
			s.err = err
			return
		}
		s.conns <- c
	}
}

// release gives up one reference and closes the socket with the last one.
func (p *Pool) release(s *socket) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.refs--; s.refs > 0 {
		return nil
	}
	if p.sockets[s.key] == s {
		delete(p.sockets, s.key)
	}
	err := s.net.Close()
	// A connection that was accepted but taken by nobody is closed.
	go func() {
		for {
			select {
			case c := <-s.conns:
				c.Close()
			case <-s.closed:
				return
			}
		}
	}()
	return err
}

type listener struct {
	pool   *Pool
	socket *socket
	once   sync.Once
	done   chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select { // a closed listener takes no further connection
	case <-l.done:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-l.socket.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-l.socket.closed:
		return nil, l.socket.err
	}
}

func (l *listener) Close() (err error) {
	l.once.Do(func() {
		close(l.done)
		err = l.pool.release(l.socket)
	})
	return err
}

func (l *listener) Addr() net.Addr { return l.socket.net.Addr() }
