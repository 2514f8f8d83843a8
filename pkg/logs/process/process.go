// Package process is loki.process: stages through which log entries go, one file
// a stage.
package process

import (
	"context"
	_ "embed"
	"os"
	"slices"
	"sync"
	"time"

	"collector/pkg/component"
	"collector/pkg/inspect"
	"collector/pkg/pipeline"
)

// Process is loki.process: it passes log entries through its stages, in order.
//
// What a stage holds back survives a crash of the process:
//
//	WriteLogs ──▶ stages ──▶ journal ──▶ the first Holder, and all after it
//	                                        ──▶ receivers ──▶ "done" in the journal ──▶ nil
//
// The journal has the entries as they came to the first Holder, so that replaying
// it makes of them what was, or would have been, forwarded. Entries of streams of
// which nothing is held or begins to be held are not written to it. Without a
// Holder there is no journal.
type Process struct {
	cfg     Config
	opts    component.Options
	metrics *metrics
	dir     string
	started chan struct{} // closed when the journal has been read for the first time
	wake    chan struct{} // has a token when Run has to look at the clock
	outputs sync.Pool     // of *output: of calls that need no journal
	samples inspect.LogSamples

	lock chan struct{} // has a token while what follows is in use
	// Guarded by lock:
	running context.Context // ends with Run; nil before
	open    bool            // Run runs
	env     *env
	chain   *chain
	entry   Entry    // the one that is in the stages
	into    *output  // takes what comes out of the stages
	intake  intake   // what came to the first Holder
	records []byte   // for the journal; reused
	journal *journal // nil while Run does not run, and without anything to hold
	dirLock *os.File // keeps others out of dir; nil likewise
	recent  *recentCalls
	backlog output // what the journal has to be forwarded, and who has not got it
	next    int    // the first receiver that has not got the backlog
	timed   bool   // Run will look at the clock by itself, at looks
	looks   time.Time

	shown struct {
		sync.Mutex
		Status
	}
}

//go:embed loki.process.md
var page string

// Definition is the component loki.process.
func Definition() component.Definition {
	return component.Define("loki.process", New, component.Doc{Page: page, Exports: []component.Export{{Name: "receiver", Type: "LogsReceiver"}}})
}

// New checks cfg.
func New(cfg Config, o component.Options) (*Process, error) {
	o = o.WithDefaults()
	p := &Process{
		cfg: cfg, opts: o, dir: o.Dir,
		started: make(chan struct{}), wake: make(chan struct{}, 1), lock: make(chan struct{}, 1),
		recent: newRecentCalls(),
	}
	p.outputs.New = func() any { return new(output) }
	p.metrics = newMetrics(o.Metrics)
	p.env = newEnv(o, p.metrics)
	if err := p.build(false); err != nil {
		return nil, err
	}
	return p, nil
}

// build makes the stages, which know nothing yet. With a journal, what comes to
// the first Holder is gathered, even if the pipeline no longer has one.
func (p *Process) build(journaled bool) error {
	stages, err := newStages(p.cfg.Stages, p.env)
	if err != nil {
		return err
	}
	out := func(e *Entry) {
		p.into.add(e.Labels.Held(p.env.cache), pipeline.Entry{Time: e.Time, Line: e.Line, Metadata: e.Metadata})
	}
	middle := func(e *Entry) { p.intake.add(e.Labels.Held(p.env.cache), e) }
	if !journaled {
		middle = out
	}
	p.chain = newChain(stages, middle, out)
	return nil
}

// Exports returns the receiver.
func (p *Process) Exports() map[string]any {
	return map[string]any{"receiver": pipeline.LogsSink(p)}
}

// WriteLogs implements pipeline.LogsSink. An error says that the call must be made again;
// what both have in common is not taken twice.
func (p *Process) WriteLogs(ctx context.Context, logs pipeline.Logs) error {
	if len(p.cfg.Stages) == 0 {
		return p.pass(ctx, logs, logs.Entries())
	}
	if err := p.acquire(ctx); err != nil {
		return err
	}
	ctx, cancel := p.whileRunning(ctx)
	defer cancel()
	if p.journal == nil {
		return p.through(ctx, logs)
	}
	arrivals, err := p.arrive(ctx, logs)
	if err != nil {
		p.intake.reset()
		p.release()
		return err
	}
	if p.backlog.empty() && !slices.ContainsFunc(arrivals, func(a arrival) bool { return p.concerns(&a) }) {
		return p.unheld(ctx, logs, arrivals)
	}
	defer p.release()
	defer p.intake.reset()
	if err := p.drain(ctx); err != nil {
		return err
	}
	return p.accept(ctx, arrivals, logs.Entries())
}

// through takes entries of which no stage holds any. It releases the lock.
func (p *Process) through(ctx context.Context, logs pipeline.Logs) error {
	out := p.outputs.Get().(*output)
	defer p.recycle(out)
	err := p.run(ctx, logs, out)
	p.release()
	if err != nil {
		return err
	}
	return p.pass(ctx, out.logs(), logs.Entries())
}

// run passes entries through the stages before the first Holder.
func (p *Process) run(ctx context.Context, logs pipeline.Logs, into *output) error {
	p.into, p.env.ctx, p.env.err = into, ctx, nil
	defer func() { p.into, p.env.ctx = nil, nil }()
	now := time.Now()
	p.samples.Offer(logs, now)
	for i := range logs.Streams {
		s := &logs.Streams[i]
		for j := range s.Entries {
			p.entry.begin(s.Labels, &s.Entries[j], now)
			if p.chain.first(&p.entry); p.env.err != nil {
				return p.env.err
			}
		}
	}
	return nil
}

// arrive returns what comes to the first Holder. It holds the lock.
func (p *Process) arrive(ctx context.Context, logs pipeline.Logs) ([]arrival, error) {
	if p.chain.direct {
		p.samples.Offer(logs, time.Now())
		return byLabels(logs.Streams), nil
	}
	if err := p.run(ctx, logs, nil); err != nil {
		return nil, err
	}
	return p.intake.arrivals(), nil
}

// finish passes an arrival through the stages from the first Holder on. It holds
// the lock.
func (p *Process) finish(ctx context.Context, a *arrival, now time.Time, into *output) {
	p.into, p.env.ctx = into, ctx
	defer func() { p.into, p.env.ctx, p.env.err = nil, nil, nil }()
	for i := range a.entries {
		a.begin(&p.entry, i)
		p.entry.Now = now
		p.chain.rest(&p.entry)
	}
}

// unheld takes entries of which no Holder holds any. It releases the lock.
func (p *Process) unheld(ctx context.Context, logs pipeline.Logs, arrivals []arrival) error {
	if p.chain.direct && p.chain.plain {
		p.release()
		return p.pass(ctx, logs, logs.Entries())
	}
	out := p.outputs.Get().(*output)
	defer p.recycle(out)
	now := time.Now()
	for i := range arrivals {
		p.finish(ctx, &arrivals[i], now, out)
	}
	p.intake.reset()
	p.release()
	return p.pass(ctx, out.logs(), logs.Entries())
}

func (p *Process) recycle(out *output) {
	out.reset()
	p.outputs.Put(out)
}

// acquire waits for the lock and the journal.
func (p *Process) acquire(ctx context.Context) error {
	select {
	case <-p.started:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case p.lock <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if !p.open {
		p.release()
		return pipeline.ErrClosed
	}
	return nil
}

func (p *Process) release() { <-p.lock }

// whileRunning is ctx while Run runs: its end does not wait for calls that wait for
// receivers.
func (p *Process) whileRunning(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(p.running, func() { cancel(pipeline.ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// concerns reports whether a stream is affected by what is held.
func (p *Process) concerns(a *arrival) bool {
	return p.recent.armed(a.labels) || p.chain.concerns(a.labels, a.entries)
}

// pass forwards the results of a number of entries, of which no stage holds any.
func (p *Process) pass(ctx context.Context, logs pipeline.Logs, taken int) error {
	if _, err := p.forward(ctx, 0, logs); err != nil {
		return err
	}
	p.metrics.taken.Add(float64(taken))
	return nil
}

// keptRecords is the largest size of a call's records whose memory is kept.
const keptRecords = 1 << 20

// accept takes entries of which some are held. When the journal has them, they
// are taken, whatever becomes of what comes out. Of the entries that came, those
// that did not arrive count as taken with those that pass.
func (p *Process) accept(ctx context.Context, arrivals []arrival, came int) error {
	now := time.Now()
	buf := p.records[:0]
	var passing []*arrival
	var calls []call
	for i := range arrivals {
		a := &arrivals[i]
		if !p.concerns(a) {
			passing = append(passing, a)
			continue
		}
		c := p.recent.match(a)
		if len(c.entries) > 0 {
			buf = appendInput(buf, c.goesOn, &c.arrival)
		}
		came -= len(a.entries)
		calls = append(calls, c)
	}
	err := p.write(buf)
	if p.records = buf; cap(buf) > keptRecords {
		p.records = nil
	}
	if err != nil {
		return err
	}
	for i := range calls {
		p.take(ctx, &calls[i], now)
		p.metrics.taken.Add(float64(len(calls[i].entries)))
		p.metrics.repeated.Add(float64(len(calls[i].repeated)))
	}
	p.rouse()
	if err = p.drain(ctx); err == nil {
		err = p.passAll(ctx, passing, came, now)
	}
	if err != nil { // the caller repeats all of it
		for i := range calls {
			p.recent.arm(calls[i].labels)
		}
		return err
	}
	return nil
}

// passAll forwards the streams of a call of which nothing is held.
func (p *Process) passAll(ctx context.Context, streams []*arrival, taken int, now time.Time) error {
	out := p.outputs.Get().(*output)
	defer p.recycle(out)
	for _, a := range streams {
		p.finish(ctx, a, now, out)
	}
	return p.pass(ctx, out.logs(), max(0, taken))
}

// take passes the new entries of a call through the stages.
func (p *Process) take(ctx context.Context, c *call, now time.Time) {
	p.recent.add(c, now)
	p.finish(ctx, &c.arrival, now, &p.backlog)
}

// write appends records to the journal, and rewrites it when it has grown.
func (p *Process) write(records []byte) error {
	if len(records) == 0 {
		return nil
	}
	if p.journal.size > p.journal.limit {
		p.report(p.compact())
	}
	err := p.journal.append(records)
	p.report(err)
	return err
}

// drain forwards the backlog.
func (p *Process) drain(ctx context.Context) (err error) {
	defer p.show()
	if p.backlog.empty() {
		return nil
	}
	if p.next, err = p.forward(ctx, p.next, p.backlog.logs()); err != nil {
		return err
	}
	p.backlog.reset()
	p.next = 0
	// Without this record, all of it would be forwarded again after a crash.
	p.report(p.journal.append(appendDone(nil)))
	return nil
}

// forward sends logs to the receivers from the given one on, to each until it accepts
// them. It fails only when ctx ends, and returns the first that has not got them.
func (p *Process) forward(ctx context.Context, from int, logs pipeline.Logs) (int, error) {
	n := logs.Entries()
	if n == 0 {
		return 0, nil
	}
	taken := true
	next, err := pipeline.UntilAccepted(ctx, p.cfg.ForwardTo, from,
		func(ctx context.Context, to pipeline.LogsSink) error { return to.WriteLogs(ctx, logs) },
		pipeline.Notify{Refused: func(_ int, err error) {
			taken = false
			p.metrics.dropped.WithLabelValues(reasonRejected).Add(float64(n))
			p.opts.Logger.Debug("a receiver rejects log entries, which are dropped", "err", err, "entries", n)
		}})
	if err != nil {
		return next, err
	}
	if taken {
		p.metrics.passed.Add(float64(n))
	}
	return 0, nil
}
