// Package httpserver is the server of a component to which clients push by HTTP,
// with Alloy's blocks http and tls and Alloy's metrics. Its port stays open across
// reloads; its connections, the headers of requests and the time that they take to
// arrive are bounded.
package httpserver

import (
	"cmp"
	"context"
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

	"golang.org/x/net/netutil"

	"collector/pkg/component"
	"collector/pkg/listen"
)

const (
	// headerTimeout is what a client gets to send its request's header.
	headerTimeout = 10 * time.Second
	// MaxHeader is what a request's header may take of the memory, which no budget
	// counts.
	MaxHeader = 64 << 10
	// MaxReason is the maximum length of an error about a request. Errors quote requests,
	// and their texts are copied: into the log, the answer and its encoding.
	MaxReason = 1 << 10
	// drainTimeout is how long the rest of a body is read that is not kept.
	drainTimeout = 5 * time.Second
	// queryCost is what reading the query of a request makes of each byte of it.
	queryCost = 32
)

// Options are what a server is made with.
type Options struct {
	Component component.Options
	// Shutdown is graceful_shutdown_timeout.
	Shutdown time.Duration
	// Receives says in words what clients send: "profiles".
	Receives string
	// Signals are those that clients send.
	Signals []string
	// Metrics is what the names of metrics begin with: "pyroscope_receive_http".
	Metrics string
	// Block is the block that has listen_address and listen_port; "http" if it is
	// empty.
	Block string
}

// Server is the server of one component.
type Server struct {
	config  Config
	o       Options
	tls     *tls.Config
	limit   *listen.Limit
	conns   atomic.Int64
	metrics *metrics

	// Paths reports clients that ask for what is not served, Tally counts all others.
	Paths *listen.Paths
	Tally *listen.Tally

	mu       sync.Mutex
	listener net.Listener // bound and not yet in use; guarded by mu
	address  string       // guarded by mu
}

// New checks c and starts nothing. o.Component has its defaults.
func New(c Config, o Options) (*Server, error) {
	s := &Server{config: c, o: o, Tally: listen.NewTally(o.Signals...)}
	if c.TLS != nil {
		var err error
		if s.tls, err = c.TLS.server(); err != nil {
			return nil, component.At("http/tls", err)
		}
	}
	if d := o.Shutdown; d != DefaultShutdown && d > maxShutdown {
		o.Component.Warn("graceful_shutdown_timeout", fmt.Sprintf("requests in progress get at most %s to finish, so that shutdown takes at most 5 s", maxShutdown))
	}
	reg, log := o.Component.Metrics, o.Component.Logger
	s.limit, s.Paths = listen.NewLimit(listen.MaxConnections(), reg, log), listen.NewPaths(reg, log)
	s.Paths.Tally = s.Tally
	s.metrics = newMetrics(o.Metrics, reg, c.ConnLimit, func() float64 { return float64(s.conns.Load()) })
	return s, nil
}

// Bind takes the listener. Calling it again does nothing.
func (s *Server) Bind() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return nil
	}
	option := s.o.Component.ID + ": " + cmp.Or(s.o.Block, "http") + " > listen_address and listen_port"
	l, err := s.o.Component.Listeners.Listen("tcp", s.config.address(), option)
	if err != nil {
		return err
	}
	s.listener = l
	s.address = l.Addr().String()
	return nil
}

// Close gives the listener back if Run has not taken it.
func (s *Server) Close() {
	if l := s.take(); l != nil {
		l.Close()
	}
}

func (s *Server) take() net.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.listener
	s.listener = nil
	return l
}

// Address is where the server listens, once it is bound.
func (s *Server) Address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.address
}

// Receiving is what clients have sent.
func (s *Server) Receiving() listen.Received {
	return s.Tally.Received("HTTP on " + cmp.Or(s.Address(), s.config.address()))
}

// Connections counts those that are open.
func (s *Server) Connections() int64 { return s.conns.Load() }

// Run serves until ctx ends. Requests in progress then get up to maxShutdown.
func (s *Server) Run(ctx context.Context, handler http.Handler) error {
	if err := s.Bind(); err != nil {
		return err
	}
	log := s.o.Component.Logger
	listener := s.limit.Listener(s.take())
	if limit := s.config.ConnLimit; limit > 0 {
		listener = netutil.LimitListener(listener, limit) // holds further clients back
	}
	log.Info("receiving "+s.o.Receives, "address", listener.Addr().String())
	cutOff, err := listen.ServeHTTP(ctx, s.server(handler), listener, min(s.o.Shutdown, maxShutdown))
	if err != nil {
		return fmt.Errorf("serve %s on %s: %w", s.o.Receives, listener.Addr(), err)
	}
	if cutOff > 0 {
		log.Warn("requests were cut off at shutdown", "connections", cutOff)
	}
	return nil
}

func (s *Server) server(handler http.Handler) *http.Server {
	c := s.config
	header := headerTimeout
	if c.ReadTimeout > 0 {
		header = min(header, c.ReadTimeout)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true) // gRPC without TLS
	server := &http.Server{
		Handler:           handler,
		Protocols:         &protocols,
		ReadHeaderTimeout: header,
		MaxHeaderBytes:    MaxHeader,
		ReadTimeout:       c.ReadTimeout,
		WriteTimeout:      c.WriteTimeout,
		IdleTimeout:       c.IdleTimeout,
		ErrorLog:          slog.NewLogLogger(s.o.Component.Logger.Handler(), slog.LevelDebug),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.conns.Add(1)
			case http.StateClosed, http.StateHijacked:
				s.conns.Add(-1)
			}
		},
	}
	if s.tls != nil {
		server.TLSConfig = s.tls.Clone()
	}
	return server
}

// Arrive begins a request of which the memory is claimed from budget; it must be
// released, also after an error. Where its deadline cannot be set, the server's
// own holds.
func (s *Server) Arrive(budget *listen.Budget, w http.ResponseWriter, req *http.Request) (*listen.Arrival, error) {
	rc := http.NewResponseController(w)
	begun, limit := time.Now(), s.config.ReadTimeout
	a := budget.Arrive(listen.ClientOf(req.RemoteAddr), func(t time.Time) {
		if end := begun.Add(limit); limit > 0 && (t.IsZero() || t.After(end)) {
			t = end
		}
		_ = rc.SetReadDeadline(t)
	})
	return a, a.Grow(listen.HeaderSize(req.Header) + queryCost*len(req.URL.RawQuery))
}

// Drain reads on in a body of unknown length for which there was no memory, and keeps
// nothing of it. One that is too large is so at any time: its sender must not be asked to
// retry. Otherwise Drain returns err.
func Drain(w http.ResponseWriter, body io.Reader, err error) error {
	// Where the deadline cannot be set, the server's own holds.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainTimeout))
	var tooLarge *http.MaxBytesError
	if _, failed := io.Copy(io.Discard, body); errors.As(failed, &tooLarge) {
		return failed
	}
	return err
}

// UnknownPath answers a request for what is not served: the paths accept POST.
func (s *Server) UnknownPath(paths ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if slices.Contains(paths, req.URL.Path) {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "method not allowed, supported: POST", http.StatusMethodNotAllowed)
			return
		}
		hint := s.Paths.Unknown(paths, req.Method, req.URL.Path, req.RemoteAddr)
		message := strings.TrimSuffix("404 page not found: "+hint, ": ")
		if strings.HasPrefix(req.Header.Get("Content-Type"), "application/grpc") {
			listen.RefuseGRPC(w, message)
			return
		}
		http.Error(w, message, http.StatusNotFound)
	}
}

// Brief is the beginning of a text, as long as what is said of a request may be.
func Brief(text string) string {
	if len(text) <= MaxReason {
		return text
	}
	return strings.ToValidUTF8(text[:MaxReason-len("…")], "") + "…"
}
