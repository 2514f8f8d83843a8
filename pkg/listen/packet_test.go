package listen

import (
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"collector/pkg/listen/listentest"
)

// readAll sends what is read to out until c is closed.
func readAll(c *Packets, out chan<- string, ended chan<- error) {
	buf := make([]byte, 100)
	for {
		n, _, err := c.Read(buf)
		if err != nil {
			ended <- err
			return
		}
		out <- string(buf[:n])
	}
}

func dialPackets(t *testing.T, c *Packets) net.Conn {
	t.Helper()
	conn, err := net.Dial("udp", c.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func TestDatagramsGoToWhoeverHoldsTheAddressAtAReload(t *testing.T) {
	pool, address := NewPool(), listentest.FreeAddress(t)
	got, ended := make(chan string, 100), make(chan error, 10)
	first, err := pool.View().ListenPackets("udp", address, "a")
	if err != nil {
		t.Fatal(err)
	}
	conn := dialPackets(t, first)
	go readAll(first, got, ended)
	write(t, conn, "one")
	if text := <-got; text != "one" {
		t.Fatal(text)
	}
	second, err := pool.View().ListenPackets("udp", address, "b")
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading ended with %v", err)
	}
	write(t, conn, "between") // nobody reads
	go readAll(second, got, ended)
	write(t, conn, "two")
	if texts := []string{<-got, <-got}; !slices.Equal(texts, []string{"between", "two"}) {
		t.Errorf("datagrams %q", texts)
	}
	if err := errors.Join(second.Close(), second.Close()); err != nil {
		t.Error(err)
	}
	<-ended
	if _, err := net.ListenPacket("udp", address); err != nil {
		t.Errorf("the address is still in use: %v", err)
	}
}

// Several that read one address at once do not end each other.
func TestClosingEndsNobodyElse(t *testing.T) {
	pool, address := NewPool(), listentest.FreeAddress(t)
	got, ended := make(chan string, 1000), make(chan error, 100)
	last, err := pool.View().ListenPackets("udp", address, "last")
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	conn := dialPackets(t, last)
	go readAll(last, got, ended)
	for i := range 50 {
		other, err := pool.View().ListenPackets("udp", address, "other")
		if err != nil {
			t.Fatal(err)
		}
		otherEnded := make(chan error, 1)
		go readAll(other, got, otherEnded)
		write(t, conn, strconv.Itoa(i))
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		<-otherEnded
		if text := <-got; text != strconv.Itoa(i) {
			t.Fatalf("datagram %q, want %d", text, i)
		}
	}
	select {
	case err := <-ended:
		t.Errorf("the last one ended with %v", err)
	default:
	}
}

func TestAnAddressForDatagramsIsHeldOnce(t *testing.T) {
	for _, pool := range []*Pool{NewPool(), NewDryPool()} {
		view, address := pool.View(), listentest.FreeAddress(t)
		a, err := view.ListenPackets("udp", address, "first")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := view.ListenPackets("udp", address, "second"); err == nil {
			t.Error("a view holds an address twice")
		}
		other := pool.View()
		b, err := other.ListenPackets("udp", address, "second")
		if err != nil {
			t.Fatal(err)
		}
		if Conflict(view, other) == nil {
			t.Error("there is no conflict")
		}
		if err := errors.Join(a.Close(), b.Close(), Conflict(view, other)); err != nil {
			t.Error(err)
		}
	}
	if _, err := NewPool().ListenPackets("udp", "nowhere", "x"); err == nil {
		t.Error("it listens nowhere")
	}
}

func TestWhatTheKernelDropsIsCounted(t *testing.T) {
	c, err := NewPool().ListenPackets("udp", "127.0.0.1:0", "a")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.socket.conn.SetReadBuffer(1); err != nil { // the least that there is
		t.Fatal(err)
	}
	conn, sent, read := dialPackets(t, c), 200, 0
	for range sent {
		write(t, conn, "x")
	}
	got, ended := make(chan string, 1000), make(chan error, 1)
	go readAll(c, got, ended)
	for deadline := time.Now().Add(time.Minute); read+int(c.Lost()) != sent; {
		if time.Now().After(deadline) {
			t.Fatalf("of %d datagrams, %d were read and %d are counted as lost", sent, read, c.Lost())
		}
		select {
		case <-got:
			read++
		case <-time.After(10 * time.Millisecond):
			write(t, conn, "y") // says what was dropped before
			sent++
		}
	}
	if c.Lost() == 0 {
		t.Error("the kernel drops nothing: the test shows nothing")
	}
}
