package listen

import (
	"net"
	"sync"
)

// NewDryPool makes a pool that binds nothing: its listeners never accept. With
// it, what components would listen on can be checked for conflicts.
func NewDryPool() *Pool {
	p := NewPool()
	p.bind = func(network, address string) (net.Listener, error) {
		if network != "unix" {
			if _, _, err := net.SplitHostPort(address); err != nil {
				return nil, err
			}
		}
		return &dryListener{address: dryAddress{network, address}, closed: make(chan struct{})}, nil
	}
	p.bindPackets = func(_, address string) (*net.UDPConn, error) {
		_, _, err := net.SplitHostPort(address)
		return nil, err
	}
	return p
}

type dryListener struct {
	address dryAddress
	once    sync.Once
	closed  chan struct{}
}

func (l *dryListener) Accept() (net.Conn, error) {
	<-l.closed
	return nil, net.ErrClosed
}

func (l *dryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *dryListener) Addr() net.Addr { return l.address }

type dryAddress struct{ network, address string }

func (a dryAddress) Network() string { return a.network }
func (a dryAddress) String() string  { return a.address }
