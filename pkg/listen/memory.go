package listen

import (
	"context"
	"net"
	"sync"
)

// Memory is a listener that is reached from within the process only, without a
// socket.
type Memory struct {
	conns  chan net.Conn
	closed chan struct{}
	close  sync.Once
	wanted chan struct{}
	want   sync.Once
}

// NewMemory makes a listener at which nobody has dialed yet.
func NewMemory() *Memory {
	return &Memory{conns: make(chan net.Conn), closed: make(chan struct{}), wanted: make(chan struct{})}
}

// Wanted is closed when somebody has dialed: the server need not wait in Accept before.
func (m *Memory) Wanted() <-chan struct{} { return m.wanted }

// Dial connects, once the other side accepts.
func (m *Memory) Dial(ctx context.Context) (net.Conn, error) {
	m.want.Do(func() { close(m.wanted) })
	near, far := net.Pipe()
	select {
	case m.conns <- far:
		return near, nil
	case <-m.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept is part of net.Listener, as are the methods below.
func (m *Memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial.
func (m *Memory) Close() error {
	m.close.Do(func() { close(m.closed) })
	return nil
}

// Addr is the address of all such listeners.
func (m *Memory) Addr() net.Addr { return memoryAddress{} }

type memoryAddress struct{}

func (memoryAddress) Network() string { return "memory" }
func (memoryAddress) String() string  { return "memory" }
