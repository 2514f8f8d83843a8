package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/admin/ui/support"
	"collector/pkg/component"
	"collector/pkg/listen"
)

// from asks for a path from an address.
func from(h http.Handler, address, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	r.RemoteAddr = address
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestProfilesHaveALongestTime(t *testing.T) {
	h := newUIServer(t, &program{ready: true}, nil)
	for path, status := range map[string]int{
		"/debug/pprof/trace?seconds=3600":              400,
		"/debug/pprof/trace?seconds=11":                400,
		"/debug/pprof/trace?seconds=NaN":               400,
		"/debug/pprof/trace?seconds=Inf":               400,
		"/debug/pprof/trace?seconds=0.01":              200,
		"/debug/pprof/profile?seconds=3600":            400,
		"/debug/pprof/heap?seconds=3600":               400,
		"/debug/pprof/goroutine?debug=1":               200,
		"/api/v1/overview?seconds=3600":                200,
		"/debug/pprof/trace?seconds=3600&seconds=0.01": 400,
	} {
		if w := from(h, "10.0.0.1:1", path); w.Code != status || status == 400 && !strings.Contains(w.Body.String(), "too long") {
			t.Errorf("%s: %d %.200q", path, w.Code, w.Body)
		}
	}
}

// held asks n times for path, each time from another address if others is set,
// while nothing is answered. It returns how many were refused.
func held(t *testing.T, path string, n int, others bool) (refused int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		h := newServer(&program{ready: true}).bound(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-answer }))
		var asking sync.WaitGroup
		answers := make([]*httptest.ResponseRecorder, n)
		for i := range n {
			address := netip.AddrFrom4([4]byte{10, 0, 0, 1})
			if others {
				address = netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
			}
			asking.Go(func() { answers[i] = from(h, netip.AddrPortFrom(address, 1).String(), path) })
			synctest.Wait()
		}
		close(answer)
		asking.Wait()
		for _, w := range answers {
			if w.Code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") != "" {
				refused++
			}
		}
		if w := from(h, "10.0.0.1:1", path); w.Code != http.StatusOK {
			t.Errorf("%s: a place is not given back: %d", path, w.Code)
		}
	})
	return refused
}

func TestAnswersThatTakeMemoryAreBoundedInNumber(t *testing.T) {
	for _, test := range []struct {
		path        string
		each, total int
	}{
		{support.Path, 1, 1}, {"/debug/pprof/trace", 1, 1}, {"/debug/pprof/profile", 1, 1}, {"/debug/pprof/heap", 8, 8}, {"/metrics", 4, 32},
		{component.HandlerPath("prometheus.exporter.unix.host") + "metrics", 64, 160},
		{"/api/v1/components", 12, 64}, {"/configuration", 12, 64}, {"/nothing/events", 12, 64}, {"/assets/app.js", 12, 64},
		{"/-/reload", 4, 8}, {"/api/v1/reload", 4, 8}, {"/-/ready", 800, 800}, {"/-/healthy", 800, 800}, {"/live/events", 800, 800},
	} {
		if n := held(t, test.path, 800, false); n != 800-test.each {
			t.Errorf("%s: of one client, %d of 800 are under way", test.path, 800-n)
		}
		if n := held(t, test.path, 800, true); n != 800-test.total {
			t.Errorf("%s: of many clients, %d of 800 are under way", test.path, 800-n)
		}
	}
}

// deadlines remembers what is set.
type deadlines struct {
	*httptest.ResponseRecorder
	write, read time.Time
}

func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = t; return nil }
func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = t; return nil }

func TestAClientWithoutAPlaceFindsOneBesideAFewThatTakeAll(t *testing.T) {
	l := newLimits()
	for _, path := range []string{"/metrics", "/", "/assets/app.js", component.HandlersPath} {
		for i := range 1000 {
			_, _ = l.of(path).take(listen.ClientOf(fmt.Sprintf("10.0.0.%d:1", i%10))) // most are refused
		}
		if _, err := l.of(path).take(listen.ClientOf("10.0.1.1:1")); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestEveryAnswerHasATimeToBeRead(t *testing.T) {
	h := newUIServer(t, &program{ready: true}, nil)
	for _, path := range []string{"/", "/graph", "/metrics", "/-/ready", "/-/healthy", "/-/reload", "/-/support", "/api/v1/components", "/api/v0/web/components", "/assets/app.js", "/debug/pprof/", "/debug/pprof/heap", "/nothing", "/live/events?signal=none"} {
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.write.IsZero() || time.Until(w.write) > maxProfile*time.Second+writeTime {
			t.Errorf("%s: a client may take until %s", path, w.write)
		}
	}
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	h.ServeHTTP(w, httptest.NewRequest("POST", "/-/reload", strings.NewReader("x")))
	if w.read.IsZero() {
		t.Error("a body may trickle forever")
	}
}

func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	failed := make(chan error, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		late, chunk := &timed{ResponseWriter: w, limit: time.Millisecond}, make([]byte, 1<<20)
		for {
			if _, err := late.Write(chunk); err != nil {
				failed <- err
				return
			}
		}
	}))
	defer s.Close()
	resp, err := http.Get(s.URL)
	if err == nil {
		defer resp.Body.Close()
	}
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// dialFrom connects from an address of this machine, and is closed with the test.
func dialFrom(t *testing.T, from string, to net.Addr) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// serve runs a server until the test ends.
func serve(t *testing.T, s *Server) net.Addr {
	t.Helper()
	if err := s.Bind(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return s.Addr()
}

func TestOneClientDoesNotTakeAllConnections(t *testing.T) {
	s := newServer(&program{ready: true})
	s.limits.local = slots{total: 8, each: 5, what: "connections"}
	address := serve(t, s)
	for range 5 {
		dialFrom(t, "127.0.0.1", address)
	}
	sixth := dialFrom(t, "127.0.0.1", address)
	if n, err := sixth.Read(make([]byte, 1)); err == nil {
		t.Errorf("a sixth connection is answered %d bytes", n)
	}
	asked := func(from string) error {
		conn := dialFrom(t, from, address)
		defer conn.Close()
		if _, err := fmt.Fprintf(conn, "GET /-/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			return err
		}
		answer, err := io.ReadAll(conn)
		if err == nil && !bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) {
			err = fmt.Errorf("%q", answer)
		}
		return err
	}
	for range 20 { // a place is given back with its connection
		if err := asked("127.0.0.2"); err != nil {
			t.Fatal(err)
		}
	}
}

// pipes is a listener of connections that are made in memory.
type pipes struct {
	net.Conn // has the addresses
	conns    chan net.Conn
	close    sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	if c, ok := <-p.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p *pipes) Close() error {
	p.close.Do(func() { close(p.conns) })
	return nil
}

func (p *pipes) Addr() net.Addr { return p.LocalAddr() }

func TestIdleConnectionsAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, conn := net.Pipe()
		l := &pipes{Conn: conn, conns: make(chan net.Conn, 1)}
		s := newServer(&program{ready: true})
		s.listener = l
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		l.conns <- conn
		if _, err := fmt.Fprintf(client, "GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		answer, err := io.ReadAll(client) // until the server closes it
		if took := time.Since(begun); err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) || took < time.Minute || took > 5*time.Minute {
			t.Errorf("%q after %s: %v", answer, took, err)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestHeadersAreBounded(t *testing.T) {
	address := serve(t, newServer(&program{ready: true}))
	conn := dialFrom(t, "127.0.0.1", address)
	go fmt.Fprintf(conn, "GET /-/ready HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", 2*maxHeader)) // it is cut off in the middle
	answer := make([]byte, 12)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 431" {
		t.Errorf("%q %v", answer, err)
	}
}

func TestRefusedRequestsAreCounted(t *testing.T) {
	s := newServer(&program{ready: true})
	registry := prometheus.NewRegistry()
	s.Register(registry)
	h := s.Handler()
	from(h, "10.0.0.1:1", "/debug/pprof/trace?seconds=3600")
	ask(h, "POST", "/-/reload", "Origin", "http://evil.example")
	free, err := s.limits.bundles.take(listen.ClientOf("10.0.0.2:1"))
	if err != nil {
		t.Fatal(err)
	}
	from(h, "10.0.0.1:1", support.Path)
	free()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		counted[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
	}
	want := map[string]float64{refusedForeign: 1, refusedBusy: 1, refusedTooLong: 1, refusedPassword: 0, refusedGuesses: 0, refusedConnections: 0}
	if diff := cmp.Diff(want, counted); diff != "" {
		t.Error(diff)
	}
}

func TestWrongPasswordsAreSlowedForWhoSendsThem(t *testing.T) {
	l := newLoader(t)
	if err := l.load(basic("one", "")); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newServer(&program{ready: true})
		s.options.Access = l.access
		h := s.Handler()
		ask := func(address, password string) (status int, took time.Duration) {
			r := httptest.NewRequest("GET", "/-/ready", nil)
			r.RemoteAddr = address
			r.SetBasicAuth("u", password)
			w, began := httptest.NewRecorder(), time.Now()
			h.ServeHTTP(w, r)
			return w.Code, time.Since(began)
		}
		expect := func(what, address, password string, status int, least, most time.Duration) {
			t.Helper()
			if got, took := ask(address, password); got != status || took < least || took > most {
				t.Errorf("%s: %d after %s", what, got, took)
			}
		}
		for range freeGuesses {
			expect("first tries", "10.0.0.1:1", "wrong", 401, 0, 0)
		}
		for delay := firstDelay; delay < maxDelay; delay *= 2 {
			expect("more tries", "10.0.0.1:1", "wrong", 401, delay, delay)
		}
		expect("tries after that", "10.0.0.1:1", "wrong", 401, maxDelay, maxDelay)
		expect("the right one, from elsewhere", "10.0.0.2:1", "one", 200, 0, 0)
		expect("the right one, from there", "10.0.0.1:1", "one", 200, 0, 0)

		var trying sync.WaitGroup
		for range maxWaiting {
			trying.Go(func() { ask("10.0.0.1:2", "wrong") })
		}
		synctest.Wait()
		expect("a third try beside two", "10.0.0.1:3", "wrong", 429, 0, 0)
		expect("the right one beside two", "10.0.0.1:3", "one", 429, 0, 0) // or a client could guess on
		expect("the right one beside two, from elsewhere", "10.0.0.2:1", "one", 200, 0, 0)
		trying.Wait()
		time.Sleep(forgetAfter + time.Second)
		expect("a try later", "10.0.0.1:1", "wrong", 401, 0, 0)

		for i := range 3 * maxGuessers {
			expect("tries from everywhere", netip.AddrPortFrom(netip.AddrFrom4([4]byte{11, 0, byte(i >> 8), byte(i)}), 1).String(), "wrong", 401, 0, 0)
		}
		if len(s.guesses.by) > maxGuessers {
			t.Errorf("%d clients are remembered", len(s.guesses.by))
		}
		for i := range 2 * freeGuesses { // one network is one client
			ask(netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i)}), 1).String(), "wrong")
		}
		if known := s.guesses.by["2001::"]; known == nil || known.wrong != 2*freeGuesses {
			t.Errorf("%+v", known)
		}
	})
}
