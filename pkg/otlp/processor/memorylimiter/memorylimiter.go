// Package memorylimiter is otelcol.processor.memory_limiter.
//
// It does not look into requests: they pass through it as bytes.
package memorylimiter

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"collector/pkg/component"
	"collector/pkg/human"
	"collector/pkg/inspect"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// Config is the configuration of otelcol.processor.memory_limiter.
type Config struct {
	CheckInterval        time.Duration     `alloy:"check_interval,attr"`
	Limit                component.Bytes   `alloy:"limit,attr,optional"`
	SpikeLimit           component.Bytes   `alloy:"spike_limit,attr,optional"`
	LimitPercentage      uint32            `alloy:"limit_percentage,attr,optional"`
	SpikeLimitPercentage uint32            `alloy:"spike_limit_percentage,attr,optional"`
	DebugMetrics         flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
	Output               flow.Output       `alloy:"output,block"`
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{}
	c.DebugMetrics.SetToDefault()
}

// Validate rejects what cannot work.
func (c *Config) Validate() error {
	var errs []error
	if c.CheckInterval <= 0 {
		errs = append(errs, component.At("check_interval", errors.New("it must be above zero")))
	}
	switch {
	case c.Limit < 0:
		errs = append(errs, component.At("limit", errors.New("it cannot be negative")))
	case c.Limit > 0 && c.LimitPercentage > 0:
		errs = append(errs, component.At("limit_percentage", errors.New("set it or limit, not both")))
	case c.Limit > 0 && c.SpikeLimit >= c.Limit:
		errs = append(errs, component.At("spike_limit", fmt.Errorf("%s is not below limit, %s", c.SpikeLimit, c.Limit)))
	case c.Limit > 0 && c.SpikeLimit < 0:
		errs = append(errs, component.At("spike_limit", errors.New("it cannot be negative")))
	case c.LimitPercentage > 100:
		errs = append(errs, component.At("limit_percentage", fmt.Errorf("%d is not a percentage from 1 to 100", c.LimitPercentage)))
	case c.LimitPercentage > 0 && (c.SpikeLimitPercentage < 1 || c.SpikeLimitPercentage >= c.LimitPercentage):
		errs = append(errs, component.At("spike_limit_percentage", fmt.Errorf("it must be above 0 and below limit_percentage, %d", c.LimitPercentage)))
	}
	return errors.Join(errs...)
}

// limits are the sizes of the heap above which requests are rejected (soft), and up
// to which it may grow (hard).
func (c *Config) limits() (soft, hard uint64, err error) {
	if c.Limit == 0 && c.LimitPercentage == 0 {
		return 0, 0, errors.New("set limit or limit_percentage")
	}
	if c.Limit > 0 {
		spike := c.SpikeLimit
		if spike == 0 {
			spike = c.Limit / 5
		}
		return uint64(c.Limit - spike), uint64(c.Limit), nil
	}
	total, err := totalMemory(os.DirFS("/"))
	if err != nil {
		return 0, 0, component.At("limit_percentage", component.Absent(fmt.Errorf("read how much memory there is: %w; set limit instead", err)))
	}
	hard = total / 100 * uint64(c.LimitPercentage)
	return hard - total/100*uint64(c.SpikeLimitPercentage), hard, nil
}

// collectEvery is the shortest time between two garbage collections that the limit
// causes.
const collectEvery = time.Second

// Limiter is otelcol.processor.memory_limiter.
type Limiter struct {
	config     Config
	soft, hard uint64
	out        *flow.Outlets
	logger     *slog.Logger
	metrics    *counters

	used      func() uint64 // of the heap
	collect   func()        // garbage
	collected time.Time     // last; of Run alone

	full atomic.Pointer[refusal] // nil: requests pass
}

// refusal is why requests are rejected.
type refusal struct {
	used, soft uint64
	since      time.Time
}

func (r *refusal) Error() string {
	return fmt.Sprintf("the collector uses %s of memory; otelcol.processor.memory_limiter accepts requests up to %s", mebibytes(r.used), mebibytes(r.soft))
}

// Unwrap makes it a failure that a retry may fix.
func (r *refusal) Unwrap() error { return pipeline.ErrOverload }

func mebibytes(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

//go:embed otelcol.processor.memory_limiter.md
var page string

// Definition defines otelcol.processor.memory_limiter.
func Definition() component.Definition {
	return component.Define("otelcol.processor.memory_limiter", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Limiter, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	soft, hard, err := c.limits()
	if err != nil {
		return nil, err
	}
	l := &Limiter{config: c, soft: soft, hard: hard, out: flow.NewOutlets(c.Output, o), logger: o.Logger, used: heap, collect: runtime.GC}
	l.metrics = newCounters(o.Metrics, o.ID, l)
	return l, nil
}

// heap is how many bytes the program's objects take, with those that nobody needs
// any more until they are collected.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// Exports is the sink for all signals.
func (l *Limiter) Exports() map[string]any { return map[string]any{"input": pipeline.OTLPSink(l)} }

// ReadsOTLP reports whether a component after the limiter decodes requests.
func (l *Limiter) ReadsOTLP(s pipeline.Signal) bool { return l.out.Reads(s) }

// Run checks the memory until ctx ends.
func (l *Limiter) Run(ctx context.Context) error {
	tick := time.NewTicker(l.config.CheckInterval)
	defer tick.Stop()
	for {
		l.check(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// check decides whether requests are rejected until the next check.
func (l *Limiter) check(now time.Time) {
	used := l.used()
	if used > l.soft && now.Sub(l.collected) >= collectEvery {
		l.collected = now
		l.collect()
		used = l.used()
	}
	before := l.full.Load()
	if used <= l.soft {
		if before != nil {
			l.logger.Info("memory is back below the limit; requests pass", "used", used, "soft_limit", l.soft, "took", now.Sub(before.since))
		}
		l.full.Store(nil)
		return
	}
	r := &refusal{used: used, soft: l.soft, since: now}
	if before == nil {
		l.logger.Warn("memory is above the limit, refusing requests; senders retry", "used", used, "soft_limit", l.soft, "hard_limit", l.hard)
	} else {
		r.since = before.since
	}
	l.full.Store(r)
}

// WriteOTLP forwards a request, unless memory is above the limit.
func (l *Limiter) WriteOTLP(ctx context.Context, request pipeline.OTLP) error {
	if r := l.full.Load(); r != nil && l.out.Has(request.Signal) {
		l.metrics.refused[request.Signal].Add(float64(request.Items))
		return r
	}
	err := l.out.WriteOTLP(ctx, request)
	if err == nil && l.out.Has(request.Signal) {
		l.metrics.accepted[request.Signal].Add(float64(request.Items))
	}
	return err
}

// Health says that requests are rejected.
func (l *Limiter) Health() error {
	if r := l.full.Load(); r != nil {
		what := "rejects requests"
		if d := time.Since(r.since).Truncate(time.Second); d > 0 {
			what += " for " + human.Duration(d)
		}
		return inspect.Partial{Err: fmt.Errorf("%s: %w", what, r)}
	}
	return nil
}
