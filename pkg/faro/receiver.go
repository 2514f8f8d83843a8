// Package faro is faro.receiver: a server for the Faro SDKs of web pages, whose logs,
// exceptions, measurements and events become log entries, and whose traces are
// forwarded as they are.
//
// It imports nothing of the packages that read or write logs: package pipeline defines
// what flows. Of OTLP, it needs the decoders of JSON and gzip, and what the components behind
// a receiver learn about its clients.
package faro

import (
	"bytes"
	"context"
	"crypto/subtle"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/cors"
	"golang.org/x/time/rate"

	"collector/pkg/component"
	"collector/pkg/httpserver"
	"collector/pkg/listen"
	"collector/pkg/otlp/compression"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

const (
	// queueTimeout is how long a client waits for its data to be queued.
	queueTimeout = 5 * time.Second
	retryAfter   = "5"
	// largestPayload bounds what max_allowed_payload_size does not.
	largestPayload = 100 << 20

	collectPath, readyPath = "/collect", "/-/ready"
	keyHeader              = "X-Api-Key"
)

// allowedHeaders are those that the SDKs send. Without idempotency-key, which is not
// allowed by Alloy 1.12, browsers block everything that version 2.12 of the SDK sends.
func allowedHeaders() []string {
	return []string{"content-encoding", "content-type", "idempotency-key", "traceparent", keyHeader, "x-faro-session-id", "x-scope-orgid"}
}

// Receiver is faro.receiver.
type Receiver struct {
	config   Config
	options  component.Options
	server   *httpserver.Server
	budget   *listen.Budget
	cors     *cors.Cors    // nil: pages of other sites are refused
	all      *rate.Limiter // nil: the strategy is another
	apps     *appLimits    // nil: the strategy is another
	labels   []extraLabel
	maps     *sourceMaps // nil: there are none
	repeats  *repeats
	gzip     *compression.Coding
	metrics  *metrics
	refusals *httpserver.Refusals
	readers  sync.Pool // of *wire.JSONReader
	decoded  int       // outputs that decode traces

	received, forwarded atomic.Uint64 // items
	quiet               throttle.Log
}

//go:embed faro.receiver.md
var page string

// Components lists the components of Faro.
func Components() []component.Definition {
	return []component.Definition{component.Define("faro.receiver", New, component.Doc{Page: page})}
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Receiver, error) {
	o = o.WithDefaults()
	r := &Receiver{config: c, options: o, budget: o.Listeners.Budget(), labels: extraLabels(c.LogLabels), repeats: newRepeats(), gzip: compression.New("gzip", 0, 0), metrics: newMetrics(o.Metrics)}
	r.readers.New = func() any { return new(wire.JSONReader) }
	if origins := c.Server.CORSAllowedOrigins; len(origins) > 0 {
		r.cors = cors.New(cors.Options{AllowedOrigins: origins, AllowedHeaders: allowedHeaders()})
	}
	switch limit := c.Server.RateLimiting; {
	case !limit.Enabled:
	case limit.Strategy == strategyPerApp:
		r.apps = limitApps(limit, o.Metrics)
	default:
		r.all = limitAll(limit)
	}
	for _, sink := range c.Output.Traces {
		if pipeline.ReadsOTLP(sink, pipeline.SignalTraces) {
			r.decoded++
		}
	}
	c.SourceMaps.warn(o)
	var err error
	if r.maps, err = newSourceMaps(c.SourceMaps, o); err != nil {
		return nil, err
	}
	server := httpserver.Default()
	server.ListenAddress, server.ListenPort = c.Server.ListenAddress, c.Server.ListenPort
	r.server, err = httpserver.New(server, httpserver.Options{
		Component: o, Shutdown: httpserver.DefaultShutdown, Receives: "telemetry of web pages", Signals: []string{"logs", "traces"}, Metrics: "faro_receiver", Block: "server",
	})
	if err != nil {
		return nil, err
	}
	r.refusals = r.server.Refusals(r.metrics.refused)
	return r, nil
}

// Bind takes the listener.
func (r *Receiver) Bind() error { return r.server.Bind() }

// Close gives the listener back if Run has not taken it.
func (r *Receiver) Close() { r.server.Close() }

// Run serves until ctx ends.
func (r *Receiver) Run(ctx context.Context) error {
	defer r.maps.close()
	return r.server.Run(ctx, r.handler())
}

func (r *Receiver) handler() http.Handler {
	var collect http.Handler = http.HandlerFunc(r.collect)
	if r.cors != nil {
		collect = r.cors.Handler(collect)
	}
	collect = r.server.Instrument("collect", collect)
	mux := http.NewServeMux()
	mux.Handle("POST "+collectPath, collect)
	mux.Handle("OPTIONS "+collectPath, collect)
	mux.HandleFunc(collectPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", "OPTIONS, POST")
		w.WriteHeader(http.StatusMethodNotAllowed)
	})
	mux.HandleFunc(readyPath, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ready") // the client may have disconnected
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		r.server.Paths.Unknown([]string{collectPath}, req.Method, req.URL.Path, req.RemoteAddr)
		http.NotFound(w, req)
	})
	return mux
}

// collect answers a request with a payload. As in Alloy, it is read before the key is
// looked at.
func (r *Receiver) collect(w http.ResponseWriter, req *http.Request) {
	if r.cors == nil && req.Method == http.MethodPost {
		if err := listen.OtherSite(req); err != nil {
			r.refusals.Answer(w, req, http.StatusForbidden, reasonOtherSite, err.Error()+": to let it send, list its origin in server > cors_allowed_origins of the receiver")
			return
		}
	}
	if r.all != nil && !r.all.Allow() {
		r.tooMany(w, req)
		return
	}
	arrival, err := r.server.Arrive(r.budget, w, req)
	defer arrival.Release()
	var p *Payload
	var id requestID
	if err == nil {
		p, id, err = r.read(arrival, w, req)
	}
	switch {
	case err != nil:
		r.refuseFor(w, req, err)
	case r.apps != nil && !r.apps.allow(app{p.Meta.App.Name, p.Meta.App.Environment}):
		r.tooMany(w, req)
	case !r.hasKey(req):
		r.refuseFor(w, req, errKey)
	default:
		r.once(w, req, arrival, p, id)
	}
}

var errKey = errors.New("API key not provided or incorrect")

// hasKey reports whether a request has the key, where there is one.
func (r *Receiver) hasKey(req *http.Request) bool {
	key := string(r.config.Server.APIKey)
	return key == "" || subtle.ConstantTimeCompare([]byte(req.Header.Get(keyHeader)), []byte(key)) == 1
}

// maxPayload is how large a payload may be.
func (r *Receiver) maxPayload() int64 {
	if size := int64(r.config.Server.MaxAllowedPayloadSize); size > 0 {
		return size
	}
	return largestPayload
}

// read reads a payload, and the ID of its request. One that says that it is too large is
// not read.
func (r *Receiver) read(arrival *listen.Arrival, w http.ResponseWriter, req *http.Request) (p *Payload, id requestID, err error) {
	limit := r.maxPayload()
	if req.ContentLength > limit {
		if !r.hasKey(req) {
			return nil, id, errKey
		}
		return nil, id, &http.MaxBytesError{Limit: limit}
	}
	body := http.MaxBytesReader(w, req.Body, limit)
	data, err := arrival.ReadAll(arrival.Reader(body), req.ContentLength, limit)
	if errors.Is(err, listen.ErrNoRoom) && req.ContentLength < 0 {
		arrival.Release()
		err = httpserver.Drain(w, body, err)
	}
	if err != nil {
		return nil, id, httpserver.Unread{Err: err}
	}
	arrival.Arrived()
	defer arrival.Free(data)
	id = idOf(req, data)
	if strings.EqualFold(req.Header.Get("Content-Encoding"), "gzip") { // requestCompression of the SDK
		if data, err = r.gzip.Unpack(data, limit, arrival.Claim); err != nil {
			return nil, id, fmt.Errorf("decompress the payload: %w", err)
		}
		defer arrival.Free(data)
	}
	p, err = parse(arrival.Claim, data)
	return p, id, err
}

// receive forwards what is in a payload, and answers when it is queued. It reports
// whether it was accepted.
func (r *Receiver) receive(w http.ResponseWriter, req *http.Request, arrival *listen.Arrival, p *Payload) (accepted bool) {
	if r.maps != nil {
		r.maps.resolve(req.Context(), p)
	}
	entries := &writer{claim: arrival.Claim, json: r.config.LogFormat == formatJSON, labels: r.labels}
	logs, err := entries.entries(p)
	if err != nil {
		r.refuseFor(w, req, err)
		return false
	}
	traces, free, err := r.traces(arrival.Claim, p)
	defer free()
	if err != nil {
		r.refuseFor(w, req, err)
		return false
	}
	r.received.Add(uint64(p.items() + traces.Items))
	ctx := req.Context()
	if r.config.Server.IncludeMetadata {
		ctx = flow.WithMetadata(ctx, flow.Metadata(req.Header))
	}
	if err := r.forward(ctx, logs, traces); err != nil {
		r.server.Tally.RefuseItems("logs", p.items())
		r.server.Tally.RefuseItems("traces", traces.Items)
		r.unaccepted(w, req, err)
		return false
	}
	r.metrics.accept(p)
	r.forwarded.Add(uint64(p.items() + traces.Items))
	r.server.Tally.Accept("logs", p.items())
	r.server.Tally.Accept("traces", traces.Items)
	acknowledge(w)
	return true
}

func acknowledge(w http.ResponseWriter) {
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, "ok") // the client may have disconnected
}

// traces is the request of traces in a payload. free gives back its memory.
func (r *Receiver) traces(claim *listen.Claim, p *Payload) (request pipeline.OTLP, free func(), err error) {
	request.Signal, free = pipeline.SignalTraces, func() {}
	if !p.hasTraces() {
		return request, free, nil
	}
	reader := r.readers.Get().(*wire.JSONReader)
	defer r.readers.Put(reader)
	buffer := wire.NewBuffer(claim, largestPayload)
	unheld, err := reader.Read(pipeline.SignalTraces, bytes.NewReader(p.Traces), buffer)
	if unheld.Values > 0 {
		r.quiet.Warn(r.options.Logger, "unheld", "values of spans are outside the range of their type and are left unset", "values", unheld.Values, "first", unheld.First)
	}
	request.Data, free = buffer.Bytes(), func() { claim.Free(buffer.Bytes()) }
	if err != nil {
		return request, free, err
	}
	items, decoded, err := wire.Measure(pipeline.SignalTraces, request.Data)
	if err == nil && r.decoded > 0 { // with a copy of its strings, and encoded again
		err = claim.Grow(decoded + 2*len(request.Data))
	}
	request.Items = items
	if r.decoded > 1 {
		request = request.Shared()
	}
	return request, free, err
}
