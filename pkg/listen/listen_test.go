package listen

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"collector/pkg/listen/listentest"
)

// mustListen listens on a free port of the loopback interface, by its number,
// so that it can be shared.
func mustListen(t *testing.T, p *Pool) (net.Listener, string) {
	t.Helper()
	address := listentest.FreeAddress(t)
	l, err := p.Listen("tcp", address, "a")
	if err != nil {
		t.Fatal(err)
	}
	return l, address
}

// echo serves l until it is closed: it sends back one byte on each connection.
func echo(l net.Listener, served *sync.WaitGroup) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		served.Go(func() {
			defer c.Close()
			var b [1]byte
			if _, err := io.ReadFull(c, b[:]); err == nil {
				_, _ = c.Write(b[:])
			}
		})
	}
}

// ask opens a connection and waits for its echo.
func ask(address string) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte{'x'}); err != nil {
		return err
	}
	var b [1]byte
	_, err = io.ReadFull(c, b[:])
	return err
}

func TestThousandHandoversLoseNoConnection(t *testing.T) {
	p := NewPool()
	old, address := mustListen(t, p)
	s := p.sockets["tcp\x00"+address]
	var served, clients sync.WaitGroup
	serve := func(l net.Listener) { served.Go(func() { _ = echo(l, &served) }) }
	serve(old)

	var stop atomic.Bool
	var asked atomic.Int64
	for range 4 {
		clients.Go(func() {
			for !stop.Load() {
				asked.Add(1)
				if err := ask(address); err != nil {
					t.Errorf("a connection was lost: %v", err)
					return
				}
			}
		})
	}
	for range 1000 {
		next, err := p.Listen("tcp", address, "b")
		if err != nil {
			t.Fatal(err)
		}
		serve(next)
		old.Close()
		if err := ask(address); err != nil { // at least one connection per handover
			t.Fatalf("a connection was lost: %v", err)
		}
		old = next
	}
	stop.Store(true)
	clients.Wait()
	old.Close()
	served.Wait()
	<-s.ended // its goroutine ends with the last listener
	if len(p.sockets) != 0 {
		t.Errorf("the pool still holds %d sockets", len(p.sockets))
	}
	t.Logf("%d connections over 1,000 handovers", asked.Load())
}

func TestOverlappingListenersShareThePort(t *testing.T) {
	p := NewPool()
	a, address := mustListen(t, p)
	b, err := p.Listen("tcp", address, "b")
	if err != nil {
		t.Fatal(err)
	}
	if a.Addr().String() != b.Addr().String() {
		t.Errorf("addresses %s and %s", a.Addr(), b.Addr())
	}
	a.Close()
	a.Close() // a second close is no second release
	var served sync.WaitGroup
	served.Go(func() { _ = echo(b, &served) })
	if err := ask(address); err != nil {
		t.Error(err)
	}
	b.Close()
	served.Wait()
	if err := ask(address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after the last listener was closed, a connection gave %v", err)
	}
}

func TestClosingEndsAccept(t *testing.T) {
	p := NewPool()
	a, address := mustListen(t, p)
	b, err := p.Listen("tcp", address, "b")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	result := make(chan error)
	go func() {
		_, err := a.Accept()
		result <- err
	}()
	a.Close()
	if err := <-result; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept returned %v", err)
	}
	if _, err := a.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept of a closed listener returned %v", err)
	}
}

func TestConnectionThatAClosedListenerTakesGoesToAnother(t *testing.T) {
	s := &socket{conns: make(chan net.Conn, 1), released: make(chan struct{}), ended: make(chan struct{})}
	server, client := net.Pipe()
	defer client.Close()
	a := &listener{socket: s, done: make(chan struct{})}
	b := &listener{socket: s, done: make(chan struct{})}
	s.offer(server)
	// Accept of a closed listener may see the connection first or its end.
	close(a.done)
	for range 100 {
		if _, err := a.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("a closed listener took a connection: %v", err)
		}
	}
	c, err := b.Accept()
	if err != nil || c != server {
		t.Errorf("Accept returned %v, %v", c, err)
	}
}

func TestBrokenSocketIsBoundAgain(t *testing.T) {
	p := NewPool()
	a, address := mustListen(t, p)
	s := a.(*listener).socket
	s.net.Close() // what an error of the kernel comes to
	<-s.ended
	if _, err := a.Accept(); err == nil {
		t.Error("Accept of a broken socket returned no error")
	}
	b, err := p.Listen("tcp", address, "a")
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	var served sync.WaitGroup
	served.Go(func() { _ = echo(b, &served) })
	if err := ask(address); err != nil {
		t.Error(err)
	}
	b.Close()
	served.Wait()
}

func TestPortInUseNamesAddressAndOption(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	address := other.Addr().String()
	_, err = NewPool().Listen("tcp", address, "otelcol.receiver.otlp.default > grpc > endpoint")
	for _, part := range []string{address, "otelcol.receiver.otlp.default > grpc > endpoint", "in use"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error %v does not say %q", err, part)
		}
	}
}

func TestPortZeroIsNeverShared(t *testing.T) {
	p := NewPool()
	a, err := p.Listen("tcp", "127.0.0.1:0", "a")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := p.Listen("tcp", "127.0.0.1:0", "b")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if a.Addr().String() == b.Addr().String() {
		t.Errorf("both listen on %s", a.Addr())
	}
}

func TestUnixSocketLeftBehindIsTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	left, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	p := NewPool()
	if l, err := p.Listen("unix", path, "a"); err == nil {
		l.Close()
		t.Error("a socket in use was taken")
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false) // as if its process was killed
	left.Close()
	l, err := p.Listen("unix", path, "a")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
