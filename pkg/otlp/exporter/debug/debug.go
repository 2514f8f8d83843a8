// Package debug is otelcol.exporter.debug: OTLP in the collector's own log.
package debug

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// Config is the configuration of otelcol.exporter.debug.
type Config struct {
	Verbosity          string            `alloy:"verbosity,attr,optional"`
	SamplingInitial    int               `alloy:"sampling_initial,attr,optional"`
	SamplingThereafter int               `alloy:"sampling_thereafter,attr,optional"`
	UseInternalLogger  bool              `alloy:"use_internal_logger,attr,optional"`
	DebugMetrics       flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
}

// Levels of verbosity, in any case.
const (
	basic    = "basic"
	normal   = "normal"
	detailed = "detailed"
)

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{Verbosity: basic, SamplingInitial: 2, SamplingThereafter: 1, UseInternalLogger: true}
	c.DebugMetrics.SetToDefault()
}

// Validate rejects what cannot work.
func (c *Config) Validate() error {
	if !slices.Contains([]string{basic, normal, detailed}, strings.ToLower(c.Verbosity)) {
		return component.At("verbosity", fmt.Errorf("%q is not known: use basic, normal or detailed", c.Verbosity))
	}
	return nil
}

// Exporter is the component.
type Exporter struct {
	verbosity string
	sampling  sampling
	logger    *slog.Logger
	items     map[pipeline.Signal]*atomic.Uint64
}

//go:embed otelcol.exporter.debug.md
var page string

// Definition defines otelcol.exporter.debug.
func Definition() component.Definition {
	return component.Define("otelcol.exporter.debug", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Exporter, error) { return newTo(os.Stdout, c, o) }

// newTo is New with another standard output.
func newTo(stdout io.Writer, c Config, o component.Options) (*Exporter, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	e := &Exporter{
		verbosity: strings.ToLower(c.Verbosity), logger: o.Logger, items: map[pipeline.Signal]*atomic.Uint64{},
		sampling: sampling{first: c.SamplingInitial, thereafter: c.SamplingThereafter},
	}
	if !c.UseInternalLogger {
		e.logger = slog.New(slog.NewTextHandler(stdout, nil)).With("component_id", o.ID)
	}
	for _, s := range flow.Signals() {
		items := new(atomic.Uint64)
		e.items[s] = items
		read := func() float64 { return float64(items.Load()) }
		labels := prometheus.Labels{"destination": "log", "signal": string(s)}
		o.Metrics.MustRegister(
			prometheus.NewCounterFunc(prometheus.CounterOpts{
				Name: "collector_received_items_total", Help: "Items that entered the queue, including those it held at the start. Equals delivered + queued + dropped.", ConstLabels: labels,
			}, read),
			prometheus.NewCounterFunc(prometheus.CounterOpts{
				Name: "collector_delivered_items_total", Help: "Items that the destination has accepted.", ConstLabels: labels,
			}, read))
	}
	return e, nil
}

// Exports is the sink for all signals.
func (e *Exporter) Exports() map[string]any { return map[string]any{"input": pipeline.OTLPSink(e)} }

// ReadsOTLP reports whether requests are decoded.
func (e *Exporter) ReadsOTLP(pipeline.Signal) bool { return e.verbosity != basic }

// Run waits until ctx ends: requests are logged within WriteOTLP.
func (e *Exporter) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// WriteOTLP logs a request.
func (e *Exporter) WriteOTLP(_ context.Context, request pipeline.OTLP) error {
	items := e.items[request.Signal]
	if items == nil {
		return pipeline.Permanent(fmt.Errorf("signal %q is not known", request.Signal))
	}
	var d pipeline.Decoded
	if e.verbosity != basic {
		var err error
		if d, err = request.Read(); err != nil {
			return err
		}
	}
	if e.sampling.next(time.Now()) {
		e.logger.Info("request received", "signal", request.Signal, flow.Items(request.Signal), request.Items)
		switch e.verbosity {
		case normal:
			e.each(request.Signal, d)
		case detailed:
			e.whole(request.Signal, d)
		}
	}
	items.Add(uint64(request.Items))
	return nil
}

// sampling decides which requests of a second are logged.
type sampling struct {
	first, thereafter int

	mu     sync.Mutex
	second int64 // guarded by mu
	n      int   // requests in it; guarded by mu
}

// next reports whether a request at that time is logged: the first ones of a second, and
// every so many thereafter.
func (s *sampling) next(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if second := now.Unix(); second != s.second {
		s.second, s.n = second, 0
	}
	s.n++
	return s.n <= s.first || s.thereafter > 0 && (s.n-s.first)%s.thereafter == 0
}

// Status is what the debug UI shows.
type Status struct {
	Spans        uint64 `json:"spans"`
	MetricPoints uint64 `json:"metricPoints"`
	LogRecords   uint64 `json:"logRecords"`
}

// Status returns a snapshot for the debug UI.
func (e *Exporter) Status() any {
	return Status{e.items[pipeline.SignalTraces].Load(), e.items[pipeline.SignalMetrics].Load(), e.items[pipeline.SignalLogs].Load()}
}
