package pipeline

import "time"

// Signal is what an OTLP request carries.
type Signal string

// The signals of OTLP, and profiles. Their values name them in metrics and in
// file names.
const (
	SignalTraces   Signal = "traces"
	SignalMetrics  Signal = "metrics"
	SignalLogs     Signal = "logs"
	SignalProfiles Signal = "profiles"
)

// OTLP is one export request
// (opentelemetry.proto.collector.{trace,metrics,logs}.v1.Export…ServiceRequest).
//
// It is bytes until a component looks into it, and a component that only forwards it
// costs nothing. Read and Own decode it, once for all who have a copy of this value from
// then on; With is what a component has made of it, which goes on decoded, and which
// Bytes encodes, once for all destinations.
//
// Forwarding what With returned gives up ownership, even if the call fails. Call Shared
// before giving one request to several: what one of them changes, the others don't see.
type OTLP struct {
	Signal Signal
	// Data is the request as it came: protobuf, uncompressed and checked to be
	// well formed. It is nil of what a component has made; Bytes is for those who
	// need bytes.
	Data  []byte
	Items int // spans, data points or log records

	// Group keeps requests apart: only requests of an equal group may be
	// merged. It is empty unless a batch processor groups by metadata.
	Group string
	// Batching is the merging that a batch processor on the way has asked
	// for; nil leaves it to the exporter.
	Batching *Batching

	memo *memo // nil: nobody has decoded it
}

// Batching tells an exporter how to merge requests before it sends them.
type Batching struct {
	Timeout  time.Duration // send what is there after this time
	MinItems int           // send at once when so many items wait; 0: no such limit
	MaxItems int           // never more items in one request; 0: no such limit
}

// OTLPReader is an OTLPSink that says whether it, or one behind it, decodes the requests
// of a signal. Requests for several of them are decoded once for all, and whatever bounds
// the memory of requests counts their decoded size.
type OTLPReader interface {
	ReadsOTLP(Signal) bool
}

// ReadsOTLP reports whether a sink is an OTLPReader of the signal.
func ReadsOTLP(sink OTLPSink, s Signal) bool {
	r, ok := sink.(OTLPReader)
	return ok && r.ReadsOTLP(s)
}
