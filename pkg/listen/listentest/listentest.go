// Package listentest has free ports for servers, and clients that they have to bear beside
// their good ones.
package listentest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"
)

const (
	// patience bounds how long a good sender tries; pause is between two tries.
	patience = 2 * time.Minute
	pause    = 10 * time.Millisecond
)

// Stalled are clients that each announce a request by HTTP and stop when they have
// sent a part of it. One whose request is refused or cut begins another.
type Stalled struct {
	URL, ContentType string
	Size, Sent       int64 // of the body
}

// Others are n addresses of this machine, none of which is 127.0.0.1.
func Others(n int) (from []net.IP) {
	for i := range n {
		from = append(from, net.IPv4(127, 0, 0, byte(2+i)))
	}
	return from
}

// Same is n times 127.0.0.1.
func Same(n int) (from []net.IP) {
	for range n {
		from = append(from, net.IPv4(127, 0, 0, 1))
	}
	return from
}

// Start starts a client at each address, which go on until the test has ended. It
// returns when each has stalled, or has been refused, once.
func (s Stalled) Start(t testing.TB, from []net.IP) {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var clients, begun sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		clients.Wait()
	})
	for _, ip := range from {
		begun.Add(1)
		stalled := sync.OnceFunc(begun.Done)
		clients.Go(func() {
			defer stalled()
			for ctx.Err() == nil {
				if err := s.request(ctx, ip, u, stalled); err != nil {
					t.Errorf("a client at %s: %v", ip, err)
					return
				}
				stalled()
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
	begun.Wait()
}

// request begins a request and returns when it is answered or cut, or ctx has ended.
// It calls stalled when it has sent all that it sends.
func (s Stalled) request(ctx context.Context, from net.IP, u *url.URL, stalled func()) error {
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", u.RequestURI(), u.Host, s.ContentType, s.Size)
	if err == nil {
		_, err = conn.Write(make([]byte, s.Sent))
	}
	if err != nil {
		return nil // it was refused while it sent
	}
	stalled()
	_, _ = io.Copy(io.Discard, conn)
	return nil
}

// GetsThrough sends a good request repeatedly until it is accepted. send returns the
// status of the answer; the only other one may be 503.
func GetsThrough(t testing.TB, send func() (status int)) {
	t.Helper()
	Eventually(t, "a good request gets through", func() bool {
		status := send()
		if status != http.StatusOK && status != http.StatusServiceUnavailable {
			t.Fatalf("a good request is answered %d", status)
		}
		return status == http.StatusOK
	})
}

// Eventually waits until what is true, as it has to become.
func Eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	limit := time.After(patience)
	for !is() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("it does not come true that %s", what)
		}
	}
}
