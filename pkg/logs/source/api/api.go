// Package api is loki.source.api: a server for Loki's push API and for plain text.
//
// A request is read whole and decoded under a claim on the memory, and answered with 204
// when every receiver has accepted its entries, or when one has and a counter shows which
// have not. There is no answer before that.
package api

import (
	"context"
	_ "embed"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpserver"
	"collector/pkg/listen"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

const (
	// queueTimeout is how long a client waits for its entries to be queued: less than its
	// own timeout, which is 10 s with Loki's clients.
	queueTimeout = 5 * time.Second
	// retryAfter is the number of seconds after which a client whose entries could not be
	// accepted may retry.
	retryAfter = "5"
)

// The paths that are served.
const (
	pushPath, rawPath   = "/loki/api/v1/push", "/loki/api/v1/raw"
	shortPush, shortRaw = "/api/v1/push", "/api/v1/raw"
	promtailRaw         = "/promtail/api/v1/raw"
	readyPath           = "/ready"
)

// Source is loki.source.api.
type Source struct {
	config    Config
	options   component.Options
	server    *httpserver.Server
	budget    *listen.Budget
	own       []labels.Label // configured
	names     *discovery.LabelNames
	metrics   *metrics
	refusals  *httpserver.Refusals
	decoders  sync.Pool // of *decoder
	received  atomic.Uint64
	forwarded atomic.Uint64
	bytes     atomic.Uint64 // of lines that were forwarded
	dropped   atomic.Uint64
	refused   atomic.Uint64 // requests
	invalid   atomic.Uint64 // invalid ones among them
	newest    atomic.Int64  // Unix nanoseconds of the last request that was accepted; 0: none

	mu        sync.Mutex
	problem   string    // with the last request that was refused; guarded by mu
	problemAt time.Time // guarded by mu

	quiet throttle.Log
}

//go:embed loki.source.api.md
var page string

// Definition is the component loki.source.api.
func Definition() component.Definition {
	return component.Define("loki.source.api", New, component.Doc{Page: page})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Source, error) {
	o = o.WithDefaults()
	if c.GRPC != nil {
		o.Warn("grpc", "entries are received over HTTP only; nothing listens for gRPC")
	}
	s := &Source{
		config: c, options: o, budget: o.Listeners.Budget(), own: c.own(),
		names: discovery.NewLabelNames(model.LegacyValidation, o.Logger),
	}
	s.decoders.New = func() any { return new(decoder) }
	s.metrics = newMetrics(o.Metrics)
	var err error
	s.server, err = httpserver.New(c.HTTP, httpserver.Options{
		Component: o, Shutdown: c.GracefulShutdownTimeout, Receives: "log entries", Signals: []string{"logs"}, Metrics: "loki_source_api",
	})
	if err != nil {
		return nil, err
	}
	s.refusals = s.server.Refusals(s.metrics.refused)
	s.refusals.Seen = s.wrong
	return s, nil
}

// Bind takes the listener.
func (s *Source) Bind() error { return s.server.Bind() }

// Close gives the listener back if Run has not taken it.
func (s *Source) Close() { s.server.Close() }

// Run serves until ctx ends.
func (s *Source) Run(ctx context.Context) error { return s.server.Run(ctx, s.handler()) }

func (s *Source) handler() http.Handler {
	mux := http.NewServeMux()
	for path, route := range map[string]struct {
		name   string
		handle func(http.ResponseWriter, *http.Request)
	}{
		pushPath: {"loki_api_v1_push", s.push}, shortPush: {"api_v1_push", s.push},
		rawPath: {"loki_api_v1_raw", s.raw}, shortRaw: {"api_v1_raw", s.raw}, promtailRaw: {"promtail_api_v1_raw", s.raw},
	} {
		mux.Handle("POST "+path, s.server.Instrument(route.name, http.HandlerFunc(route.handle)))
	}
	mux.HandleFunc("GET "+readyPath, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ready") // the client may have disconnected
	})
	mux.HandleFunc("/", s.server.UnknownPath(pushPath, rawPath, shortPush, shortRaw))
	return mux
}

func (s *Source) push(w http.ResponseWriter, r *http.Request) {
	f, err := pushFormat(r.Header, s.config.messageSize())
	s.receive(w, r, f, err)
}

func (s *Source) raw(w http.ResponseWriter, r *http.Request) {
	f, err := rawFormat(r.Header, s.config.messageSize())
	s.receive(w, r, f, err)
}

// receive answers a request of that format; err is what is already wrong with it.
func (s *Source) receive(w http.ResponseWriter, r *http.Request, f format, err error) {
	if other := listen.OtherSite(r); other != nil {
		s.refusals.Answer(w, r, http.StatusForbidden, reasonOtherSite, other.Error())
		return
	}
	if err == nil && r.ContentLength > f.limit {
		err = &http.MaxBytesError{Limit: f.limit}
	}
	if err != nil {
		s.refuseFor(w, r, f, err)
		return
	}
	arrival, err := s.server.Arrive(s.budget, w, r)
	defer arrival.Release()
	d := s.decoders.Get().(*decoder)
	d.begin(s, arrival.Claim, s.tenantOf(r))
	defer func() {
		if d.end() {
			s.decoders.Put(d)
		}
	}()
	if err == nil {
		err = s.decode(d, f, arrival, w, r)
	}
	if err != nil {
		s.refuseFor(w, r, f, err)
		return
	}
	s.answer(w, r, d, s.forward(r.Context(), d))
}

// decode reads, unpacks and decodes a request.
func (s *Source) decode(d *decoder, f format, arrival *listen.Arrival, w http.ResponseWriter, r *http.Request) error {
	body := http.MaxBytesReader(w, r.Body, f.limit)
	data, err := arrival.ReadAll(arrival.Reader(body), r.ContentLength, f.limit)
	if errors.Is(err, listen.ErrNoRoom) && r.ContentLength < 0 {
		arrival.Release()
		return httpserver.Drain(w, body, err)
	}
	if err != nil {
		return httpserver.Unread{Err: err}
	}
	arrival.Arrived()
	defer func() { arrival.Free(data) }()
	return f.decode(d, data)
}

// forward gives the entries to every receiver, all at the same time. An error is
// the client's to retry, except one that pipeline.IsPermanent.
func (s *Source) forward(ctx context.Context, d *decoder) error {
	s.received.Add(uint64(d.entries + d.dropped))
	if d.entries == 0 {
		return nil
	}
	if len(s.config.ForwardTo) == 0 {
		s.metrics.drop(reasonNoDestination, d.entries)
		s.dropped.Add(uint64(d.entries))
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, queueTimeout)
	defer cancel()
	logs := pipeline.Logs{Streams: d.streams}
	err := pipeline.Pass(ctx, s.config.ForwardTo,
		func(ctx context.Context, to pipeline.LogsSink) error { return to.WriteLogs(ctx, logs) },
		func(to int, err error) {
			s.metrics.lost.WithLabelValues(httpserver.Failure(err)).Add(float64(d.entries))
			s.quiet.Warn(s.options.Logger, "lost"+strconv.Itoa(to), "a receiver did not accept log entries that another one accepted; they are lost for that one",
				"forward_to", to+1, "entries", d.entries, "err", err)
		})
	if err == nil {
		s.metrics.written.Add(float64(d.entries))
		s.forwarded.Add(uint64(d.entries))
		s.bytes.Add(lineBytes(logs))
		s.newest.Store(time.Now().UnixNano())
		s.server.Tally.Accept("logs", d.entries)
	} else {
		s.server.Tally.RefuseItems("logs", d.entries)
	}
	return err
}

// answer answers a request whose entries were forwarded, according to the outcome.
func (s *Source) answer(w http.ResponseWriter, r *http.Request, d *decoder, err error) {
	switch {
	case err == nil:
		s.metrics.drop(reasonRelabeled, d.dropped)
		s.dropped.Add(uint64(d.dropped))
		w.WriteHeader(http.StatusNoContent)
	case pipeline.IsPermanent(err):
		s.refusals.Answer(w, r, http.StatusBadRequest, httpserver.Failure(err), err.Error())
	default:
		s.refusals.Count(r, httpserver.Failure(err), err.Error())
		w.Header().Set("Retry-After", retryAfter)
		http.Error(w, pipeline.ForClient(err).Error(), http.StatusServiceUnavailable)
	}
}

// Receiving is part of inspect.Receiver.
func (s *Source) Receiving() listen.Received { return s.server.Receiving() }
