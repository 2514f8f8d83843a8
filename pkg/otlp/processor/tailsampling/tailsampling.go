// Package tailsampling is otelcol.processor.tail_sampling.
package tailsampling

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

const (
	// stopGrace is how long what is held waits for the outputs when the component stops.
	stopGrace = 5 * time.Second
	// syncInterval is what a power cut can cost.
	syncInterval = time.Second
	// decisionInterval is how often it is decided on the traces that are due.
	decisionInterval = time.Second
	// recordCost is what a record in the journal takes of the memory, at most.
	recordCost = 128
	// maxRepeated is how many bytes a request may grow by when it is cut into its traces,
	// each with the resources and scopes of its spans.
	maxRepeated = 64 << 20
)

// maxRecords is how many records may be in the journal.
func maxRecords() int { return int(listen.WithinMemory(128<<20) / recordCost) }

// Processor is the component. The spans that it is given are in a journal, from before
// their request is acknowledged until they are forwarded or dropped; in memory there is
// where they are. A trace is read when it is due.
type Processor struct {
	config   Config
	dir      string
	logger   *slog.Logger
	emitter  *flow.Emitter
	policies []named
	metrics  *metrics
	limit    int // of records
	failures throttle.Log

	begun chan struct{} // closed when the component runs for the first time
	begin sync.Once
	wake  chan struct{} // has something when late has

	cutting sync.Mutex // one request at a time grows by up to maxRepeated; locked before mu

	mu      sync.Mutex
	running bool       // guarded by mu
	table   *table     // guarded by mu
	late    []released // the oldest first; guarded by mu
	spans   int64      // that wait; guarded by mu
	journal *journal   // guarded by mu, but for its sync
}

//go:embed otelcol.processor.tail_sampling.md
var page string

// Definition defines otelcol.processor.tail_sampling.
func Definition() component.Definition {
	return component.Define("otelcol.processor.tail_sampling", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Processor, error) {
	o = o.WithDefaults()
	c.warn(o)
	for _, s := range flow.Signals() {
		if s != pipeline.SignalTraces && len(c.Output.Sinks(s)) > 0 {
			o.Warn("output/"+string(s), fmt.Sprintf("the component does not process %s: what it receives of them is dropped and counted", s))
		}
	}
	set := quiet()
	set.Logger = bridge.Logger(o)
	policies, err := newPolicies(c.Policies, set)
	if err != nil {
		return nil, err
	}
	p := &Processor{
		config: c, dir: o.Dir, logger: o.Logger, emitter: flow.NewEmitter("processor", pipeline.SignalTraces, c.Output, o),
		policies: policies, limit: maxRecords(), begun: make(chan struct{}), wake: make(chan struct{}, 1), table: newTable(c),
	}
	p.metrics = newMetrics(o, policies, p.gauge(func() float64 { return float64(len(p.table.traces)) }), p.gauge(func() float64 { return float64(p.spans) }))
	return p, nil
}

func (p *Processor) gauge(value func() float64) func() float64 {
	return func() float64 {
		p.mu.Lock()
		defer p.mu.Unlock()
		return value()
	}
}

// Exports is the sink for traces.
func (p *Processor) Exports() map[string]any { return map[string]any{"input": pipeline.OTLPSink(p)} }

// ReadsOTLP reports whether requests of the signal are taken apart, which takes as much
// memory as to decode them.
func (p *Processor) ReadsOTLP(s pipeline.Signal) bool {
	return s == pipeline.SignalTraces && p.emitter.HasOutput()
}

// Run decides on traces and forwards those that are sampled, and, when ctx has ended,
// decides on all that it holds.
func (p *Processor) Run(ctx context.Context) error {
	if err := p.open(); err != nil {
		return err
	}
	p.begin.Do(func() { close(p.begun) })
	lasting, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, giveUp) })()
	var syncing sync.WaitGroup
	defer syncing.Wait()
	syncing.Go(func() { p.sync(ctx) })
	tick := time.NewTicker(decisionInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.round(lasting, false)
		case <-p.wake:
			p.forwardLate(lasting)
		case <-ctx.Done():
			p.mu.Lock()
			p.running = false
			p.mu.Unlock()
			p.round(lasting, true)
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.journal.close()
		}
	}
}

// open reads what was neither forwarded nor dropped when the component ended.
func (p *Processor) open() error {
	j, traces, damaged, err := openJournal(p.dir)
	if err != nil {
		return err
	}
	if damaged > 0 {
		p.logger.Warn("a part of the spans that were held is damaged; the rest is processed", "files", damaged)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running, p.journal, p.table, p.late, p.spans = true, j, newTable(p.config), nil, 0
	now := time.Now()
	for _, k := range traces {
		h := p.table.insert(k.trace, now) // whatever num_traces is now: they were acknowledged
		for _, r := range k.refs {
			p.hold(h, r)
		}
	}
	return nil
}

// sync brings the journal to disk each second.
func (p *Processor) sync(ctx context.Context) {
	tick := time.NewTicker(syncInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.mu.Lock()
			files := p.journal.unsynced()
			p.mu.Unlock()
			for _, f := range files {
				_ = f.Sync() // best effort: the page cache has it; it may be closed by now
			}
		}
	}
}

// WriteOTLP holds the spans of a request. nil means that the journal has them, except for
// those of traces of which it was decided that they are not sampled.
func (p *Processor) WriteOTLP(ctx context.Context, request pipeline.OTLP) error {
	if !p.emitter.Accepts(request, pipeline.SignalTraces) {
		return nil
	}
	select {
	case <-p.begun:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	data, err := request.Bytes()
	if err != nil {
		return err
	}
	p.cutting.Lock()
	defer p.cutting.Unlock()
	groups, err := wire.GroupBy(pipeline.SignalTraces, data, false, listen.WithinMemory(maxRepeated), wire.Item.TraceID)
	if err != nil {
		return pipeline.Permanent(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running {
		return pipeline.ErrClosed
	}
	return p.add(groups, time.Now())
}

// add holds groups of spans, each of one trace.
func (p *Processor) add(groups []wire.Group, now time.Time) error {
	var records []record
	added := 0
	for _, g := range groups {
		r := record{spans: g.Items, data: g.Data}
		copy(r.trace[:], g.Key)
		switch v, _ := p.table.known(r.trace); {
		case v != "" && v != sampled:
			continue
		case p.table.traces[r.trace] == nil && v == "":
			added++
		}
		records = append(records, r)
	}
	if err := p.table.room(added, now); err != nil {
		return err
	}
	if p.journal.records+len(records) > p.limit {
		return fmt.Errorf("hold spans: %d parts of traces are held, as many as memory is for: %w", p.journal.records, pipeline.ErrFull)
	}
	refs, err := p.journal.append(records)
	if err != nil {
		return err
	}
	p.index(groups, records, refs, now)
	return nil
}

// index notes what the journal has of groups: refs, which are of records.
func (p *Processor) index(groups []wire.Group, records []record, refs []ref, now time.Time) {
	for _, g := range groups {
		var id traceID
		copy(id[:], g.Key)
		v, cached := p.table.known(id)
		p.observeLate(id, v, cached, g.Items, now)
		if len(records) == 0 || records[0].trace != id {
			p.metrics.drop(reasonNotSampled, int64(g.Items))
			continue
		}
		r := refs[0]
		records, refs = records[1:], refs[1:]
		if v != "" {
			p.spans += int64(r.spans)
			p.release(released{id, []ref{r}})
			continue
		}
		h := p.table.traces[id]
		if h == nil {
			p.discard(p.table.makeRoom(), now)
			h = p.table.insert(id, now)
			p.metrics.arrived.Inc()
		}
		p.hold(h, r)
	}
}

// observeLate notes that spans came after the decision v.
func (p *Processor) observeLate(id traceID, v verdict, cached bool, spans int, now time.Time) {
	switch {
	case v == "":
	case cached:
		p.metrics.cached.WithLabelValues(fmt.Sprint(v == sampled)).Add(float64(spans))
	default:
		p.metrics.late.Observe(now.Sub(p.table.traces[id].decided).Seconds())
	}
}

func (p *Processor) hold(h *held, r ref) {
	h.refs = append(h.refs, r)
	h.spans += int64(r.spans)
	p.spans += int64(r.spans)
}

// release has spans of a sampled trace forwarded.
func (p *Processor) release(r released) {
	p.late = append(p.late, r)
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// discard drops the spans of traces that were forgotten before their decision.
func (p *Processor) discard(forgotten []*held, now time.Time) {
	for _, h := range forgotten {
		p.metrics.age.Observe(now.Sub(h.arrived).Seconds())
		if h.verdict == "" {
			p.metrics.early.Inc()
			p.done(h.id, h.refs, reasonNumTraces)
		}
	}
}

// done ends spans that were forwarded, or, for a reason, are dropped.
func (p *Processor) done(id traceID, refs []ref, reason string) {
	var spans int64
	for _, r := range refs {
		spans += int64(r.spans)
	}
	p.spans -= spans
	if reason != "" {
		p.metrics.drop(reason, spans)
	}
	if err := p.journal.done(id, refs); err != nil {
		p.failures.Warn(p.logger, "", "the journal does not have what is done; after a kill, spans may be forwarded again", "err", err)
	}
}
