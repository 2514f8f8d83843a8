// Package process is loki.process: stages through which log entries go, one file
// a stage.
package process

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/pipeline"
)

// Config is the configuration of loki.process.
type Config struct {
	ForwardTo []pipeline.LogsSink `alloy:"forward_to,attr"`
	Stages    []StageConfig       `alloy:"stage,enum,optional"`
}

// Process is loki.process: it passes log entries through its stages, in order.
//
// What a stage holds back survives the death of the process:
//
//	WriteLogs ──▶ journal ──▶ stages ──▶ receivers ──▶ "done" in the journal ──▶ nil
//
// The journal has the entries as they came, so that replaying it makes of them
// what was, or would have been, handed on. Entries of streams of which nothing
// is held or begins to be held are not written to it.
type Process struct {
	cfg     Config
	opts    component.Options
	metrics *metrics
	dir     string
	started chan struct{} // closed when the journal has been read for the first time
	wake    chan struct{} // has a token when Run has to look at the clock

	lock chan struct{} // has a token while what follows is in use
	// Guarded by lock:
	running context.Context // ends with Run; nil before
	stages  stages
	journal *journal // nil while Run does not run
	dirLock *os.File // keeps others out of dir; nil likewise
	recent  *recentCalls
	backlog output // what the journal has to be handed on, and who has not got it
	next    int    // the first receiver that has not got the backlog
	timed   bool   // Run looks at the clock by itself, at looks
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
	}
	var err error
	if p.metrics, err = newMetrics(o.Metrics); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if p.stages, err = newStages(cfg.Stages, p.metrics); err != nil {
		return nil, err
	}
	return p, nil
}

// Exports returns the receiver.
func (p *Process) Exports() map[string]any {
	return map[string]any{"receiver": pipeline.LogsSink(p)}
}

// WriteLogs implements pipeline.LogsSink. An error says that the call is to be
// made again; what it had in common with this one is not taken twice.
func (p *Process) WriteLogs(ctx context.Context, logs pipeline.Logs) error {
	if len(p.cfg.Stages) == 0 {
		return p.pass(ctx, logs)
	}
	if err := p.acquire(ctx); err != nil {
		return err
	}
	ctx, cancel := p.whileRunning(ctx)
	defer cancel()
	if !p.concerned(logs) {
		p.release()
		return p.pass(ctx, logs)
	}
	defer p.release()
	if err := p.drain(ctx); err != nil {
		return err
	}
	return p.accept(ctx, logs)
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
	if p.journal == nil {
		p.release()
		return pipeline.ErrClosed
	}
	return nil
}

func (p *Process) release() { <-p.lock }

// whileRunning is ctx as long as Run goes on: its end does not wait for calls
// that wait for receivers.
func (p *Process) whileRunning(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(p.running, func() { cancel(pipeline.ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// concerned tells whether any stream of logs has to do with what is held.
func (p *Process) concerned(logs pipeline.Logs) bool {
	for i := range logs.Streams {
		if p.holds(&logs.Streams[i]) {
			return true
		}
	}
	return false
}

func (p *Process) holds(s *pipeline.Stream) bool {
	return p.stages.holds(s.Labels, s.Entries) || p.recent.armed(s.Labels)
}

// pass hands on what no stage holds or changes.
func (p *Process) pass(ctx context.Context, logs pipeline.Logs) error {
	if _, err := p.forward(ctx, 0, logs); err != nil {
		return err
	}
	p.metrics.taken.Add(float64(logs.Entries()))
	return nil
}

// accept takes entries of which some are held. When the journal has them, they
// are taken, whatever becomes of what comes out.
func (p *Process) accept(ctx context.Context, logs pipeline.Logs) error {
	now := time.Now()
	var buf []byte
	var passing output
	var calls []call
	streams := byLabels(logs.Streams)
	for i := range streams {
		s := &streams[i]
		if !p.holds(s) {
			passing.streams = append(passing.streams, *s)
			continue
		}
		c := p.recent.match(s)
		if len(c.entries) > 0 {
			buf = appendInput(buf, s.Labels, c.goesOn, c.entries)
		}
		calls = append(calls, c)
	}
	if err := p.write(buf); err != nil {
		return err
	}
	for _, c := range calls {
		p.take(c, now)
		p.metrics.taken.Add(float64(len(c.entries)))
		p.metrics.repeated.Add(float64(len(c.repeated)))
	}
	p.rouse()
	err := p.drain(ctx)
	if err == nil {
		err = p.pass(ctx, pipeline.Logs{Streams: passing.streams})
	}
	if err != nil { // the caller comes again with all of it
		for _, c := range calls {
			p.recent.arm(c.labels)
		}
		return err
	}
	return nil
}

// byLabels joins the streams that have the same labels, as stdout and stderr
// may have.
func byLabels(streams []pipeline.Stream) []pipeline.Stream {
	out := make([]pipeline.Stream, 0, len(streams))
	for _, s := range streams {
		i := slices.IndexFunc(out, func(o pipeline.Stream) bool { return labels.Equal(o.Labels, s.Labels) })
		if i < 0 {
			out = append(out, s)
			continue
		}
		out[i].Entries = slices.Concat(out[i].Entries, s.Entries)
	}
	return out
}

// take runs the new entries of a call through the stages.
func (p *Process) take(c call, now time.Time) {
	p.recent.add(c, now)
	for _, e := range c.entries {
		p.stages.take(0, c.labels, e, now, p.backlog.add)
	}
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

// drain hands on the backlog.
func (p *Process) drain(ctx context.Context) (err error) {
	defer p.show()
	if p.backlog.empty() {
		return nil
	}
	if p.next, err = p.forward(ctx, p.next, pipeline.Logs{Streams: p.backlog.streams}); err != nil {
		return err
	}
	p.backlog.reset()
	p.next = 0
	// Without this record, the same would be handed on again after a crash.
	p.report(p.journal.append(appendDone(nil)))
	return nil
}

// forward hands logs to the receivers from the given one on, to each until it
// takes them. It fails only when ctx ends, and returns who has not got them.
func (p *Process) forward(ctx context.Context, from int, logs pipeline.Logs) (int, error) {
	n := logs.Entries()
	if n == 0 {
		return 0, nil
	}
	taken := true
	next, err := pipeline.UntilTaken(ctx, p.cfg.ForwardTo, from,
		func(ctx context.Context, to pipeline.LogsSink) error { return to.WriteLogs(ctx, logs) },
		pipeline.Told{Refused: func(_ int, err error) {
			taken = false
			p.metrics.dropped.WithLabelValues(reasonRejected).Add(float64(n))
			p.opts.Logger.Debug("a receiver refuses log entries, which are dropped", "err", err, "entries", n)
		}})
	if err != nil {
		return next, err
	}
	if taken {
		p.metrics.passed.Add(float64(n))
	}
	return 0, nil
}

// output gathers entries by stream.
type output struct {
	streams []pipeline.Stream
	entries int
}

func (o *output) empty() bool { return o.entries == 0 }

func (o *output) add(lset labels.Labels, e pipeline.Entry) {
	o.entries++
	for i := len(o.streams) - 1; i >= 0; i-- {
		if labels.Equal(o.streams[i].Labels, lset) {
			o.streams[i].Entries = append(o.streams[i].Entries, e)
			return
		}
	}
	o.streams = append(o.streams, pipeline.Stream{Labels: lset, Entries: []pipeline.Entry{e}})
}

// reset empties o for good: what was in it may be large.
func (o *output) reset() { *o = output{} }
