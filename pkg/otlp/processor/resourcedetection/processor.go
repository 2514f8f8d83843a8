package resourcedetection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"collector/pkg/backoff"
	"collector/pkg/component"
	"collector/pkg/inspect"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

const (
	// firstRetry and lastRetry are the pauses before a detector that failed is asked
	// again.
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// detector finds attributes.
type detector struct {
	name   string
	detect func(context.Context) (found, error)
}

// found is what a detector has found, or several.
type found struct {
	attributes pcommon.Map
	schema     string // URL, of the names of the attributes
}

func nothing() found { return found{attributes: pcommon.NewMap()} }

// Processor is otelcol.processor.resourcedetection.
type Processor struct {
	config    Config
	out       *flow.Outlets
	logger    *slog.Logger
	warnings  throttle.Log
	detectors []detector
	detected  *prometheus.GaugeVec

	begin sync.Once
	begun chan struct{}         // closed when requests need not wait any more
	all   atomic.Pointer[found] // of all detectors that have found something; set when begun is closed

	mu      sync.Mutex
	results []result // of detectors, in their order; guarded by mu
}

// result is the outcome of a detector; none yet if both are nil.
type result struct {
	found *found
	err   error
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Processor, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	p := &Processor{
		config: c, out: flow.NewOutlets(c.Output, o), logger: o.Logger, begun: make(chan struct{}),
		detected: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "collector_resource_detected", Help: "1 if the detector has found the attributes of the resource.",
		}, []string{"detector"}),
	}
	o.Metrics.MustRegister(p.detected)
	for _, name := range c.Detectors {
		d := detector{name: name}
		switch name {
		case "env":
			d.detect = func(context.Context) (found, error) { return fromEnvironment(os.Getenv) }
		case "system":
			d.detect = newSystem(c.System).detect
		case "docker":
			config, err := engineOf(os.Getenv)
			if err != nil {
				return nil, component.At("detectors", err)
			}
			engine, err := o.Docker.Engine(config)
			if err != nil {
				return nil, component.At("detectors", err)
			}
			d.detect = fromDocker(engine, c.Docker.ResourceAttributes)
		}
		p.detectors = append(p.detectors, d)
		p.detected.WithLabelValues(name).Set(0)
	}
	p.results = make([]result, len(p.detectors))
	return p, nil
}

// Exports is the sink for all signals.
func (p *Processor) Exports() map[string]any { return map[string]any{"input": pipeline.OTLPSink(p)} }

// ReadsOTLP reports whether requests of the signal are decoded.
func (p *Processor) ReadsOTLP(s pipeline.Signal) bool { return p.out.Has(s) }

// Run asks the detectors, and retries those that fail, until ctx ends.
func (p *Processor) Run(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	var first, all sync.WaitGroup
	for i := range p.detectors {
		answered := make(chan struct{})
		all.Go(func() { p.ask(ctx, i, answered) })
		first.Go(func() {
			select {
			case <-answered:
			case <-within.Done():
			}
		})
	}
	first.Wait()
	if ctx.Err() == nil {
		p.publish()
		p.begin.Do(func() { close(p.begun) })
	}
	all.Wait()
	<-ctx.Done()
	return nil
}

// ask asks a detector until it has found its attributes or ctx ends.
func (p *Processor) ask(ctx context.Context, i int, answered chan<- struct{}) {
	d := p.detectors[i]
	retry := backoff.New(firstRetry, lastRetry)
	for {
		within, cancel := context.WithTimeout(ctx, p.config.Timeout)
		f, err := d.detect(within)
		cancel()
		if ctx.Err() != nil {
			return
		}
		p.note(i, f, err)
		if err == nil {
			close(answered)
			return
		}
		p.warnings.Warn(p.logger, d.name, "the attributes of a resource could not be detected, retrying", "detector", d.name, "err", err)
		if retry.Wait(ctx) != nil {
			return
		}
	}
}

// note records what a detector has found.
func (p *Processor) note(i int, f found, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.results[i].err = err
		return
	}
	p.results[i] = result{found: &f}
	p.detected.WithLabelValues(p.detectors[i].name).Set(1)
	p.logger.Info("detected attributes of the resource", "detector", p.detectors[i].name, "attributes", f.attributes.AsRaw())
	if p.all.Load() != nil { // the others are not waited for any more
		p.merge()
	}
}

// publish lets requests pass with what has been found.
func (p *Processor) publish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.merge()
}

// merge joins what was found; the first detector that has an attribute wins. The
// caller holds mu.
func (p *Processor) merge() {
	all := nothing()
	for _, r := range p.results {
		if r.found == nil {
			continue
		}
		add(all.attributes, r.found.attributes, false)
		if all.schema == "" {
			all.schema = r.found.schema
		}
	}
	p.all.Store(&all)
}

// add adds the attributes of from to those of to, of which those of the same name are
// replaced or stay.
func add(to, from pcommon.Map, replace bool) {
	for key, value := range from.All() {
		if _, there := to.Get(key); !there || replace {
			value.CopyTo(to.PutEmpty(key))
		}
	}
}

// WriteOTLP adds the attributes to the resources of a request and forwards it. At the
// start it waits for the detectors, for as long as the timeout.
func (p *Processor) WriteOTLP(ctx context.Context, request pipeline.OTLP) error {
	if !p.out.Has(request.Signal) {
		return p.out.WriteOTLP(ctx, request)
	}
	select {
	case <-p.begun:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	all := p.all.Load()
	if all.attributes.Len() == 0 {
		return p.out.WriteOTLP(ctx, request)
	}
	d, err := request.Own()
	if err != nil {
		return err
	}
	p.change(request.Signal, d, all)
	return p.out.WriteOTLP(ctx, request.With(request.Signal, d))
}

// holder is what holds a resource, of any signal.
type holder interface {
	Resource() pcommon.Resource
	SchemaUrl() string
	SetSchemaUrl(string)
}

// change adds what was found to all resources of a request.
func (p *Processor) change(s pipeline.Signal, d pipeline.Decoded, f *found) {
	one := func(r holder) {
		add(r.Resource().Attributes(), f.attributes, p.config.Override)
		if r.SchemaUrl() == "" {
			r.SetSchemaUrl(f.schema)
		}
	}
	switch s {
	case pipeline.SignalTraces:
		for _, r := range d.Traces.ResourceSpans().All() {
			one(r)
		}
	case pipeline.SignalMetrics:
		for _, r := range d.Metrics.ResourceMetrics().All() {
			one(r)
		}
	case pipeline.SignalLogs:
		for _, r := range d.Logs.ResourceLogs().All() {
			one(r)
		}
	}
}

// Health names the detectors that have found nothing yet.
func (p *Processor) Health() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for i, r := range p.results {
		if r.err != nil {
			errs = append(errs, fmt.Errorf("the attributes of the detector %s are missing: %w", p.detectors[i].name, r.err))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return inspect.Partial{Err: errors.Join(errs...)}
}

// Status is what has been found, for the debug UI.
func (p *Processor) Status() any {
	type status struct {
		Detector   string         `json:"detector"`
		Attributes map[string]any `json:"attributes,omitempty"`
		Error      string         `json:"error,omitempty"`
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]status, len(p.results))
	for i, r := range p.results {
		all[i].Detector = p.detectors[i].name
		if r.found != nil {
			all[i].Attributes = r.found.attributes.AsRaw()
		}
		if r.err != nil {
			all[i].Error = strings.TrimSpace(r.err.Error())
		}
	}
	return all
}
