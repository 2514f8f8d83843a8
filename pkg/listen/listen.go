// Package listen is what servers share. It keeps listening sockets open across
// reloads: components take them from a Pool by address, and an address stays
// bound for as long as anyone holds it, so that no client sees a refused
// connection. ServeHTTP ends a server without losing a request, and a Budget
// bounds what requests take of the memory.
package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// acceptPause is how long accepting rests after an error that may pass.
const acceptPause = 10 * time.Millisecond

// maxRequests is what the requests in progress may take of the memory where the
// program has no memory limit; where it has one, they may take a twelfth of it.
const maxRequests = 128 << 20

// Pool provides listeners by network and address. It is safe for concurrent
// use.
type Pool struct {
	*shared
	held map[string]Held // by network and address; guarded by mu
	view bool            // an address is held once
}

// shared is what all views of a pool have in common.
type shared struct {
	bind        func(network, address string) (net.Listener, error)
	bindPackets func(network, address string) (*net.UDPConn, error)
	budget      *Budget
	memory      *Memory
	mu          sync.Mutex
	sockets     map[string]*socket  // by network and address; guarded by mu
	packets     map[string]*packets // likewise
}

// Held is an address that a view of a pool listens on.
type Held struct {
	Network, Address string
	Option           string // the user's setting that named the address
}

// NewPool makes an empty pool.
func NewPool() *Pool {
	return &Pool{shared: &shared{
		bind: bind, bindPackets: bindPackets, budget: NewBudget(2 * WithinMemory(maxRequests/2)), memory: NewMemory(),
		sockets: make(map[string]*socket), packets: make(map[string]*packets),
	}, held: make(map[string]Held)}
}

// Budget bounds the memory that the requests of all servers take which listen by
// the pool.
func (p *Pool) Budget() *Budget { return p.budget }

// Memory is where components reach what other components serve, in the process.
func (p *Pool) Memory() *Memory { return p.memory }

// View returns a pool with the same sockets that keeps account of its own
// listeners. Each component has one: two components that run side by side must
// not share an address, while an old and a new one, at a reload, have to.
func (p *Pool) View() *Pool { return &Pool{shared: p.shared, held: make(map[string]Held), view: true} }

// Conflict reports an address that two of views listen on.
func Conflict(views ...*Pool) error {
	first := make(map[string]Held)
	for _, p := range views {
		p.mu.Lock()
		for key, h := range p.held {
			if other, ok := first[key]; ok {
				p.mu.Unlock()
				return inUse(h, other.Option)
			}
			first[key] = h
		}
		p.mu.Unlock()
	}
	return nil
}

func inUse(h Held, by string) error {
	return fmt.Errorf("listen on %s (set by %s): already in use by %s; set another address", h.Address, h.Option, by)
}

// socket is one bound address. Its accept loop runs for as long as the socket
// is held, and offers each connection to whichever listener accepts next.
type socket struct {
	key      string
	net      net.Listener
	conns    chan net.Conn
	refs     int           // guarded by Pool.mu
	released chan struct{} // closed with the last listener
	ended    chan struct{} // closed when accepting has ended
	err      error         // why accepting ended; set before ended is closed
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
	h := Held{Network: network, Address: address, Option: option}
	if other, ok := p.held[key]; ok && p.view {
		return nil, inUse(h, other.Option)
	}
	s := p.sockets[key]
	if s == nil || s.broken() {
		l, err := p.bind(network, address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("listen on %s (set by %s): the %s is in use by another process or component; stop it, or set another address", address, option, noun(network))
		} else if err != nil {
			return nil, fmt.Errorf("listen on %s (set by %s): %w", address, option, err)
		}
		s = &socket{key: key, net: l, conns: make(chan net.Conn), released: make(chan struct{}), ended: make(chan struct{})}
		if !unique(key) {
			p.sockets[key] = s
		}
		go s.accept()
	}
	s.refs++
	if !unique(key) {
		p.held[key] = h
	}
	return &listener{pool: p, socket: s, done: make(chan struct{})}, nil
}

// unique reports whether the address of a key names a new port each time, so that
// its socket is never shared.
func unique(key string) bool {
	_, address, _ := strings.Cut(key, "\x00")
	_, port, err := net.SplitHostPort(address)
	return err == nil && port == "0"
}

func noun(network string) string {
	if network == "unix" {
		return "path"
	}
	return "port"
}

// bind listens. The file that a killed process left behind of a unix socket, on which
// nobody answers, is not in use.
func bind(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	if network != "unix" || !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	c, dialErr := net.Dial(network, address)
	if dialErr == nil {
		c.Close()
		return nil, err
	}
	if !errors.Is(dialErr, syscall.ECONNREFUSED) || os.Remove(address) != nil {
		return nil, err
	}
	return net.Listen(network, address)
}

// broken reports whether accepting has ended by itself.
func (s *socket) broken() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

func (s *socket) accept() {
	defer close(s.ended)
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
		s.offer(c)
	}
}

// offer waits until a listener takes c, or there is none left.
func (s *socket) offer(c net.Conn) {
	select {
	case s.conns <- c:
	case <-s.released:
		c.Close()
	}
}

// release gives up one reference and closes the socket with the last one.
func (p *Pool) release(s *socket) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.held, s.key)
	if s.refs--; s.refs > 0 {
		return nil
	}
	if p.sockets[s.key] == s {
		delete(p.sockets, s.key)
	}
	close(s.released)
	return s.net.Close()
}

type listener struct {
	pool   *Pool
	socket *socket
	once   sync.Once
	done   chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.socket.conns:
		if l.closed() { // both were ready: the connection belongs to another listener
			go l.socket.offer(c)
			return nil, net.ErrClosed
		}
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-l.socket.ended:
		return nil, l.socket.err
	}
}

func (l *listener) closed() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
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
