// Package server is what receivers of OpenTelemetry have in common: servers of HTTP and
// gRPC whose clients are bounded in what they cost, and the way of a request to the
// sinks. What a request is made of is its receiver's.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/otlp/auth"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

// maxInFlight bounds the memory of a receiver's requests; above it, senders are asked to
// retry.
const maxInFlight = 64 << 20

// RetryAfter is when a refused sender is told to come back. SDKs give up 10 s
// after the first try: they come back three times, the last time after 9 s. By
// its own back-off, or told 5 s, JavaScript's would come for the last time after
// 8 s or 5 s.
const RetryAfter = 3 * time.Second

// errOverload says that a receiver holds as many bytes as it may.
var errOverload = errors.New("the receiver has reached its limit of concurrent requests; send again later")

// Intake takes the requests of all transports of a receiver.
type Intake struct {
	// Budget is what the requests of the receiver take of the memory.
	Budget *listen.Budget
	// Tally counts what clients have sent.
	Tally *listen.Tally

	output  flow.Output
	sinks   map[pipeline.Signal]*flow.Fanout // of the wired signals
	metrics *metrics
	logger  *slog.Logger

	refusals, lossy throttle.Log
}

// Sender is who sent a request.
type Sender struct {
	Transport string // as metrics name it
	Client    string // its address, HOST:PORT
}

// Accepts are what a receiver accepts.
type Accepts struct {
	Receiver   string // as metrics name it: "otlp"
	Signals    []pipeline.Signal
	Transports []string // as metrics name them
}

// NewIntake makes the intake of a receiver, with its metrics. o has its defaults.
func NewIntake(a Accepts, output flow.Output, o component.Options) *Intake {
	in := &Intake{
		Budget: listen.NewBudget(listen.WithinMemory(maxInFlight)),
		output: output, sinks: make(map[pipeline.Signal]*flow.Fanout), metrics: newMetrics(a, o.Metrics), logger: o.Logger,
	}
	var wired []string
	for _, s := range a.Signals {
		if sinks := output.Sinks(s); len(sinks) > 0 {
			wired = append(wired, string(s))
			in.sinks[s] = flow.NewFanout(s, sinks, in.metrics.lost, o.Logger)
			for _, transport := range a.Transports {
				in.metrics.accepted[s].WithLabelValues(transport)
				in.metrics.refused[s].WithLabelValues(transport)
			}
		}
	}
	in.Tally = listen.NewTally(wired...)
	return in
}

// Wired reports whether the receiver has an output for a signal.
func (in *Intake) Wired(s pipeline.Signal) bool { return in.sinks[s] != nil }

// ErrTooMuchWork says that spans have too many tags.
var ErrTooMuchWork = fmt.Errorf("%w: thousands of tags of one span are too much work", wire.ErrTooLarge)

// usualGrowth is how many times its size a request may grow when it is decoded without
// being charged for it, as requests of SDKs do, if only destinations and viewers come
// after the receiver.
const usualGrowth = 8

// Payload is what a request carries: bytes, or what was made of another protocol's.
type Payload struct {
	// Data is a request of OTLP in protobuf, of the request's claim. It is not kept.
	Data []byte
	// Traces are what was decoded instead; what they take is claimed, and theirs is
	// whoever gets them. Nil: Data is what there is.
	Traces *ptrace.Traces
	// Unheld is what of the request was lost on the way.
	Unheld wire.Unheld
}

// decoded is what decode returns. A library that panics must not end the program, nor
// cut a connection without a word.
func decoded(decode func() (Payload, error)) (p Payload, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = pipeline.Permanent(fmt.Errorf("the request cannot be decoded: %v", r))
		}
	}()
	return decode()
}

// Take checks a request and writes it to the signal's sinks, under the claim for
// its bytes. Its error is permanent, or wire.ErrTooLarge, when the sender is at fault.
func (in *Intake) Take(ctx context.Context, s pipeline.Signal, p Payload, claim *listen.Claim, from Sender) error {
	if p.Traces == nil {
		return in.takeBytes(ctx, s, p.Data, claim, from)
	}
	if p.Traces.SpanCount() == 0 {
		return nil
	}
	if in.sinks[s].Reads() {
		ctx = flow.WithAddress(ctx, from.Client)
	}
	return in.write(ctx, pipeline.OTLP{}.With(s, pipeline.Decoded{Traces: *p.Traces}), from)
}

func (in *Intake) takeBytes(ctx context.Context, s pipeline.Signal, data []byte, claim *listen.Claim, from Sender) error {
	items, decoded, err := wire.Measure(s, data)
	if err != nil {
		return in.Refuse(from, refusedMalformed, pipeline.Permanent(err))
	}
	out := in.sinks[s]
	excess := max(0, decoded-usualGrowth*len(data))
	if out.Reads() { // it will be decoded, with a copy of its strings, and encoded again
		excess = decoded + 2*len(data)
		ctx = flow.WithAddress(ctx, from.Client)
	}
	if err := claim.Grow(excess); err != nil {
		in.refuseItems(s, from.Transport, items)
		if errors.Is(err, listen.ErrTooLarge) {
			return in.Refuse(from, refusedTooLarge, fmt.Errorf("%w: decoded, its %d items and what they hold are many times its %d bytes; send smaller batches", wire.ErrTooLarge, items, len(data)))
		}
		return in.Refuse(from, refusedOverload, errOverload)
	}
	defer claim.Shrink(excess)
	return in.write(ctx, pipeline.OTLP{Signal: s, Data: data, Items: items}, from)
}

// Keep is for what no sender sends again: decode makes a payload of it, under its claim,
// and it is given to each sink until that accepts it, or ctx ends. What is lost is
// counted, and is in the log.
func (in *Intake) Keep(ctx context.Context, s pipeline.Signal, claim *listen.Claim, from Sender, decode func(*listen.Claim) (Payload, error)) {
	defer claim.Release()
	p, err := in.decodeInTime(ctx, claim, decode)
	if err != nil {
		reason := refusedMalformed
		switch {
		case errors.Is(err, listen.ErrNoRoom), errors.Is(err, listen.ErrGone):
			reason = refusedStopped
		case errors.Is(err, listen.ErrTooLarge), errors.Is(err, ErrTooMuchWork):
			reason = refusedTooLarge
		}
		_ = in.Refuse(from, reason, err)
		return
	}
	if p.Traces.SpanCount() == 0 {
		return
	}
	ctx = flow.WithAddress(ctx, from.Client)
	request := pipeline.OTLP{}.With(s, pipeline.Decoded{Traces: *p.Traces}).Shared()
	sinks, rejected := in.output.Sinks(s), 0
	next, err := pipeline.UntilAccepted(ctx, sinks, 0, func(ctx context.Context, sink pipeline.OTLPSink) error {
		return sink.WriteOTLP(ctx, request)
	}, pipeline.Notify{Refused: func(_ int, err error) {
		rejected++
		_ = in.Refuse(from, refusedRejected, err)
		in.metrics.lost.WithLabelValues(string(s), refusedRejected).Add(float64(request.Items))
	}})
	for range sinks[next:] {
		_ = in.Refuse(from, refusedStopped, err)
		in.metrics.lost.WithLabelValues(string(s), refusedStopped).Add(float64(request.Items))
	}
	if lost := rejected + len(sinks) - next; lost == len(sinks) {
		in.refuseItems(s, from.Transport, request.Items)
		return
	}
	in.accept(s, from.Transport, request.Items)
}

// decodeInTime decodes what there is no room for as soon as there is.
func (in *Intake) decodeInTime(ctx context.Context, claim *listen.Claim, decode func(*listen.Claim) (Payload, error)) (Payload, error) {
	claim.Until(ctx.Done())
	for {
		claim.Wait(roomTime)
		claim.Counted() // the sender waits for nothing
		p, err := decoded(func() (Payload, error) { return decode(claim) })
		if err == nil || !errors.Is(err, listen.ErrNoRoom) || ctx.Err() != nil {
			return p, err
		}
		claim.Release()
	}
}

// accept counts items that were queued.
func (in *Intake) accept(s pipeline.Signal, transport string, items int) {
	in.metrics.accepted[s].WithLabelValues(transport).Add(float64(items))
	in.Tally.Accept(string(s), items)
}

// write writes a request to the sinks, and counts it.
func (in *Intake) write(ctx context.Context, request pipeline.OTLP, from Sender) error {
	s, items := request.Signal, request.Items
	if err := in.sinks[s].WriteOTLP(ctx, request); err != nil {
		in.refuseItems(s, from.Transport, items)
		reason := refusedSink
		switch {
		case errors.Is(err, pipeline.ErrFull):
			reason = refusedQueueFull
		case errors.Is(err, pipeline.ErrOverload):
			reason = refusedOverload
		case pipeline.IsPermanent(err):
			reason = refusedRejected
		}
		return pipeline.ForClient(in.Refuse(from, reason, err))
	}
	in.accept(s, from.Transport, items)
	return nil
}

// refuseItems counts the items of a request that is not accepted.
func (in *Intake) refuseItems(s pipeline.Signal, transport string, items int) {
	in.metrics.refused[s].WithLabelValues(transport).Add(float64(items))
	in.Tally.RefuseItems(string(s), items)
}

// Refuse counts and logs a request that is not taken, and returns err.
func (in *Intake) Refuse(from Sender, reason string, err error) error {
	in.count(from, reason, err)
	in.refusals.Log(in.logger, slog.LevelWarn, from.Transport+reason, "request rejected",
		"transport", from.Transport, "client", from.Client, "reason", reason, "err", err)
	return err
}

// unknownClient is the error of a client that does not authenticate.
type unknownClient struct{ error }

// authenticate returns what a handler, which may be nil, knows of a client by the
// headers of a request, or why it refuses it.
func (in *Intake) authenticate(h *auth.Handler, headers flow.Metadata, from Sender) (known map[string]string, err error) {
	server := h.Server()
	if server == nil {
		return nil, nil
	}
	if known, err = server.Authenticate(headers); err != nil {
		return nil, in.Refuse(from, refusedUnknown, unknownClient{err})
	}
	return known, nil
}

// count counts a request that is not accepted, and that is logged elsewhere.
func (in *Intake) count(from Sender, reason string, err error) {
	in.metrics.refusedRequests.WithLabelValues(from.Transport, reason).Inc()
	in.Tally.Refuse(reason, from.Client, err)
}

// lostIn counts and logs the parts of a request that could not be represented.
func (in *Intake) lostIn(s pipeline.Signal, u wire.Unheld, from Sender) wire.Partial {
	if u.Values == 0 {
		return wire.Partial{}
	}
	in.metrics.droppedValues.WithLabelValues(string(s)).Add(float64(u.Values))
	in.refuseItems(s, from.Transport, u.Items)
	in.lossy.Log(in.logger, slog.LevelWarn, string(s), "a client sends values that their fields cannot hold; they were dropped, and the rest was accepted",
		"signal", s, "client", from.Client, "values", u.Values, "items", u.Items, "first", u.First)
	return wire.Partial{Items: u.Items, Message: fmt.Sprintf("%d values were dropped because their fields cannot hold them; the first: %s", u.Values, u.First)}
}
