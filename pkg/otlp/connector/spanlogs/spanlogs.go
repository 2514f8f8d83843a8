// Package spanlogs is otelcol.connector.spanlogs.
package spanlogs

import (
	"context"
	_ "embed"
	"slices"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// Config is the configuration of otelcol.connector.spanlogs.
type Config struct {
	Spans             bool        `alloy:"spans,attr,optional"`
	Roots             bool        `alloy:"roots,attr,optional"`
	Processes         bool        `alloy:"processes,attr,optional"`
	Events            bool        `alloy:"events,attr,optional"`
	SpanAttributes    []string    `alloy:"span_attributes,attr,optional"`
	ProcessAttributes []string    `alloy:"process_attributes,attr,optional"`
	EventAttributes   []string    `alloy:"event_attributes,attr,optional"`
	Overrides         Overrides   `alloy:"overrides,block,optional"`
	Labels            []string    `alloy:"labels,attr,optional"`
	Output            flow.Output `alloy:"output,block"`
}

// Overrides is the block overrides.
type Overrides struct {
	LogsTag     string `alloy:"logs_instance_tag,attr,optional"`
	ServiceKey  string `alloy:"service_key,attr,optional"`
	SpanNameKey string `alloy:"span_name_key,attr,optional"`
	StatusKey   string `alloy:"status_key,attr,optional"`
	DurationKey string `alloy:"duration_key,attr,optional"`
	TraceIDKey  string `alloy:"trace_id_key,attr,optional"`
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{Overrides: Overrides{LogsTag: "traces", ServiceKey: "svc", SpanNameKey: "span", StatusKey: "status", DurationKey: "dur", TraceIDKey: "tid"}}
}

// Connector is the component.
type Connector struct {
	config  Config
	emitter *flow.Emitter
}

//go:embed otelcol.connector.spanlogs.md
var page string

// Definition defines otelcol.connector.spanlogs.
func Definition() component.Definition {
	return component.Define("otelcol.connector.spanlogs", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Connector, error) {
	o = o.WithDefaults()
	for _, s := range flow.Signals() {
		if s != pipeline.SignalLogs && len(c.Output.Sinks(s)) > 0 {
			o.Warn("output/"+string(s), "the component sends only logs")
		}
	}
	if !slices.Contains([]bool{c.Spans, c.Roots, c.Processes, c.Events}, true) {
		o.Warn("spans", "nothing is logged: set spans, roots, processes or events to true")
	}
	return &Connector{config: c, emitter: flow.NewEmitter("connector", pipeline.SignalLogs, c.Output, o)}, nil
}

// Exports is the sink for spans.
func (c *Connector) Exports() map[string]any { return map[string]any{"input": pipeline.OTLPSink(c)} }

// ReadsOTLP reports whether requests of the signal are decoded.
func (c *Connector) ReadsOTLP(s pipeline.Signal) bool {
	return s == pipeline.SignalTraces && c.emitter.HasOutput()
}

// Run waits until ctx ends: the work is done within WriteOTLP.
func (c *Connector) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// WriteOTLP forwards the log lines of spans. nil means that the outputs have them.
func (c *Connector) WriteOTLP(ctx context.Context, request pipeline.OTLP) error {
	if !c.emitter.Accepts(request, pipeline.SignalTraces) {
		return nil
	}
	d, err := request.Read()
	if err != nil {
		return err
	}
	logs, err := c.config.logs(d.Traces)
	if err != nil {
		return err
	}
	return c.emitter.Write(ctx, request.With(pipeline.SignalLogs, pipeline.Decoded{Logs: logs}))
}
