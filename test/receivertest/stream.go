package receivertest

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"collector/test/harness"
)

// Stream is a listener that reads messages one after the other and answers none, like
// those of syslog. What it forwards shows that it accepts no bad message.
type Stream struct {
	Name, Address string
	// Begin begins a message that is not valid, for clients that do not end it.
	Begin string
	// Bad are messages that are not valid.
	Bad []Body
	// Good sends a good message, of that number, from 127.0.0.1.
	Good func(number int) error
}

// Test sends bad messages of every kind beside good ones, as Listener's does.
func (s Stream) Test(t *testing.T, good int) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var begun, slow, bad sync.WaitGroup
	for client := range slowClients {
		begun.Add(1)
		stuck := sync.OnceFunc(begun.Done)
		slow.Go(func() {
			defer stuck()
			s.send(Listener{}.as(ctx, client), io.MultiReader(strings.NewReader(s.Begin), io.LimitReader(zeros{}, slowSent), until{ctx, stuck}))
		})
	}
	begun.Wait()
	for _, b := range s.Bad {
		for client := range badClients {
			bad.Go(func() {
				for range rounds {
					s.send(Listener{}.as(ctx, slowClients+client), strings.NewReader(string(b.Data)))
				}
			})
		}
	}
	for i := range good {
		harness.Eventually(t, patience, func() error { return s.Good(i) })
	}
	bad.Wait()
	cancel()
	slow.Wait()
}

// send sends what there is by a connection of its own, which the listener may end,
// and waits for its end.
func (s Stream) send(ctx context.Context, body io.Reader) {
	conn, err := dialAs(ctx, "tcp", s.Address)
	if err != nil {
		return // refused
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.Copy(conn, body); err != nil {
		return
	}
	if half, ok := conn.(*net.TCPConn); ok && half.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, conn) // until the listener has read all, or ends it
	}
}
