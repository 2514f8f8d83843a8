// Package profiles receives profiles as clients push them to Pyroscope and
// delivers them to Pyroscope servers, byte for byte.
package profiles

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

const (
	// headerTimeout is what a client gets to send its request's header.
	headerTimeout = 10 * time.Second
	// queueTimeout is how long a client waits for its profile to be queued.
	queueTimeout = 900 * time.Millisecond
	// retryAfter is the number of seconds after which a client whose profile
	// could not be taken may try again.
	retryAfter = "5"
)

// Receive is pyroscope.receive_http: a server for both of Pyroscope's push
// APIs, on one port.
type Receive struct {
	config  ReceiveConfig
	options component.Options
	metrics *receiveMetrics
	tls     *tls.Config
	maxBody int64
	bodies  *listen.Budget
	buffers buffers
	conns   atomic.Int64
	counts  receiveCounts

	quiet throttle.Log

	mu       sync.Mutex
	listener net.Listener // bound and not yet in use; guarded by mu
	address  string       // guarded by mu
}

type receiveCounts struct{ received, forwarded atomic.Uint64 }

// NewReceive checks c and starts nothing.
func NewReceive(c ReceiveConfig, o component.Options) (*Receive, error) {
	o = o.WithDefaults()
	r := &Receive{config: c, options: o, maxBody: 2 * listen.WithinMemory(maxBody/2), bodies: listen.NewBudget(listen.WithinMemory(maxBodies))}
	if c.HTTP.TLS != nil {
		var err error
		if r.tls, err = c.HTTP.TLS.server(); err != nil {
			return nil, component.At("http/tls", err)
		}
	}
	c.warn(o)
	r.metrics = newReceiveMetrics(o.Metrics, c.HTTP.ConnLimit, func() float64 { return float64(r.conns.Load()) })
	return r, nil
}

// Bind takes the listener.
func (r *Receive) Bind() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listener != nil {
		return nil
	}
	option := r.options.ID + ": http > listen_address and listen_port"
	l, err := r.options.Listeners.Listen("tcp", r.config.HTTP.address(), option)
	if err != nil {
		return err
	}
	r.listener = l
	r.address = l.Addr().String()
	return nil
}

// Close gives the listener back if Run has not taken it.
func (r *Receive) Close() {
	if l := r.take(); l != nil {
		l.Close()
	}
}

func (r *Receive) take() net.Listener {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.listener
	r.listener = nil
	return l
}

// Run serves until ctx ends. Requests under way then get up to maxShutdown.
func (r *Receive) Run(ctx context.Context) error {
	if err := r.Bind(); err != nil {
		return err
	}
	listener := r.take()
	if limit := r.config.HTTP.ConnLimit; limit > 0 {
		listener = netutil.LimitListener(listener, limit)
	}
	r.options.Logger.Info("receiving profiles", "address", listener.Addr().String())
	cutOff, err := listen.ServeHTTP(ctx, r.server(), listener, min(r.config.GracefulShutdownTimeout, maxShutdown))
	if err != nil {
		return fmt.Errorf("serve profiles on %s: %w", listener.Addr(), err)
	}
	if cutOff > 0 {
		r.options.Logger.Warn("requests were cut off at shutdown", "connections", cutOff)
	}
	return nil
}

func (r *Receive) server() *http.Server {
	c := r.config.HTTP
	header := headerTimeout
	if c.ReadTimeout > 0 {
		header = min(header, c.ReadTimeout)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true) // gRPC without TLS
	server := &http.Server{
		Handler:           r.handler(),
		Protocols:         &protocols,
		ReadHeaderTimeout: header,
		ReadTimeout:       c.ReadTimeout,
		WriteTimeout:      c.WriteTimeout,
		IdleTimeout:       c.IdleTimeout,
		ErrorLog:          slog.NewLogLogger(r.options.Logger.Handler(), slog.LevelDebug),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				r.conns.Add(1)
			case http.StateClosed, http.StateHijacked:
				r.conns.Add(-1)
			}
		},
	}
	if r.tls != nil {
		server.TLSConfig = r.tls.Clone()
	}
	return server
}

func (r *Receive) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /ingest", r.metrics.instrument("ingest", r.refuseOtherSites(http.HandlerFunc(r.ingest))))
	mux.Handle("POST "+pushProcedure, r.metrics.instrument("push", r.refuseOtherSites(r.pushHandler())))
	return mux
}

// refuseOtherSites refuses what a browser sends for a page of another site, before
// anything of the body is read. No profiler runs in a page, and there is no CORS
// here to allow it.
func (r *Receive) refuseOtherSites(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := listen.OtherSite(req); err != nil {
			r.refuse(w, http.StatusForbidden, "other_site", err.Error())
			return
		}
		next.ServeHTTP(w, req)
	})
}

// forward gives p to every sink, see pipeline.WriteAll. An error is the client's
// to retry, except one that pipeline.IsPermanent.
func (r *Receive) forward(ctx context.Context, p pipeline.Profile) error {
	r.counts.received.Add(uint64(p.Items))
	if len(r.config.ForwardTo) == 0 {
		r.metrics.dropped.WithLabelValues("no_destination").Add(float64(p.Items))
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, queueTimeout)
	defer cancel()
	err := pipeline.WriteAll(ctx, r.config.ForwardTo,
		func(ctx context.Context, s pipeline.ProfilesSink) error { return s.WriteProfile(ctx, p) },
		func(err error) { r.lose(p.Items, err) })
	if err != nil {
		r.metrics.dropped.WithLabelValues(dropReason(err)).Add(float64(p.Items))
		r.logRefusal(err)
		return err
	}
	r.counts.forwarded.Add(uint64(p.Items))
	return nil
}

// lose counts what one of several sinks did not take, and logs it once in a
// while.
func (r *Receive) lose(profiles int, err error) {
	r.metrics.lost.WithLabelValues(dropReason(err)).Add(float64(profiles))
	r.quiet.Log(r.options.Logger, slog.LevelError, dropReason(err), "one of several destinations does not take profiles that another takes; they are lost for that one", "err", err)
}

// logRefusal logs in full, once in a while, what a client is told without the
// names of files.
func (r *Receive) logRefusal(err error) {
	if dropReason(err) != "client_gone" {
		r.quiet.Warn(r.options.Logger, dropReason(err), "profile refused", "reason", dropReason(err), "err", err)
	}
}

func dropReason(err error) string {
	switch {
	case pipeline.IsPermanent(err):
		return "bad_request"
	case errors.Is(err, pipeline.ErrFull):
		return "queue_full"
	case errors.Is(err, pipeline.ErrClosed):
		return "stopped"
	case errors.Is(err, context.Canceled):
		return "client_gone"
	default:
		return "queue_failed"
	}
}

// ReceiveStatus is a snapshot of a Receive for people.
type ReceiveStatus struct {
	Address             string
	Connections         int64
	Received, Forwarded uint64 // profiles
}

// Status returns a ReceiveStatus.
func (r *Receive) Status() any {
	r.mu.Lock()
	defer r.mu.Unlock()
	return ReceiveStatus{
		Address:     r.address,
		Connections: r.conns.Load(),
		Received:    r.counts.received.Load(),
		Forwarded:   r.counts.forwarded.Load(),
	}
}
