package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

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

// retryAfter is when a refused sender is asked to retry. SDKs give up 10 s after the
// first attempt: they retry three times, the last time after 9 s. With its own back-off,
// or with 5 s, the last retry of JavaScript's would be after 8 s or 5 s.
const retryAfter = 3 * time.Second

// errOverload says that a receiver holds as many bytes as it may.
var errOverload = errors.New("the receiver has reached its limit of concurrent requests; send again later")

// intake accepts the requests of both transports of a receiver.
type intake struct {
	sinks    map[pipeline.Signal]*flow.Fanout // of the wired signals
	metrics  *metrics
	logger   *slog.Logger
	inFlight *listen.Budget
	tally    *listen.Tally

	refusals, lossy throttle.Log
}

// sender is who sent a request.
type sender struct{ transport, client string }

// newIntake makes the intake of a receiver.
func newIntake(output flow.Output, m *metrics, logger *slog.Logger) *intake {
	in := &intake{sinks: make(map[pipeline.Signal]*flow.Fanout), metrics: m, logger: logger, inFlight: listen.NewBudget(listen.WithinMemory(maxInFlight))}
	var wired []string
	for _, s := range flow.Signals() {
		if sinks := output.Sinks(s); len(sinks) > 0 {
			wired = append(wired, string(s))
			in.sinks[s] = flow.NewFanout(s, sinks, m.lost, logger)
			for _, transport := range []string{transportGRPC, transportHTTP} {
				m.accepted[s].WithLabelValues(transport)
				m.refused[s].WithLabelValues(transport)
			}
		}
	}
	in.tally = listen.NewTally(wired...)
	return in
}

// usualGrowth is how many times its size a request may grow when it is decoded without
// being charged for it, as requests of SDKs do, if only destinations and viewers come
// after the receiver.
const usualGrowth = 8

// take checks a request and writes it to the signal's sinks, under the claim for
// its bytes. It keeps nothing of data. Its error is permanent, or wire.ErrTooLarge,
// when the sender is at fault.
func (in *intake) take(ctx context.Context, s pipeline.Signal, data []byte, claim *listen.Claim, from sender) error {
	items, decoded, err := wire.Measure(s, data)
	if err != nil {
		return in.refuse(from, refusedMalformed, pipeline.Permanent(err))
	}
	out := in.sinks[s]
	excess := max(0, decoded-usualGrowth*len(data))
	if out.Reads() { // it will be decoded, with a copy of its strings, and encoded again
		excess = decoded + 2*len(data)
		ctx = flow.WithAddress(ctx, from.client)
	}
	if err := claim.Grow(excess); err != nil {
		in.refuseItems(s, from.transport, items)
		if errors.Is(err, listen.ErrTooLarge) {
			return in.refuse(from, refusedTooLarge, fmt.Errorf("%w: decoded, its %d items and what they hold are many times its %d bytes; send smaller batches", wire.ErrTooLarge, items, len(data)))
		}
		return in.refuse(from, refusedOverload, errOverload)
	}
	defer claim.Shrink(excess)
	err = out.WriteOTLP(ctx, pipeline.OTLP{Signal: s, Data: data, Items: items})
	if err != nil {
		in.refuseItems(s, from.transport, items)
		reason := refusedSink
		switch {
		case errors.Is(err, pipeline.ErrFull):
			reason = refusedQueueFull
		case errors.Is(err, pipeline.ErrOverload):
			reason = refusedOverload
		case pipeline.IsPermanent(err):
			reason = refusedRejected
		}
		return pipeline.ForClient(in.refuse(from, reason, err))
	}
	in.metrics.accepted[s].WithLabelValues(from.transport).Add(float64(items))
	in.tally.Accept(string(s), items)
	return nil
}

// refuseItems counts the items of a request that is not accepted.
func (in *intake) refuseItems(s pipeline.Signal, transport string, items int) {
	in.metrics.refused[s].WithLabelValues(transport).Add(float64(items))
	in.tally.RefuseItems(string(s), items)
}

// refuse counts and logs a request that is not accepted, and returns err.
func (in *intake) refuse(from sender, reason string, err error) error {
	in.count(from, reason, err)
	in.refusals.Log(in.logger, slog.LevelWarn, from.transport+reason, "request rejected",
		"transport", from.transport, "client", from.client, "reason", reason, "err", err)
	return err
}

// unknownClient is the error of a client that does not authenticate.
type unknownClient struct{ error }

// authenticate returns what a handler, which may be nil, knows of a client by the
// headers of a request, or why it refuses it.
func (in *intake) authenticate(h *auth.Handler, headers flow.Metadata, from sender) (known map[string]string, err error) {
	server := h.Server()
	if server == nil {
		return nil, nil
	}
	if known, err = server.Authenticate(headers); err != nil {
		return nil, in.refuse(from, refusedUnknown, unknownClient{err})
	}
	return known, nil
}

// count counts a request that is not accepted, and that is logged elsewhere.
func (in *intake) count(from sender, reason string, err error) {
	in.metrics.refusedRequests.WithLabelValues(from.transport, reason).Inc()
	in.tally.Refuse(reason, from.client, err)
}

// lostIn counts and logs the parts of a request that could not be represented.
func (in *intake) lostIn(s pipeline.Signal, u wire.Unheld, client string) wire.Partial {
	if u.Values == 0 {
		return wire.Partial{}
	}
	in.metrics.droppedValues.WithLabelValues(string(s)).Add(float64(u.Values))
	in.refuseItems(s, transportHTTP, u.Items)
	in.lossy.Log(in.logger, slog.LevelWarn, string(s), "a client sends values that their fields cannot hold; they were dropped, and the rest was accepted",
		"signal", s, "client", client, "values", u.Values, "items", u.Items, "first", u.First)
	return wire.Partial{Items: u.Items, Message: fmt.Sprintf("%d values were dropped because their fields cannot hold them; the first: %s", u.Values, u.First)}
}
