package server

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"collector/pkg/throttle"
)

// sniffer is a listener that looks at how each connection begins, to tell the
// user when a client speaks another protocol than the one served: that is
// almost always a wrong port or a missing TLS setting, and neither side's
// library says so.
type sniffer struct {
	net.Listener
	protocol string // TransportGRPC or TransportHTTP
	isTLS    bool
	httpHint string // what a client of HTTP/1 at a port of gRPC is told
	intake   *Intake
	logger   *slog.Logger
	hints    throttle.Log
	// untouched are the connections that were accepted but not yet served.
	untouched sync.WaitGroup
}

func (s *sniffer) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s.untouched.Add(1)
	return &sniffedConn{Conn: c, sniffer: s}, nil
}

// sniffedConn holds back what the server writes until the client has begun: an
// HTTP/2 server speaks first, and a client of HTTP/1 would take that for the
// answer.
type sniffedConn struct {
	net.Conn
	sniffer *sniffer
	begun   atomic.Bool
	touched sync.Once

	mu      sync.Mutex
	pending []byte // guarded by mu
}

// SetDeadline is the first that a gRPC server does to a connection that it is
// going to serve.
func (c *sniffedConn) SetDeadline(t time.Time) error {
	c.touched.Do(c.sniffer.untouched.Done)
	return c.Conn.SetDeadline(t)
}

func (c *sniffedConn) Close() error {
	c.touched.Do(c.sniffer.untouched.Done)
	return c.Conn.Close()
}

// maxPending is more than an HTTP/2 server says before it has heard anything.
const maxPending = 4 << 10

func (c *sniffedConn) Write(b []byte) (int, error) {
	if c.begun.Load() {
		return c.Conn.Write(b)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begun.Load() {
		return c.Conn.Write(b)
	}
	if len(c.pending)+len(b) > maxPending {
		return 0, errOtherProtocol
	}
	c.pending = append(c.pending, b...)
	return len(b), nil
}

// begin writes what was held back.
func (c *sniffedConn) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) > 0 {
		if _, err := c.Conn.Write(c.pending); err != nil {
			return err
		}
		c.pending = nil
	}
	c.begun.Store(true)
	return nil
}

// errOtherProtocol ends a connection whose client has been answered.
var errOtherProtocol = errors.New("the client speaks another protocol")

func (c *sniffedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.begun.Load() {
		return n, err
	}
	// The protocol is not known yet: the server's own deadline for a request or a preface
	// bounds the wait for the rest.
	for err == nil && n < len(b) && c.sniffer.undecided(b[:n]) {
		var more int
		more, err = c.Conn.Read(b[n:])
		n += more
	}
	var notTLS tls.RecordHeaderError
	if errors.As(err, &notTLS) {
		c.sniffer.hint("plain", c.RemoteAddr(), "a client sent plain text to a port that serves TLS; turn on TLS in the client, or remove the tls block of the receiver")
	}
	if n == 0 {
		return n, err
	}
	if c.sniffer.look(c.Conn, b[:n]) {
		return 0, errOtherProtocol
	}
	if werr := c.begin(); werr != nil {
		return 0, werr
	}
	return n, err
}

// look reports whether a connection that begins with start must be ended.
func (s *sniffer) look(c net.Conn, start []byte) bool {
	switch {
	case !s.isTLS && len(start) > 1 && start[0] == 0x16 && start[1] == 0x03:
		s.hint("tls", c.RemoteAddr(), "a client sent TLS to a port that serves plain text; set insecure in the client, or add a tls block to the receiver")
		return true
	case s.protocol == TransportGRPC && isHTTP1(start):
		text := s.httpHint
		s.hint("http", c.RemoteAddr(), text)
		fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s\n",
			http.StatusBadRequest, http.StatusText(http.StatusBadRequest), len(text)+1, text)
		linger(c)
		return true
	}
	return false
}

// linger lets a client read its answer: closing a connection with unread data resets it,
// and the client may lose the answer.
func linger(c net.Conn) {
	half, ok := c.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c, maxLinger) // until the client closes, too
}

const (
	lingerTime = 2 * time.Second
	maxLinger  = 64 << 20
)

func (s *sniffer) hint(kind string, from net.Addr, text string) {
	s.intake.count(Sender{s.protocol, from.String()}, refusedProtocol, errors.New(text))
	s.hints.Log(s.logger, slog.LevelWarn, kind, "wrong protocol", "transport", s.protocol, "client", from.String(), "hint", text)
}

// undecided reports whether more of how a connection begins could make look end it.
func (s *sniffer) undecided(start []byte) bool {
	if !s.isTLS && len(start) == 1 && start[0] == 0x16 {
		return true
	}
	return s.protocol == TransportGRPC && slices.ContainsFunc(methods(), func(method string) bool {
		return len(start) < len(method) && strings.HasPrefix(method, string(start))
	})
}

// methods are the beginnings of requests of HTTP/1.
func methods() []string { return []string{"POST ", "GET ", "OPTIONS ", "PUT ", "HEAD "} }

// isHTTP1 reports whether a connection begins as HTTP/1 does: with a method. The
// preface of HTTP/2 begins with PRI, which is none.
func isHTTP1(start []byte) bool {
	for _, method := range methods() {
		if bytes.HasPrefix(start, []byte(method)) {
			return true
		}
	}
	return false
}

// serverLog receives what net/http would print about single connections.
type serverLog struct {
	logger *slog.Logger
	errs   throttle.Log
}

func (l *serverLog) Write(line []byte) (int, error) {
	l.errs.Log(l.logger, slog.LevelWarn, "", "connection failed", "err", strings.TrimSpace(string(line)))
	return len(line), nil
}
