package tailsampling

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"collector/pkg/listen"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

const (
	// maxEvaluated is how many bytes of a trace the policies see, at most, unless one
	// request had more.
	maxEvaluated = 16 << 20
	// maxForwarded is how many bytes of a trace are forwarded at once, at most, unless one
	// request had more.
	maxForwarded = 4 << 20
	// maxDecoded is how much memory what is read of a trace takes, at most, once a policy
	// or an output has decoded it, unless one request takes more.
	maxDecoded = 128 << 20
)

// mostDecoded is maxDecoded, or less where memory is limited.
func mostDecoded() int { return int(2 * listen.WithinMemory(maxDecoded/2)) }

// round decides on the traces that are due, or, at the end, on all.
func (p *Processor) round(ctx context.Context, end bool) {
	began := time.Now()
	for p.forwardLate(ctx) {
		p.mu.Lock()
		h := p.table.next(began, end)
		p.mu.Unlock()
		if h == nil {
			break
		}
		if !p.decide(ctx, h) {
			return
		}
	}
	p.metrics.rounds.Observe(float64(time.Since(began).Milliseconds()))
}

// decide decides on a trace, and forwards it if it is sampled. It reports whether the
// outputs have it, or it is dropped.
func (p *Processor) decide(ctx context.Context, h *held) bool {
	p.mu.Lock()
	refs, spans := slices.Clip(h.refs), h.spans
	p.mu.Unlock()
	reason := reasonNotSampled
	v, err := p.evaluate(ctx, h, refs, spans)
	if err != nil {
		p.failures.Log(p.logger, slog.LevelError, "", "spans that were held cannot be read; their trace is lost", "spans", spans, "err", err)
		p.emitter.Lose(pipeline.OTLP{Signal: pipeline.SignalTraces, Items: int(spans)}, "unreadable")
		reason = ""
	}
	p.metrics.decision(v)
	if v == sampled && !p.forward(ctx, h.id, refs) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if v != sampled {
		p.done(h.id, refs, reason)
	}
	now := time.Now()
	rest, cached := p.table.decide(h, v, len(refs), now)
	if cached {
		p.metrics.age.Observe(now.Sub(h.arrived).Seconds())
	}
	switch {
	case len(rest) == 0:
	case v == sampled:
		p.release(released{h.id, rest})
	default:
		p.done(h.id, rest, reasonNotSampled)
	}
	return true
}

// evaluate asks the policies about a trace.
func (p *Processor) evaluate(ctx context.Context, h *held, refs []ref, spans int64) (verdict, error) {
	data, _, err := read(refs, maxEvaluated)
	if err != nil {
		return notSampled, err
	}
	request := pipeline.OTLP{Signal: pipeline.SignalTraces, Data: data}
	td, err := request.Own()
	if err != nil {
		return notSampled, err
	}
	now := time.Now()
	t := &whole{id: h.id, spans: spans, Traces: td.Traces, now: now}
	return decide(ctx, p.policies, t, func(of int, v verdict, err error) {
		p.metrics.opinion(of, v, err, spans, time.Since(now))
		if err != nil {
			p.failures.Warn(p.logger, p.policies[of].name, "a policy failed to evaluate a trace", "policy", p.policies[of].name, "err", err)
		}
	}), nil
}

// read reads records, as one request, but stops before it has more bytes than limit, or
// takes more memory than mostDecoded. It returns how many records those are, one at least.
func read(refs []ref, limit int) (data []byte, n int, err error) {
	memory := mostDecoded()
	for _, r := range refs {
		if n > 0 && len(data)+int(r.length) > limit {
			break
		}
		part, err := r.read()
		if err != nil {
			return nil, 0, err
		}
		_, decoded, err := wire.Measure(pipeline.SignalTraces, part)
		if err != nil {
			return nil, 0, err
		}
		memory -= decoded + 2*len(part) // with a copy of its strings
		if n > 0 && memory < 0 {
			break
		}
		if n++; n == 1 {
			data = part
		} else {
			data = append(data, part...)
		}
	}
	return data, n, nil
}

// forward forwards spans of a trace. It reports whether the outputs have them, or have
// rejected them.
func (p *Processor) forward(ctx context.Context, id traceID, refs []ref) bool {
	for len(refs) > 0 {
		data, n, err := read(refs, maxForwarded)
		if err != nil {
			p.failures.Log(p.logger, slog.LevelError, "", "spans that were held cannot be read; they are lost", "err", err)
			n = 1
		}
		made := pipeline.OTLP{Signal: pipeline.SignalTraces, Data: data}
		for _, r := range refs[:n] {
			made.Items += int(r.spans)
		}
		if err != nil {
			p.emitter.Lose(made, "unreadable")
		} else if err := p.emitter.Offer(ctx, made); err != nil && !pipeline.IsPermanent(err) {
			p.logger.Info("no output accepts the spans that are held; they are kept on disk", "err", err)
			return false
		}
		p.mu.Lock()
		p.done(id, refs[:n], "")
		p.mu.Unlock()
		refs = refs[n:]
	}
	return true
}

// forwardLate forwards the spans of sampled traces that came after their decision. It
// reports whether the outputs have them.
func (p *Processor) forwardLate(ctx context.Context) bool {
	for {
		p.mu.Lock()
		if len(p.late) == 0 {
			p.late = nil
			p.mu.Unlock()
			return true
		}
		next := p.late[0]
		p.mu.Unlock()
		if !p.forward(ctx, next.id, next.refs) {
			return false
		}
		p.mu.Lock()
		p.late = p.late[1:]
		p.mu.Unlock()
	}
}
