package harness

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// Target is a metrics page in the test's own process. Its series
// workload_scrapes_total counts the scrapes, so that each has its number.
type Target struct {
	Address string

	mu     sync.Mutex
	served []time.Time
	conns  map[net.Conn]struct{}
}

// StartTarget serves series of a metrics page, of that many samples beside the
// counter.
func StartTarget(t testing.TB, samples int) *Target {
	t.Helper()
	target := &Target{conns: make(map[net.Conn]struct{})}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		target.mu.Lock()
		target.served = append(target.served, time.Now())
		n := len(target.served)
		target.mu.Unlock()
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintf(w, "workload_scrapes_total %d\n", n)
		for i := range samples {
			fmt.Fprintf(w, "workload_value{index=\"%d\"} %d\n", i, n+i)
		}
	}))
	server.Config.ConnState = target.follow
	server.Start()
	t.Cleanup(server.Close)
	target.Address = server.Listener.Addr().String()
	return target
}

func (s *Target) follow(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.conns[c] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(s.conns, c)
	}
}

// Scrapes is how often the page was served.
func (s *Target) Scrapes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.served)
}

// Served is when each page was served; the first one is of number 1.
func (s *Target) Served() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.served)
}

// Settle waits until nobody is connected any more: after the end of the
// collector no scrape is being answered then, however slow the machine.
func (s *Target) Settle(t testing.TB) {
	t.Helper()
	// Connections are accepted in turn: what was opened before is known when
	// this one is.
	knock(t, s.Address)
	Eventually(t, 60*time.Second, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if n := len(s.conns); n > 0 {
			return fmt.Errorf("%d connections to the target are open", n)
		}
		return nil
	})
}

// knock opens a connection and sees it accepted.
func knock(t testing.TB, address string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// That the other side closes shows that it has accepted.
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(60 * time.Second))
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%s has not closed a connection", address)
	}
}
