// Package pipeline is what flows between components: log entries, samples, OTLP requests
// and profiles, and the four sinks that accept them.
//
// Every sink keeps one contract:
//
//   - nil means durable: what was given has been written to a queue on disk,
//     or was dropped on purpose and counted with a reason.
//   - A sink that is full blocks until there is room or ctx ends, or fails at
//     once; its owner's policy says which. Either error is retryable: the
//     caller still owns the data.
//   - An error made by Permanent says that the data itself is unacceptable and
//     that giving it again is of no use.
//   - A sink keeps nothing that it was given: the caller may reuse every slice
//     as soon as the call returns. The exceptions are immutable values: strings,
//     labels.Labels and *Series.
//   - Sinks are safe for concurrent use.
package pipeline

import (
	"context"
	"errors"
)

// LogsSink accepts log entries.
type LogsSink interface {
	WriteLogs(ctx context.Context, logs Logs) error
}

// MetricsSink accepts samples as they come from scrapes.
type MetricsSink interface {
	WriteMetrics(ctx context.Context, metrics Metrics) error
}

// OTLPSink accepts OTLP export requests.
type OTLPSink interface {
	WriteOTLP(ctx context.Context, request OTLP) error
}

// ProfilesSink accepts profiles as clients pushed them.
type ProfilesSink interface {
	WriteProfile(ctx context.Context, profile Profile) error
}

// ErrFull is returned, possibly wrapped, by a sink that refuses data because
// its queue holds as much as it may. It is retryable.
var ErrFull = errors.New("the queue is full")

// ErrClosed is returned, possibly wrapped, by a sink that has been stopped. It
// is retryable: a reload puts another sink in its place.
var ErrClosed = errors.New("the component has stopped")

// ErrOverload is returned, possibly wrapped, by a sink that refuses data because the
// program is short of memory. It is retryable.
var ErrOverload = errors.New("the collector is short of memory")

type permanentError struct{ err error }

func (e permanentError) Error() string { return e.err.Error() }
func (e permanentError) Unwrap() error { return e.err }

// Permanent marks err as one that no retry of the same data can fix.
func Permanent(err error) error { return permanentError{err} }

// IsPermanent reports whether err was marked by Permanent.
func IsPermanent(err error) bool {
	var p permanentError
	return errors.As(err, &p)
}

// unstored is a failure of a sink in a form that a remote client may see.
type unstored struct {
	text string
	err  error
}

func (e unstored) Error() string { return e.text }
func (e unstored) Unwrap() error { return e.err }

// ForClient is the error of a sink with a text that may be sent to a remote client:
// without the paths and names of the machine, which are for the log. Errors for which
// IsPermanent is true are about the client's own data and stay as they are.
func ForClient(err error) error {
	switch {
	case err == nil || IsPermanent(err):
		return err
	case errors.Is(err, ErrFull):
		return unstored{"the queue is full; send again later", err}
	case errors.Is(err, ErrOverload):
		return unstored{"the collector is short of memory; send again later", err}
	case errors.Is(err, ErrClosed):
		return unstored{"the collector is stopping or reloading; send again", err}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return unstored{"the queue did not accept the data in time; send again", err}
	}
	return unstored{"the data could not be queued (see the collector's log); send again later", err}
}
