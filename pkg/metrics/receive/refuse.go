package receive

import (
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/httpserver"
	"collector/pkg/listen"
)

// Reasons for which requests are refused, and samples dropped or lost.
const (
	reasonMalformed  = "malformed"
	reasonEncoding   = "encoding" // of the content, or its type
	reasonTooLarge   = "too_large"
	reasonOverload   = "overload" // too many bytes in memory at once
	reasonTooSlow    = "too_slow" // it trickled in
	reasonUnreadable = "body_unreadable"
	reasonOtherSite  = "other_site"

	reasonQueueFull   = httpserver.QueueFull
	reasonQueueFailed = httpserver.QueueFailed
	reasonStopped     = httpserver.Stopped
	reasonClientGone  = httpserver.ClientGone
	reasonRejected    = httpserver.Rejected

	reasonInvalid       = "invalid" // labels or a histogram that nobody can store
	reasonLabelsTooLong = "labels_too_long"
	reasonNoDestination = "no_destination"
)

// refuseFor answers a request that could not be read or decoded.
func (r *Receive) refuseFor(w http.ResponseWriter, req *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	var broken httpserver.Unread
	switch {
	case errors.Is(err, listen.ErrNoRoom):
		w.Header().Set("Retry-After", retryAfter)
		r.refusals.Answer(w, req, http.StatusServiceUnavailable, reasonOverload, "too many samples are arriving at once; send again later")
	case errors.Is(err, listen.ErrTooSlow):
		r.refusals.Answer(w, req, http.StatusRequestTimeout, reasonTooSlow, listen.ErrTooSlow.Error())
	case errors.Is(err, listen.ErrTooLarge):
		r.refusals.Answer(w, req, http.StatusRequestEntityTooLarge, reasonTooLarge, err.Error()+"; send smaller batches, or give the collector more memory")
	case errors.As(err, &tooLarge), errors.Is(err, errTooLarge):
		r.refusals.Answer(w, req, http.StatusRequestEntityTooLarge, reasonTooLarge, "the request is too large, packed or unpacked: send smaller batches")
	case errors.Is(err, errEncoding):
		r.refusals.Answer(w, req, http.StatusUnsupportedMediaType, reasonEncoding, err.Error())
	case errors.As(err, &broken):
		r.refusals.Answer(w, req, http.StatusBadRequest, reasonUnreadable, "the request body could not be read: "+err.Error())
	default:
		r.refusals.Answer(w, req, http.StatusBadRequest, reasonMalformed, err.Error())
	}
}

// metrics count samples; the server counts requests. The first two have Alloy's
// names.
type metrics struct {
	fanoutLatency          prometheus.Histogram
	forwarded              prometheus.Counter
	refused, dropped, lost *prometheus.CounterVec // by reason
	exemplars              *prometheus.CounterVec // that were dropped, by reason
}

func newMetrics(reg prometheus.Registerer) *metrics {
	byReason := func(name, help string, reasons ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "prometheus_receive_http_" + name, Help: help}, []string{"reason"})
		for _, reason := range reasons { // a rate needs the series before its first event
			c.WithLabelValues(reason)
		}
		return c
	}
	m := &metrics{
		fanoutLatency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "prometheus_fanout_latency", Help: "Time in seconds to forward a request to all receivers.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		forwarded: prometheus.NewCounter(prometheus.CounterOpts{Name: "prometheus_forwarded_samples_total", Help: "Samples forwarded to receivers."}),
		refused: byReason("refused_requests_total", "Requests that were rejected, by reason; the client got an error.",
			reasonMalformed, reasonTooLarge, reasonOverload, reasonQueueFull),
		dropped: byReason("dropped_samples_total", "Samples of answered requests that were not forwarded, by reason.",
			reasonInvalid, reasonNoDestination),
		lost: byReason("lost_samples_total", "Samples that one of several receivers accepted and another did not, by reason.",
			reasonQueueFull, reasonRejected),
		exemplars: byReason("dropped_exemplars_total", "Exemplars of answered requests that were not forwarded, by reason.",
			reasonInvalid, reasonLabelsTooLong),
	}
	reg.MustRegister(m.fanoutLatency, m.forwarded, m.refused, m.dropped, m.lost, m.exemplars)
	return m
}

func (m *metrics) drop(reason string, samples int) {
	if samples > 0 {
		m.dropped.WithLabelValues(reason).Add(float64(samples))
	}
}
