// Package profiles receives profiles as clients push them to Pyroscope and
// delivers them to Pyroscope servers, byte for byte.
package profiles

import (
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"collector/pkg/component"
	"collector/pkg/httpserver"
	"collector/pkg/listen"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

const (
	// queueTimeout is how long a client waits for its profile to be queued.
	queueTimeout = 900 * time.Millisecond
	// retryAfter is the number of seconds after which a client whose profile could not be
	// accepted may retry.
	retryAfter = "5"
)

// Receive is pyroscope.receive_http: a server for both of Pyroscope's push
// APIs, on one port.
type Receive struct {
	config  ReceiveConfig
	options component.Options
	metrics *receiveMetrics
	http    *httpserver.Server
	maxBody int64
	bodies  *listen.Budget
	counts  receiveCounts

	quiet throttle.Log
}

type receiveCounts struct{ received, forwarded atomic.Uint64 }

//go:embed pyroscope.receive_http.md
var receivePage string

func receiveDefinition() component.Definition {
	return component.Define("pyroscope.receive_http", NewReceive, component.Doc{Page: receivePage})
}

// NewReceive checks c and starts nothing.
func NewReceive(c ReceiveConfig, o component.Options) (*Receive, error) {
	o = o.WithDefaults()
	if c.GRPC != nil {
		o.Warn("grpc", "profiles are received over HTTP only; nothing listens for gRPC")
	}
	r := &Receive{config: c, options: o, maxBody: 2 * listen.WithinMemory(maxBody/2), bodies: o.Listeners.Budget(), metrics: newReceiveMetrics(o.Metrics)}
	var err error
	r.http, err = httpserver.New(c.HTTP, httpserver.Options{
		Component: o, Shutdown: c.GracefulShutdownTimeout, Receives: "profiles", Signals: []string{"profiles"}, Metrics: "pyroscope_receive_http",
	})
	return r, err
}

// Bind takes the listener.
func (r *Receive) Bind() error { return r.http.Bind() }

// Close gives the listener back if Run has not taken it.
func (r *Receive) Close() { r.http.Close() }

// Run serves until ctx ends.
func (r *Receive) Run(ctx context.Context) error { return r.http.Run(ctx, r.handler()) }

func (r *Receive) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST "+ingestPath, r.http.Instrument("ingest", r.refuseOtherSites(http.HandlerFunc(r.ingest))))
	mux.Handle("POST "+pushProcedure, r.http.Instrument("push", r.refuseOtherSites(r.pushHandler())))
	mux.HandleFunc("/", r.http.UnknownPath(ingestPath, pushProcedure))
	return mux
}

// refuseOtherSites rejects what a browser sends for a page of another site, before
// anything of the body is read. No profiler runs in a page, and there is no CORS here to
// allow it.
func (r *Receive) refuseOtherSites(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := listen.OtherSite(req); err != nil {
			r.refuse(w, req, http.StatusForbidden, "other_site", err.Error())
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
		r.http.Tally.RefuseItems("profiles", p.Items)
		r.http.Tally.Refuse(dropReason(err), "", err)
		r.logRefusal(err)
		return err
	}
	r.counts.forwarded.Add(uint64(p.Items))
	r.http.Tally.Accept("profiles", p.Items)
	return nil
}

// lose counts what one of several sinks did not accept, and logs it once in a while.
func (r *Receive) lose(profiles int, err error) {
	r.metrics.lost.WithLabelValues(dropReason(err)).Add(float64(profiles))
	r.quiet.Log(r.options.Logger, slog.LevelError, dropReason(err), "one of several destinations does not accept profiles that another accepts; they are lost for that one", "err", err)
}

// logRefusal logs in full, once in a while, the error that a client gets without file
// names.
func (r *Receive) logRefusal(err error) {
	if dropReason(err) != "client_gone" {
		r.quiet.Warn(r.options.Logger, dropReason(err), "profile rejected", "reason", dropReason(err), "err", err)
	}
}

// refused counts and logs a request from which no profile came.
func (r *Receive) refused(req *http.Request, reason, message string) {
	r.metrics.dropped.WithLabelValues(reason).Inc()
	r.http.Tally.Refuse(reason, req.RemoteAddr, errors.New(message))
	r.quiet.Warn(r.options.Logger, reason, "profile rejected", "reason", reason, "client", req.RemoteAddr, "err", httpserver.Brief(message))
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

// Receiving is part of inspect.Receiver.
func (r *Receive) Receiving() listen.Received { return r.http.Receiving() }

// ReceiveStatus is a snapshot of a Receive for people.
type ReceiveStatus struct {
	Address             string
	Connections         int64
	Received, Forwarded uint64 // profiles
}

// Status returns a ReceiveStatus.
func (r *Receive) Status() any {
	return ReceiveStatus{
		Address:     r.http.Address(),
		Connections: r.http.Connections(),
		Received:    r.counts.received.Load(),
		Forwarded:   r.counts.forwarded.Load(),
	}
}
