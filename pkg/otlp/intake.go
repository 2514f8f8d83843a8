package otlp

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/pipeline"
)

// maxInFlight bounds the bytes of the requests that a receiver holds in memory
// while their sinks take them; above it, senders are told to come back. One
// request is always let in.
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
	inFlight atomic.Int64 // bytes

	refusals notice
}

// newIntake makes the intake of a receiver.
func newIntake(output Output, m *receiverMetrics, logger *slog.Logger) *intake {
	in := &intake{sinks: make(map[pipeline.Signal]*fanout), metrics: m, logger: logger}
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

// take checks a request and writes it to the signal's sinks. It keeps nothing
// of data. Its error is permanent when the sender is at fault.
func (in *intake) take(ctx context.Context, s pipeline.Signal, data []byte, transport string) error {
	items, err := walk(s, data)
	if err != nil {
		return in.refuse(transport, refusedMalformed, pipeline.Permanent(err))
	}
	size := int64(len(data))
	if in.inFlight.Add(size) > maxInFlight+size {
		in.inFlight.Add(-size)
		in.metrics.refused[s].WithLabelValues(transport).Add(float64(items))
		return in.refuse(transport, refusedOverload, errOverload)
	}
	defer in.inFlight.Add(-size)
	err = in.sinks[s].WriteOTLP(ctx, pipeline.OTLP{Signal: s, Data: data, Items: items})
	if err != nil {
		in.metrics.refused[s].WithLabelValues(transport).Add(float64(items))
		reason := refusedSink
		if errors.Is(err, pipeline.ErrFull) {
			reason = refusedQueueFull
		}
		return in.refuse(transport, reason, err)
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

// patience is how long a request that one sink has taken is offered to
// another that is being replaced.
const (
	patience      = 5 * time.Second
	offerInterval = 50 * time.Millisecond
)

// WriteOTLP writes request to every sink. It fails only when no sink has taken
// the request. Once one has, an error would make the client send it again and
// that sink store it twice; so what another one does not take then is lost for
// that one alone, and counted: no destination delays another.
func (f *fanout) WriteOTLP(ctx context.Context, request pipeline.OTLP) error {
	if len(f.sinks) == 1 {
		return f.sinks[0].WriteOTLP(ctx, request)
	}
	var errs []error
	var refusing []pipeline.OTLPSink
	for _, s := range f.sinks {
		if err := s.WriteOTLP(ctx, request); err != nil {
			errs = append(errs, err)
			refusing = append(refusing, s)
		}
	}
	if len(refusing) == len(f.sinks) {
		return errors.Join(errs...)
	}
	for i, s := range refusing {
		if err := offer(ctx, s, request, errs[i]); err != nil {
			f.lose(request, err)
		}
	}
	return nil
}

// offer gives request again to a sink that refused it with err, as long as
// waiting may help: a queue that is full stays so for as long as its
// destination is down.
func offer(ctx context.Context, s pipeline.OTLPSink, request pipeline.OTLP, err error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(offerInterval)
	defer tick.Stop()
	for err != nil && !pipeline.IsPermanent(err) && !errors.Is(err, pipeline.ErrFull) {
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
			err = s.WriteOTLP(ctx, request)
		}
	}
	return err
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
