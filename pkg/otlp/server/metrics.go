package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// The transports of servers, as metrics name them.
const (
	TransportGRPC = "grpc"
	TransportHTTP = "http"
)

// Reasons of otelcol_receiver_refused_requests_total.
const (
	refusedMalformed = "malformed"
	refusedTooLarge  = "too_large"
	refusedEncoding  = "encoding"   // of the content or its type
	refusedOverload  = "overload"   // too many bytes in memory at once
	refusedOtherSite = "other_site" // from a page that CORS does not allow
	refusedTooSlow   = "too_slow"   // it trickled in
	refusedQueueFull = "queue_full"
	refusedType      = "content_type" // none that the server decodes
	refusedMethod    = "method"       // not POST
	refusedUnwired   = "unwired"      // a signal without an output
	refusedUnknown   = "unauthenticated"
	refusedProtocol  = "wrong_protocol"
	refusedRejected  = "rejected" // a sink will never accept it
	refusedSink      = "sink"     // any other error of a sink
	refusedStopped   = "stopped"  // it waited when the receiver stopped
)

type metrics struct {
	accepted, refused map[pipeline.Signal]*prometheus.CounterVec // by transport
	refusedRequests   *prometheus.CounterVec                     // by transport and reason
	lost              *prometheus.CounterVec                     // by signal and reason
	droppedValues     *prometheus.CounterVec                     // by signal
	rpcDuration       *prometheus.HistogramVec                   // by service and code
	httpDuration      *prometheus.HistogramVec                   // by method and code
}

func newMetrics(a Accepts, r prometheus.Registerer) *metrics {
	m := &metrics{
		accepted: make(map[pipeline.Signal]*prometheus.CounterVec),
		refused:  make(map[pipeline.Signal]*prometheus.CounterVec),
		refusedRequests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otelcol_receiver_refused_requests_total",
			Help: "Requests that were not accepted, by reason. Items are counted only for requests that could be read.",
		}, []string{"transport", "reason"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otelcol_receiver_lost_items_total",
			Help: "Items that one of several destinations accepted and another did not.",
		}, []string{"signal", "reason"}),
		droppedValues: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otelcol_receiver_dropped_values_total",
			Help: "Values in JSON that were dropped because their field cannot hold them; the rest of the request was accepted.",
		}, []string{"signal"}),
		rpcDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rpc_server_duration_milliseconds", Help: "Duration of the gRPC requests received.", Buckets: flow.DurationBuckets(),
		}, []string{"rpc_system", "rpc_service", "rpc_method", "rpc_grpc_status_code"}),
		httpDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_server_duration_milliseconds", Help: "Duration of the HTTP requests received.", Buckets: flow.DurationBuckets(),
		}, []string{"http_method", "http_scheme", "http_status_code"}),
	}
	receiver := prometheus.Labels{"receiver": a.Receiver}
	for _, s := range a.Signals {
		m.accepted[s] = prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otelcol_receiver_accepted_" + flow.Items(s) + "_total", Help: "Items that were queued.",
			ConstLabels: receiver,
		}, []string{"transport"})
		m.refused[s] = prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otelcol_receiver_refused_" + flow.Items(s) + "_total", Help: "Items that could not be queued; their sender got an error.",
			ConstLabels: receiver,
		}, []string{"transport"})
		r.MustRegister(m.accepted[s], m.refused[s])
	}
	r.MustRegister(m.refusedRequests, m.lost, m.droppedValues, m.rpcDuration, m.httpDuration)
	return m
}
