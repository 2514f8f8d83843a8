package otlp

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/listen"
	"collector/pkg/pipeline"
)

// maxInFlight bounds the bytes of the requests that a receiver holds in memory;
// above it, senders are told to come back. By HTTP they count as they arrive, by
// gRPC as is expected of them, and when they have arrived.
const maxInFlight = 64 << 20

// retryAfter is when a refused sender is told to come back.
const retryAfter = 5 * time.Second

// errOverload says that a receiver holds as many bytes as it may.
var errOverload = errors.New("the receiver holds as many requests as it may; send again later")

// intake takes the requests of both transports of a receiver.
type intake struct {
	sinks    map[pipeline.Signal]*fanout // of the wired signals
	metrics  *receiverMetrics
	logger   *slog.Logger
	inFlight *listen.Budget
	// admission is to inFlight, for requests by gRPC.
	admission *admission

	refusals notice
}

// newIntake makes the intake of a receiver.
func newIntake(output Output, m *receiverMetrics, logger *slog.Logger) *intake {
	in := &intake{sinks: make(map[pipeline.Signal]*fanout), metrics: m, logger: logger, inFlight: listen.NewBudget(listen.WithinMemory(maxInFlight))}
	in.admission = newAdmission(in.inFlight)
	for _, s := range signals() {
		if sinks := output.sinks(s); len(sinks) > 0 {
			in.sinks[s] = &fanout{sinks: sinks, lost: m.lost, logger: logger}
			for _, transport := range []string{transportGRPC, transportHTTP} {
				m.accepted[s].WithLabelValues(transport)
				m.refused[s].WithLabelValues(transport)
			}
		}
	}
	return in
}

// take checks a request and writes it to the signal's sinks, if it is within
// what may be in flight. It keeps nothing of data. Its error is permanent when
// the sender is at fault.
func (in *intake) take(ctx context.Context, s pipeline.Signal, data []byte, within bool, transport string) error {
	items, err := walk(s, data)
	if err != nil {
		return in.refuse(transport, refusedMalformed, pipeline.Permanent(err))
	}
	if !within {
		in.metrics.refused[s].WithLabelValues(transport).Add(float64(items))
		return in.refuse(transport, refusedOverload, errOverload)
	}
	err = in.sinks[s].WriteOTLP(ctx, pipeline.OTLP{Signal: s, Data: data, Items: items})
	if err != nil {
		in.metrics.refused[s].WithLabelValues(transport).Add(float64(items))
		reason := refusedSink
		if errors.Is(err, pipeline.ErrFull) {
			reason = refusedQueueFull
		}
		return pipeline.ForClient(in.refuse(transport, reason, err))
	}
	in.metrics.accepted[s].WithLabelValues(transport).Add(float64(items))
	return nil
}

// refuse counts and logs a request that is not taken, and returns err.
func (in *intake) refuse(transport, reason string, err error) error {
	in.metrics.refusedRequests.WithLabelValues(transport, reason).Inc()
	in.refusals.log(in.logger, slog.LevelWarn, "request refused", "transport", transport, "reason", reason, "err", err)
	return err
}

// fanout writes each request to several sinks.
type fanout struct {
	sinks  []pipeline.OTLPSink
	lost   *prometheus.CounterVec // by signal and reason
	logger *slog.Logger
	losses notice
}

// WriteOTLP writes request to every sink, see pipeline.WriteAll.
func (f *fanout) WriteOTLP(ctx context.Context, request pipeline.OTLP) error {
	return pipeline.WriteAll(ctx, f.sinks,
		func(ctx context.Context, s pipeline.OTLPSink) error { return s.WriteOTLP(ctx, request) },
		func(err error) { f.lose(request, err) })
}

func (f *fanout) lose(request pipeline.OTLP, err error) {
	reason := refusedSink
	switch {
	case errors.Is(err, pipeline.ErrFull):
		reason = refusedQueueFull
	case pipeline.IsPermanent(err):
		reason = "rejected"
	}
	f.lost.WithLabelValues(string(request.Signal), reason).Add(float64(request.Items))
	f.losses.log(f.logger, slog.LevelError, "one of several destinations did not take a request that another took; it is lost for that one",
		"signal", request.Signal, "items", request.Items, "err", err)
}
