package listen

import (
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// echoing serves connections within a limit, each of which gets back what it sends.
func echoing(t *testing.T, most int, idle time.Duration) (*Limit, string) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := NewLimit(most, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	l.idle = idle
	listener := l.Listener(inner)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
			}()
		}
	}()
	return l, inner.Addr().String()
}

// connect connects from an address, and reports whether it is served.
func connect(t *testing.T, from, to string) (c net.Conn, served bool) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := dialer.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, echoes(c)
}

// closedFor counts the connections that were closed for that reason.
func closedFor(t *testing.T, l *Limit, reason string) float64 {
	t.Helper()
	var m dto.Metric
	if err := l.closed.WithLabelValues(reason).Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

func echoes(c net.Conn) bool {
	if _, err := c.Write([]byte{1}); err != nil {
		return false
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err == nil
}

func TestConnectionsBeyondTheLimitAreClosedAndCounted(t *testing.T) {
	l, address := echoing(t, 3, time.Hour)
	var open []net.Conn
	for range 3 {
		c, served := connect(t, "127.0.0.1", address)
		if !served {
			t.Fatal("a connection within the limit is not served")
		}
		open = append(open, c)
	}
	if _, served := connect(t, "127.0.0.1", address); served {
		t.Error("a connection beyond the limit is served")
	}
	if n := closedFor(t, l, "limit"); n != 1 {
		t.Errorf("%v connections are counted", n)
	}
	open[0].Close()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for l.count() > 2 { // until the server has seen it
		<-tick.C
	}
	if _, served := connect(t, "127.0.0.2", address); !served || l.count() != 3 {
		t.Errorf("a connection for which there is room again is served: %t, %d are open", served, l.count())
	}
}

func TestTheClientWithMostIdleConnectionsMakesRoom(t *testing.T) {
	l, address := echoing(t, 4, 0)
	good, _ := connect(t, "127.0.0.2", address)
	var open []net.Conn
	for range 3 {
		c, _ := connect(t, "127.0.0.1", address)
		open = append(open, c)
	}
	if !echoes(open[0]) {
		t.Fatal("a connection within the limit is not served")
	}
	if _, served := connect(t, "127.0.0.3", address); !served {
		t.Error("another client's connection is not served")
	}
	for i, want := range []bool{true, false, true} {
		if got := echoes(open[i]); got != want {
			t.Errorf("connection %d is open: %t", i, got)
		}
	}
	if !echoes(good) {
		t.Error("the connection of a client that has only one was closed")
	}
	if n := closedFor(t, l, "idle"); n != 1 || l.count() != 4 {
		t.Errorf("%v are counted, %d are open", n, l.count())
	}
}

// A client that keeps all its connections in use keeps nobody out.
func TestNoClientTakesAllConnections(t *testing.T) {
	l, address := echoing(t, 6, time.Hour)
	var open []net.Conn
	for range 6 {
		c, _ := connect(t, "127.0.0.1", address)
		open = append(open, c)
	}
	for i := range 3 {
		if _, served := connect(t, "127.0.0.2", address); !served {
			t.Errorf("connection %d of another client is not served", i)
		}
	}
	if _, served := connect(t, "127.0.0.2", address); served {
		t.Error("a client takes connections in use beyond its share")
	}
	if _, served := connect(t, "127.0.0.1", address); served {
		t.Error("a client that has its share takes another one's connection in use")
	}
	left := 0
	for _, c := range open {
		if echoes(c) {
			left++
		}
	}
	if left != 3 {
		t.Errorf("%d connections of the greedy client are open", left)
	}
	if share, limit := closedFor(t, l, "share"), closedFor(t, l, "limit"); share != 3 || limit != 2 || l.count() != 6 {
		t.Errorf("%v and %v are counted, %d are open", share, limit, l.count())
	}
}
