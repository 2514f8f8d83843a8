package listen

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
)

func TestDialAndAcceptConnectInMemory(t *testing.T) {
	m := NewMemory()
	select {
	case <-m.Wanted():
		t.Error("it is wanted before anybody has dialed")
	default:
	}
	go func() {
		<-m.Wanted()
		c, err := m.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(c, "hello")
		c.Close()
	}()
	c, err := m.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); string(got) != "hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestDialingInMemoryEnds(t *testing.T) {
	m := NewMemory()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Dial(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with its context: %v", err)
	}
	m.Close()
	if _, err := m.Dial(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("with the listener: %v", err)
	}
	if _, err := m.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accepting: %v", err)
	}
}
