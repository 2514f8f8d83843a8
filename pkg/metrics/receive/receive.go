// Package receive is prometheus.receive_http: a server for Prometheus remote write,
// 1.0 and 2.0.
//
// A request is read whole and decoded under a claim on the memory, and answered with 204
// when every receiver has accepted its samples, or when one has and a counter shows which
// have not. There is no answer before that.
package receive

import (
	"context"
	_ "embed"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"collector/pkg/component"
	"collector/pkg/httpserver"
	"collector/pkg/listen"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

const (
	writePath = "/api/v1/metrics/write"
	// queueTimeout is how long a client waits for its samples to be queued: less than its
	// own timeout, which is 30 s by default.
	queueTimeout = 5 * time.Second
	// retryAfter is the number of seconds after which a client whose samples could not be
	// accepted may retry.
	retryAfter = "5"
	// largest bounds a request, packed and unpacked: Prometheus sends some 100 KiB.
	largest = 32 << 20
)

// Config is the configuration of prometheus.receive_http.
type Config struct {
	ForwardTo               []pipeline.MetricsSink `alloy:"forward_to,attr"`
	GracefulShutdownTimeout time.Duration          `alloy:"graceful_shutdown_timeout,attr,optional"`
	HTTP                    httpserver.Config      `alloy:"http,block,optional"`
	GRPC                    *httpserver.GRPCConfig `alloy:"grpc,block,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() {
	*c = Config{HTTP: httpserver.Default(), GracefulShutdownTimeout: httpserver.DefaultShutdown}
}

// Validate reports settings that cannot work.
func (c *Config) Validate() error { return httpserver.ValidateShutdown(c.GracefulShutdownTimeout) }

// Receive is prometheus.receive_http.
type Receive struct {
	config    Config
	options   component.Options
	server    *httpserver.Server
	budget    *listen.Budget
	limit     int64
	known     *interned
	metrics   *metrics
	refusals  *httpserver.Refusals
	decoders  sync.Pool // of *decoder
	received  atomic.Uint64
	forwarded atomic.Uint64

	quiet throttle.Log
}

//go:embed prometheus.receive_http.md
var page string

// Definition is the component prometheus.receive_http.
func Definition() component.Definition {
	return component.Define("prometheus.receive_http", New, component.Doc{Page: page})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Receive, error) {
	o = o.WithDefaults()
	if c.GRPC != nil {
		o.Warn("grpc", "samples are received over HTTP only; nothing listens for gRPC")
	}
	r := &Receive{
		config: c, options: o, budget: o.Listeners.Budget(), limit: 2 * listen.WithinMemory(largest/2),
		known: newInterned(int(listen.WithinMemory(4*largestInterned) / 4)), metrics: newMetrics(o.Metrics),
	}
	r.decoders.New = func() any { return new(decoder) }
	var err error
	r.server, err = httpserver.New(c.HTTP, httpserver.Options{
		Component: o, Shutdown: c.GracefulShutdownTimeout, Receives: "samples", Signals: []string{string(pipeline.SignalMetrics)}, Metrics: "prometheus_receive_http",
	})
	if err != nil {
		return nil, err
	}
	r.refusals = r.server.Refusals(r.metrics.refused)
	return r, nil
}

// Bind takes the listener.
func (r *Receive) Bind() error { return r.server.Bind() }

// Close gives the listener back if Run has not taken it.
func (r *Receive) Close() { r.server.Close() }

// Run serves until ctx ends.
func (r *Receive) Run(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.Handle("POST "+writePath, r.server.Instrument("api_v1_metrics_write", http.HandlerFunc(r.write)))
	mux.HandleFunc("/", r.server.UnknownPath(writePath))
	return r.server.Run(ctx, mux)
}

// write answers a request.
func (r *Receive) write(w http.ResponseWriter, req *http.Request) {
	if other := listen.OtherSite(req); other != nil {
		r.refusals.Answer(w, req, http.StatusForbidden, reasonOtherSite, other.Error())
		return
	}
	f, err := formatOf(req.Header)
	if err == nil && req.ContentLength > r.limit {
		err = errTooLarge
	}
	if err != nil {
		r.refuseFor(w, req, err)
		return
	}
	arrival, err := r.server.Arrive(r.budget, w, req)
	defer arrival.Release()
	d := r.decoders.Get().(*decoder)
	d.begin(arrival.Claim, r.known)
	defer func() {
		if d.end() {
			r.decoders.Put(d)
		}
	}()
	if err == nil {
		err = r.read(d, f, arrival, w, req)
	}
	if err != nil {
		r.refuseFor(w, req, err)
		return
	}
	r.answer(w, req, d, f, r.forward(req.Context(), d))
}

// read reads, unpacks and decodes a request.
func (r *Receive) read(d *decoder, f format, arrival *listen.Arrival, w http.ResponseWriter, req *http.Request) error {
	body := http.MaxBytesReader(w, req.Body, r.limit)
	data, err := arrival.ReadAll(arrival.Reader(body), req.ContentLength, r.limit)
	if errors.Is(err, listen.ErrNoRoom) && req.ContentLength < 0 {
		arrival.Release()
		return httpserver.Drain(w, body, err)
	}
	if err != nil {
		return httpserver.Unread{Err: err}
	}
	arrival.Arrived()
	defer func() { arrival.Free(data) }()
	message, err := f.unpack(arrival.Claim, data, r.limit)
	if err != nil {
		return err
	}
	defer func() { arrival.Free(message) }()
	if f.two {
		return d.version2(message)
	}
	return d.version1(message)
}

// forward gives the samples to every receiver, all at the same time. An error is the
// client's to retry, except one that pipeline.IsPermanent.
func (r *Receive) forward(ctx context.Context, d *decoder) error {
	n := d.out.Items()
	r.received.Add(uint64(n + d.invalid))
	if n == 0 && len(d.out.Metadata) == 0 && len(d.out.Exemplars) == 0 {
		return nil
	}
	if len(r.config.ForwardTo) == 0 {
		r.metrics.drop(reasonNoDestination, n)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, queueTimeout)
	defer cancel()
	start, took := time.Now(), len(r.config.ForwardTo)
	err := pipeline.Pass(ctx, r.config.ForwardTo,
		func(ctx context.Context, to pipeline.MetricsSink) error { return to.WriteMetrics(ctx, d.out) },
		func(to int, err error) {
			took--
			r.metrics.lost.WithLabelValues(httpserver.Failure(err)).Add(float64(n))
			r.quiet.Warn(r.options.Logger, "lost"+strconv.Itoa(to), "a receiver did not accept samples that another one accepted; they are lost for that one",
				"forward_to", to+1, "samples", n, "err", err)
		})
	r.metrics.fanoutLatency.Observe(time.Since(start).Seconds())
	if err == nil {
		r.metrics.forwarded.Add(float64(n * took))
		r.forwarded.Add(uint64(n))
		r.server.Tally.Accept(string(pipeline.SignalMetrics), n)
	} else {
		r.server.Tally.RefuseItems(string(pipeline.SignalMetrics), n)
	}
	return err
}

// answer answers a request whose samples were forwarded, according to the outcome.
func (r *Receive) answer(w http.ResponseWriter, req *http.Request, d *decoder, f format, err error) {
	switch {
	case err == nil:
		r.written(w, req, d, f)
	case pipeline.IsPermanent(err):
		r.refusals.Answer(w, req, http.StatusBadRequest, httpserver.Failure(err), err.Error())
	default:
		r.refusals.Count(req, httpserver.Failure(err), err.Error())
		w.Header().Set("Retry-After", retryAfter)
		http.Error(w, pipeline.ForClient(err).Error(), http.StatusServiceUnavailable)
	}
}

// written answers a request whose samples were accepted. A client of remote write 2.0
// gets a 400 for invalid series, which must not be sent again, and learns how much was
// written.
func (r *Receive) written(w http.ResponseWriter, req *http.Request, d *decoder, f format) {
	r.metrics.exemplars.WithLabelValues(reasonInvalid).Add(float64(d.lostExemplars.invalid))
	r.metrics.exemplars.WithLabelValues(reasonLabelsTooLong).Add(float64(d.lostExemplars.tooLong))
	if d.invalid > 0 {
		r.metrics.drop(reasonInvalid, d.invalid)
		r.quiet.Warn(r.options.Logger, reasonInvalid, "dropped samples with invalid labels or histograms", "client", req.RemoteAddr, "samples", d.invalid, "err", httpserver.Brief(d.why.Error()))
	}
	if f.two {
		header := func(what string, n int) {
			w.Header().Set("X-Prometheus-Remote-Write-"+what+"-Written", strconv.Itoa(n))
		}
		header("Samples", len(d.out.Samples))
		header("Histograms", len(d.out.Histograms))
		header("Exemplars", len(d.out.Exemplars))
		if d.why != nil {
			http.Error(w, httpserver.Brief(strings.ToValidUTF8(d.why.Error(), "\uFFFD")), http.StatusBadRequest)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// Receiving is part of inspect.Receiver.
func (r *Receive) Receiving() listen.Received { return r.server.Receiving() }

// Status is a snapshot of a Receive for people.
type Status struct {
	Address     string `json:"address"`
	Connections int64  `json:"connections"`
	Received    uint64 `json:"received"`  // samples of requests that could be read
	Forwarded   uint64 `json:"forwarded"` // samples
}

// Status returns a Status.
func (r *Receive) Status() any {
	return Status{r.server.Address(), r.server.Connections(), r.received.Load(), r.forwarded.Load()}
}
