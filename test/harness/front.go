package harness

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Outage is what a destination does instead of working.
type Outage struct {
	Name      string
	Refuse    bool // the port is closed
	Hang      bool // requests are read and never answered
	BlackHole bool // SYN packets are dropped: there is no answer at all
	// Status is answered in place of the backend's own, with RetryAfter if it
	// is set. A gRPC client gets the code that OTLP has for the same.
	Status     int
	RetryAfter time.Duration
	Body       string
}

// Outages are the ways in which a destination can be away. After each, what
// was sent during it has to be sent again.
func Outages() []Outage {
	return []Outage{
		{Name: "refuses", Refuse: true},
		{Name: "hangs", Hang: true},
		{Name: "black-holed", BlackHole: true},
		{Name: "429", Status: http.StatusTooManyRequests, RetryAfter: time.Second},
		{Name: "500", Status: http.StatusInternalServerError},
		{Name: "503", Status: http.StatusServiceUnavailable},
	}
}

// Front is in front of a backend, at an address that stays the same, and has
// outages on demand. It understands HTTP and gRPC.
type Front struct {
	Address string

	target   string
	listener net.Listener

	mu       sync.Mutex
	outage   Outage
	abort    chan struct{} // closed when the outage has changed
	judge    func(r *http.Request, body []byte) *Outage
	attempts []time.Time
	heard    heard
	server   *http.Server
	hole     *blackHole
}

// StartFront starts a front for target, host:port.
func StartFront(t testing.TB, target string) *Front { return StartFrontOn(t, "0", target) }

// StartFrontOn is StartFront with a port, on an address of its own.
func StartFrontOn(t testing.TB, port, target string) *Front {
	t.Helper()
	f := &Front{target: target, abort: make(chan struct{})}
	l, err := net.Listen("tcp", net.JoinHostPort(Loopback(), port))
	if err != nil {
		t.Fatal(err)
	}
	f.Address = l.Addr().String()
	f.serve(l)
	t.Cleanup(f.stop)
	return f
}

// Loopback is an address of the loopback network that nobody else uses, so that
// its ports stay free.
func Loopback() string {
	return fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(250), 1+rand.IntN(250), 1+rand.IntN(250))
}

// Set starts an outage, or ends it with the zero Outage. Requests under way that the
// backend is answering are let through first. Only an outage in which nobody listens cuts
// connections: see Unheard.
func (f *Front) Set(t testing.TB, o Outage) {
	t.Helper()
	f.mu.Lock()
	stays := f.server != nil && !o.Refuse && !o.BlackHole
	f.outage = o
	close(f.abort)
	f.abort = make(chan struct{})
	f.mu.Unlock()
	f.heard.wait(5 * time.Second)
	if stays {
		return
	}
	f.stop()
	switch {
	case o.Refuse:
	case o.BlackHole:
		f.bind(t, func() error {
			hole, err := digBlackHole(f.Address)
			f.mu.Lock()
			f.hole = hole
			f.mu.Unlock()
			return err
		})
	default:
		f.bind(t, func() error {
			l, err := net.Listen("tcp", f.Address)
			if err == nil {
				f.serve(l)
			}
			return err
		})
	}
}

// bind binds the front's address again. A process that is being forked holds
// what listened there until it runs its program.
func (f *Front) bind(t testing.TB, bind func() error) {
	t.Helper()
	Eventually(t, 30*time.Second, func() error {
		err := bind()
		if err != nil && !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatalf("listen at %s: %v", f.Address, err)
		}
		return err
	})
}

// Judge makes a function decide on each request by its contents; nil lets the backend
// answer.
func (f *Front) Judge(judge func(r *http.Request, body []byte) *Outage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.judge = judge
}

// Attempts are the times of all requests so far that reached an answer of the
// front or its backend.
func (f *Front) Attempts() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Time(nil), f.attempts...)
}

func (f *Front) stop() {
	f.mu.Lock()
	server, hole := f.server, f.hole
	f.server, f.hole = nil, nil
	f.mu.Unlock()
	if server != nil {
		f.listener.Close() // the server may not have begun to serve it
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		server.Shutdown(ctx)
		cancel()
		server.Close()
		f.Cut()
	}
	if hole != nil {
		hole.fill()
	}
}

func (f *Front) serve(l net.Listener) {
	var both, h2c http.Protocols
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	h2c.SetUnencryptedHTTP2(true)
	proxy := func(transport *http.Transport) *httputil.ReverseProxy {
		p := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: f.target})
		p.Transport, p.FlushInterval = transport, -1
		p.ErrorHandler = func(w http.ResponseWriter, r *http.Request, err error) { w.WriteHeader(http.StatusBadGateway) }
		return p
	}
	plain, grpc := proxy(&http.Transport{}), proxy(&http.Transport{Protocols: &h2c})
	server := &http.Server{Protocols: &both, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.answer(w, r) {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler) // the client has disconnected
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		done := f.heard.begin(Request{Query: r.URL.RawQuery, Body: body})
		defer func() { done(r.Context().Err() == nil) }()
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			grpc.ServeHTTP(w, r)
		} else {
			plain.ServeHTTP(w, r)
		}
	})}
	f.mu.Lock()
	f.server = server
	f.mu.Unlock()
	f.mu.Lock()
	f.listener = l
	f.mu.Unlock()
	go server.Serve(l)
}

// answer answers in the backend's place if there is an outage.
func (f *Front) answer(w http.ResponseWriter, r *http.Request) bool {
	f.mu.Lock()
	f.attempts = append(f.attempts, time.Now())
	o, judge, abort := f.outage, f.judge, f.abort
	f.mu.Unlock()
	if judge != nil && o == (Outage{}) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return true
		}
		if verdict := judge(r, body); verdict != nil {
			o = *verdict
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
	}
	switch {
	case o.Hang:
		io.Copy(io.Discard, r.Body) // so that the server notices when the client disconnects
		select {
		case <-r.Context().Done():
		case <-abort:
		}
		panic(http.ErrAbortHandler)
	case o.Status == 0:
		return false
	case strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc"):
		io.Copy(io.Discard, r.Body)
		o.answerGRPC(w)
	default:
		io.Copy(io.Discard, r.Body)
		if o.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(o.RetryAfter.Seconds())))
		}
		http.Error(w, o.text(), o.Status)
	}
	return true
}

func (o Outage) text() string {
	if o.Body != "" {
		return o.Body
	}
	return "the destination has an outage"
}

func (o Outage) answerGRPC(w http.ResponseWriter) {
	code, ok := map[int]codes.Code{
		http.StatusBadRequest: codes.InvalidArgument, http.StatusTooManyRequests: codes.ResourceExhausted,
		http.StatusInternalServerError: codes.Internal, http.StatusServiceUnavailable: codes.Unavailable,
	}[o.Status]
	if !ok {
		code = codes.Unknown
	}
	st := status.New(code, o.text())
	if o.RetryAfter > 0 {
		if detailed, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(o.RetryAfter)}); err == nil {
			st = detailed
		}
	}
	details, err := proto.Marshal(st.Proto())
	if err != nil {
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Status", strconv.Itoa(int(code)))
	h.Set("Grpc-Message", o.text())
	h.Set("Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(details))
	w.WriteHeader(http.StatusOK)
}

// blackHole is a listener whose queue of connections is full, so that the
// kernel drops each further SYN.
type blackHole struct {
	file  *os.File
	conns []net.Conn
}

func digBlackHole(address string) (*blackHole, error) {
	a, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	b := &blackHole{file: os.NewFile(uintptr(fd), "black hole")}
	if err := b.listen(fd, a); err != nil {
		b.fill()
		return nil, err
	}
	for range 16 {
		c, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			return b, nil
		}
		b.conns = append(b.conns, c)
	}
	b.fill()
	return nil, fmt.Errorf("its queue takes %d connections", len(b.conns))
}

func (b *blackHole) listen(fd int, a *net.TCPAddr) error {
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())}); err != nil {
		return err
	}
	return syscall.Listen(fd, 0)
}

// fill ends the hole.
func (b *blackHole) fill() {
	for _, c := range b.conns {
		c.(*net.TCPConn).SetLinger(0) // no TIME_WAIT
		c.Close()
	}
	b.file.Close()
}
