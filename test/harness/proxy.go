package harness

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Fault is what is wrong with a destination.
type Fault int

// The faults of a Proxy.
const (
	None   Fault = iota
	Refuse       // the port is closed
	Hang         // connections are accepted, and then nothing happens
)

// Proxy is in front of a backend and makes it fail on demand, on an address that
// stays the same.
type Proxy struct {
	Address string
	target  string

	mu       sync.Mutex
	fault    Fault
	listener net.Listener
	conns    map[net.Conn]struct{} // of clients
	backends map[net.Conn]struct{}
	open     int // connections that were accepted and are not finished
	wg       sync.WaitGroup
}

// StartProxy starts a proxy for target, host:port.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{Address: Address(FreePort(t)), target: target, conns: make(map[net.Conn]struct{}), backends: make(map[net.Conn]struct{})}
	p.listen(t)
	t.Cleanup(func() {
		p.stop()
		p.mu.Lock()
		for c := range p.backends {
			c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

// Set causes a fault, or fixes it. Open connections are cut.
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
	var l net.Listener
	Eventually(t, 30*time.Second, func() (err error) { // a process that is being forked may hold the old one
		l, err = net.Listen("tcp", p.Address)
		return err
	})
	p.mu.Lock()
	p.listener = l
	p.mu.Unlock()
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.count(1)
			p.wg.Go(func() {
				defer p.count(-1)
				p.serve(c)
			})
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

func (p *Proxy) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open += n
}

// Settle waits until no client is connected any more and the backend is done
// with what was sent, however slow the machine: a client that has ended, or
// whose connections were cut, sends nothing afterwards. The backend has to
// close its connections when it has seen their end.
func (p *Proxy) Settle(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	listens := p.listener != nil
	p.mu.Unlock()
	if listens {
		knock(t, p.Address)
	}
	Eventually(t, 60*time.Second, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.open > 0 {
			return fmt.Errorf("%d connections through the proxy are open", p.open)
		}
		return nil
	})
}

// keep remembers a connection of a client so that stop cuts it; it returns the fault in
// force.
func (p *Proxy) keep(c net.Conn) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		c.Close()
	}
	p.conns[c] = struct{}{}
	return p.fault
}

func (p *Proxy) forget(client, backend net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, client)
	delete(p.backends, backend)
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
	p.mu.Lock()
	p.backends[backend] = struct{}{}
	p.mu.Unlock()
	defer p.forget(c, backend)
	done := make(chan struct{})
	go func() {
		io.Copy(backend, c)
		backend.(*net.TCPConn).CloseWrite()
		close(done)
	}()
	if _, err := io.Copy(c, backend); err != nil {
		// The client has disconnected; the backend still gets what it has sent.
		io.Copy(io.Discard, backend)
	}
	c.Close()
	<-done
}
