// Package translate bounds what the libraries that translate requests of other
// protocols into OTLP cost. They decode a request whole, into many times its size where
// someone means it to be, and look for each tag among those before it. So a request is
// weighed before it is decoded.
package translate

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/listen"
	"collector/pkg/otlp/server"
	"collector/pkg/pipeline"
)

const (
	// freeTags are as many tags of a span as are never too many.
	freeTags = 1024
	// mostWork bounds how often a tag is compared with another, in a request, where
	// a span has more than that. It takes a tenth of a second.
	mostWork = 1 << 26
)

// Weight is what it costs to translate a request.
type Weight struct {
	// Memory is how many bytes are made of it, beside its own, until it is queued.
	Memory int
	work   int
}

// AddTags records all tags of one span, log or process.
func (w *Weight) AddTags(n int) {
	if n > freeTags {
		w.work += n * n
	}
}

// Check returns server.ErrTooMuchWork where the work is too much.
func (w *Weight) Check() error {
	if w.work > mostWork {
		return server.ErrTooMuchWork
	}
	return nil
}

// Traces translates a request whose weight is w, under its claim. Its error is
// permanent, or of listen.
func Traces(claim *listen.Claim, w Weight, translate func() (ptrace.Traces, error)) (server.Payload, error) {
	if err := w.Check(); err != nil {
		return server.Payload{}, err
	}
	if err := claim.Grow(w.Memory); err != nil {
		return server.Payload{}, err
	}
	traces, err := translate()
	if err != nil {
		return server.Payload{}, pipeline.Permanent(err)
	}
	return server.Payload{Traces: &traces}, nil
}
