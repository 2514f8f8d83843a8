// Package interval is otelcol.processor.interval.
package interval

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

const (
	// stopGrace is how long what is held waits for the outputs when the component stops.
	stopGrace = 5 * time.Second
	// syncInterval is what a power cut can cost.
	syncInterval = time.Second
)

// Config is the configuration of otelcol.processor.interval.
type Config struct {
	Interval     time.Duration     `alloy:"interval,attr,optional"`
	PassThrough  PassThrough       `alloy:"passthrough,block,optional"`
	Output       flow.Output       `alloy:"output,block"`
	DebugMetrics flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
}

// PassThrough is the block passthrough.
type PassThrough struct {
	Gauge   bool `alloy:"gauge,attr,optional"`
	Summary bool `alloy:"summary,attr,optional"`
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{Interval: time.Minute}
	c.DebugMetrics.SetToDefault()
}

// Validate rejects what cannot work.
func (c *Config) Validate() error {
	if c.Interval <= 0 {
		return component.At("interval", errors.New("it must be more than 0"))
	}
	return nil
}

// Processor is the component. What it holds is in a journal as well, from before a
// request is acknowledged until the outputs have it.
type Processor struct {
	config  Config
	dir     string
	logger  *slog.Logger
	emitter *flow.Emitter

	begun chan struct{} // closed when the component runs for the first time
	begin sync.Once

	mu      sync.Mutex
	running bool     // guarded by mu
	held    *latest  // guarded by mu
	journal *journal // guarded by mu, but for its sync
}

//go:embed otelcol.processor.interval.md
var page string

// Definition defines otelcol.processor.interval.
func Definition() component.Definition {
	return component.Define("otelcol.processor.interval", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Processor, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	for _, s := range flow.Signals() {
		if s != pipeline.SignalMetrics && len(c.Output.Sinks(s)) > 0 {
			o.Warn("output/"+string(s), fmt.Sprintf("the component does not process %s: what it receives of them is dropped and counted", s))
		}
	}
	return &Processor{
		config: c, dir: o.Dir, logger: o.Logger, emitter: flow.NewEmitter("processor", pipeline.SignalMetrics, c.Output, o), begun: make(chan struct{}),
	}, nil
}

// Exports is the sink for metrics.
func (p *Processor) Exports() map[string]any { return map[string]any{"input": pipeline.OTLPSink(p)} }

// ReadsOTLP reports whether requests of the signal are decoded.
func (p *Processor) ReadsOTLP(s pipeline.Signal) bool {
	return s == pipeline.SignalMetrics && p.emitter.HasOutput()
}

// Run forwards what is held at each interval, and once more when ctx has ended.
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
	tick := time.NewTicker(p.config.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.flush(lasting)
		case <-ctx.Done():
			p.mu.Lock()
			p.running = false
			p.mu.Unlock()
			p.flush(lasting)
			return p.journal.close()
		}
	}
}

// open reads what the outputs had not accepted when the component stopped.
func (p *Processor) open() error {
	j, older, damaged, err := openJournal(p.dir)
	if err != nil {
		return err
	}
	if damaged > 0 {
		p.logger.Warn("a part of the metrics that were held is damaged; the rest is forwarded", "files", damaged)
	}
	held := newLatest()
	for _, data := range older {
		md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(data)
		if err != nil {
			p.logger.Warn("metrics that were held cannot be decoded", "err", err)
			continue
		}
		held.add(md)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running, p.held, p.journal = true, held, j
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
			f := p.journal.unsynced()
			p.mu.Unlock()
			if f != nil {
				_ = f.Sync() // best effort: the page cache has it; it may be closed by now
			}
		}
	}
}

// WriteOTLP holds the metrics that the interval is for, and forwards the others at once.
// nil means that the journal has the former, and the outputs have the latter.
func (p *Processor) WriteOTLP(ctx context.Context, request pipeline.OTLP) error {
	if !p.emitter.Accepts(request, pipeline.SignalMetrics) {
		return nil
	}
	select {
	case <-p.begun:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	d, err := request.Own()
	if err != nil {
		return err
	}
	// What is held comes first: holding it again, when the sender repeats the request for
	// the others, changes nothing.
	if err := p.hold(p.config.PassThrough.take(d.Metrics)); err != nil {
		return err
	}
	return p.emitter.Write(ctx, request.With(pipeline.SignalMetrics, d))
}

func (p *Processor) hold(md pmetric.Metrics) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running {
		return pipeline.ErrClosed
	}
	if md.MetricCount() == 0 {
		return nil
	}
	data, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
	if err != nil {
		return pipeline.Permanent(err)
	}
	if err := p.journal.append(data); err != nil {
		return err
	}
	p.held.add(md)
	return nil
}

// flush forwards what is held. The journal keeps it until the outputs have it.
func (p *Processor) flush(ctx context.Context) {
	p.mu.Lock()
	held := p.held.metrics
	p.held = newLatest()
	files := p.journal.rotate()
	p.mu.Unlock()
	err := p.emitter.Offer(ctx, pipeline.OTLP{}.With(pipeline.SignalMetrics, pipeline.Decoded{Metrics: held}))
	switch {
	case err != nil && !pipeline.IsPermanent(err):
		p.logger.Info("no output accepts the metrics that are held; they are kept on disk", "err", err)
		return
	case err != nil:
		p.logger.Error("an output rejects the metrics that were held; they are dropped", "err", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.journal.remove(files); err != nil {
		p.logger.Warn("forwarded metrics stay in the journal; they may be forwarded again", "err", err)
	}
}
