package faro

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/httpserver"
	"collector/pkg/listen"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

// Reasons for which requests are refused, and items lost.
const (
	reasonMalformed  = "malformed"
	reasonTooLarge   = "too_large"
	reasonOverload   = "overload" // too many bytes in memory at once
	reasonTooSlow    = "too_slow" // it trickled in
	reasonUnreadable = "body_unreadable"
	reasonOtherSite  = "other_site"
	reasonKey        = "api_key"
	reasonRate       = "rate_limit"

	reasonQueueFull   = httpserver.QueueFull
	reasonQueueFailed = httpserver.QueueFailed
	reasonStopped     = httpserver.Stopped
	reasonClientGone  = httpserver.ClientGone
	reasonRejected    = httpserver.Rejected
	reasonNoOutput    = "no_output"
)

// The exporters of Alloy's metric for errors.
const logsExporter, tracesExporter = "logs exporter", "traces exporter"

// metrics count items; the server counts requests. All but the last three have Alloy's
// names.
type metrics struct {
	logs, exceptions, measurements, events prometheus.Counter

	errors  *prometheus.CounterVec // by exporter
	refused *prometheus.CounterVec // by reason
	lost    *prometheus.CounterVec // by signal and reason

	repeated prometheus.Counter // requests
}

func newMetrics(reg prometheus.Registerer) *metrics {
	count := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "faro_receiver_" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "faro_receiver_" + name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	m := &metrics{
		logs:         count("logs_total", "Logs that were accepted."),
		exceptions:   count("exceptions_total", "Exceptions that were accepted."),
		measurements: count("measurements_total", "Measurements that were accepted."),
		events:       count("events_total", "Events that were accepted."),
		errors:       vec("exporter_errors_total", "Payloads that an output did not accept, by kind of output.", "exporter"),
		refused:      vec("refused_requests_total", "Requests that were not accepted, by reason; the client got an error.", "reason"),
		repeated:     count("repeated_requests_total", "Requests that were sent again after they had been accepted, by their Idempotency-Key; nothing of them is stored again."),
		lost:         vec("lost_items_total", "Items that one of several outputs accepted and another did not, or that have no output.", "signal", "reason"),
	}
	for _, reason := range []string{reasonMalformed, reasonTooLarge, reasonOverload, reasonQueueFull, reasonRate} {
		m.refused.WithLabelValues(reason) // a rate needs the series before its first event
	}
	return m
}

// accept counts the items of a payload.
func (m *metrics) accept(p *Payload) {
	m.logs.Add(float64(len(p.Logs)))
	m.exceptions.Add(float64(len(p.Exceptions)))
	m.measurements.Add(float64(len(p.Measurements)))
	m.events.Add(float64(len(p.Events)))
}

// output is one of the outputs, and what it is given.
type output struct {
	signal   pipeline.Signal
	exporter string
	items    int
	write    func(context.Context) error
}

// outputs are those that get something.
func (r *Receiver) outputs(logs pipeline.Logs, traces pipeline.OTLP) (out []output) {
	entries := logs.Entries()
	for _, to := range r.config.Output.Logs {
		if entries > 0 {
			out = append(out, output{pipeline.SignalLogs, logsExporter, entries, func(ctx context.Context) error { return to.WriteLogs(ctx, logs) }})
		}
	}
	for _, to := range r.config.Output.Traces {
		if traces.Items > 0 {
			out = append(out, output{pipeline.SignalTraces, tracesExporter, traces.Items, func(ctx context.Context) error { return to.WriteOTLP(ctx, traces) }})
		}
	}
	if len(r.config.Output.Logs) == 0 && entries > 0 {
		r.metrics.lost.WithLabelValues(string(pipeline.SignalLogs), reasonNoOutput).Add(float64(entries))
	}
	if len(r.config.Output.Traces) == 0 && traces.Items > 0 {
		r.metrics.lost.WithLabelValues(string(pipeline.SignalTraces), reasonNoOutput).Add(float64(traces.Items))
	}
	return out
}

// forward gives entries and spans to every output, all at the same time. An error is
// the client's to retry, except one that pipeline.IsPermanent. What one output accepts
// and another does not is lost for that one: a client that got an error would send the
// payload again, and the first would store it twice.
func (r *Receiver) forward(ctx context.Context, logs pipeline.Logs, traces pipeline.OTLP) error {
	out := r.outputs(logs, traces)
	if len(out) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, queueTimeout)
	defer cancel()
	lost := func(i int, err error) {
		r.metrics.errors.WithLabelValues(out[i].exporter).Inc()
		r.metrics.lost.WithLabelValues(string(out[i].signal), httpserver.Failure(err)).Add(float64(out[i].items))
		r.quiet.Warn(r.options.Logger, "lost"+strconv.Itoa(i), "an output did not accept data that another one accepted; it is lost for that one",
			"signal", out[i].signal, "items", out[i].items, "err", err)
	}
	err := pipeline.Pass(ctx, out, func(ctx context.Context, to output) error { return to.write(ctx) }, lost)
	if err != nil {
		for _, to := range out {
			r.metrics.errors.WithLabelValues(to.exporter).Inc()
		}
	}
	return err
}

// refuseFor answers a request that could not be read or decoded.
func (r *Receiver) refuseFor(w http.ResponseWriter, req *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	var connection httpserver.Unread
	switch {
	case errors.Is(err, errKey):
		r.refusals.Answer(w, req, http.StatusUnauthorized, reasonKey, err.Error())
	case errors.Is(err, listen.ErrNoRoom):
		w.Header().Set("Retry-After", retryAfter)
		r.refusals.Answer(w, req, http.StatusServiceUnavailable, reasonOverload, "too much is arriving at once; send again later")
	case errors.Is(err, listen.ErrTooSlow):
		r.refusals.Answer(w, req, http.StatusRequestTimeout, reasonTooSlow, listen.ErrTooSlow.Error())
	case errors.As(err, &tooLarge), errors.Is(err, listen.ErrTooLarge), errors.Is(err, wire.ErrTooLarge):
		r.refusals.Answer(w, req, http.StatusRequestEntityTooLarge, reasonTooLarge, http.StatusText(http.StatusRequestEntityTooLarge))
	case errors.Is(err, listen.ErrGone):
		r.refusals.Count(req, reasonClientGone, err.Error())
	case errors.As(err, &connection):
		r.refusals.Answer(w, req, http.StatusBadRequest, reasonUnreadable, "the request body could not be read: "+err.Error())
	default:
		r.refusals.Answer(w, req, http.StatusBadRequest, reasonMalformed, err.Error())
	}
}

// unaccepted answers a request whose data no output accepts.
func (r *Receiver) unaccepted(w http.ResponseWriter, req *http.Request, err error) {
	if pipeline.IsPermanent(err) {
		r.refusals.Answer(w, req, http.StatusBadRequest, httpserver.Failure(err), err.Error())
		return
	}
	r.refusals.Count(req, httpserver.Failure(err), err.Error())
	w.Header().Set("Retry-After", retryAfter)
	http.Error(w, pipeline.ForClient(err).Error(), http.StatusServiceUnavailable)
}

// tooMany answers a request above the rate limit. SDKs pause then.
func (r *Receiver) tooMany(w http.ResponseWriter, req *http.Request) {
	r.refusals.Answer(w, req, http.StatusTooManyRequests, reasonRate, http.StatusText(http.StatusTooManyRequests))
}

// Receiving is part of inspect.Receiver.
func (r *Receiver) Receiving() listen.Received { return r.server.Receiving() }

// Status is a snapshot of a Receiver for people.
type Status struct {
	Address     string `json:"address"`
	Connections int64  `json:"connections"`
	Received    uint64 `json:"received"`  // items of payloads that could be read
	Forwarded   uint64 `json:"forwarded"` // items
}

// Status returns a Status.
func (r *Receiver) Status() any {
	return Status{r.server.Address(), r.server.Connections(), r.received.Load(), r.forwarded.Load()}
}
