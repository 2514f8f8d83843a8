package harness

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Fault is what is wrong with a destination.
type Fault int

// The faults of a Proxy.
const (
	None   Fault = iota
	Refuse       // the port is closed
	Hang         // connections are taken, and then nothing happens
)

// Proxy stands before a backend and makes it fail on demand, on an address that
// stays the same.
type Proxy struct {
	Address string
	target  string

	mu       sync.Mutex
	fault    Fault
	listener net.Listener
	conns    map[net.Conn]struct{}
	wg       sync.WaitGroup
}

// StartProxy starts a proxy for target, host:port.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{Address: Address(FreePort(t)), target: target, conns: make(map[net.Conn]struct{})}
	p.listen(t)
	t.Cleanup(func() {
		p.stop()
		p.wg.Wait()
	})
	return p
}

// Set brings a fault about, or mends it. Connections that stand are cut.
func (p *Proxy) Set(t testing.TB, fault Fault) {
	t.Helper()
	p.stop()
	p.mu.Lock()
	p.fault = fault
	p.mu.Unlock()
	if fault != Refuse {
		p.listen(t)
	}
}

func (p *Proxy) listen(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", p.Address)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.listener = l
	p.mu.Unlock()
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(c) })
		}
	})
}

func (p *Proxy) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
}

// keep remembers a connection so that stop cuts it; it tells the fault in force.
func (p *Proxy) keep(c net.Conn) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		c.Close()
	}
	p.conns[c] = struct{}{}
	return p.fault
}

func (p *Proxy) serve(c net.Conn) {
	defer c.Close()
	if p.keep(c) == Hang {
		io.Copy(io.Discard, c)
		return
	}
	backend, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer backend.Close()
	p.keep(backend)
	done := make(chan struct{})
	go func() {
		io.Copy(backend, c)
		backend.(*net.TCPConn).CloseWrite()
		close(done)
	}()
	io.Copy(c, backend)
	c.Close()
	<-done
}
