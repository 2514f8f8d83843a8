// Package hostinfo is otelcol.connector.host_info.
package hostinfo

import (
	"context"
	_ "embed"
	"errors"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// What is kept of hosts between two flushes. While the outputs accept nothing, flushes
// wait.
const (
	mostHosts   = 20_000
	longestHost = 256 // bytes
	// tooMany is the reason for which a host is not kept.
	tooMany = "too_many_hosts"
	// tooLong is the reason for which an identifier is not kept.
	tooLong = "host_too_long"
)

// stopGrace is how long the last metrics wait for the outputs when the component stops.
const stopGrace = 5 * time.Second

// Config is the configuration of otelcol.connector.host_info.
type Config struct {
	HostIdentifiers      []string          `alloy:"host_identifiers,attr,optional"`
	MetricsFlushInterval time.Duration     `alloy:"metrics_flush_interval,attr,optional"`
	Output               flow.Output       `alloy:"output,block"`
	DebugMetrics         flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{HostIdentifiers: []string{"host.id"}, MetricsFlushInterval: time.Minute}
	c.DebugMetrics.SetToDefault()
}

// Validate rejects what cannot work.
func (c *Config) Validate() error {
	var errs []error
	if len(c.HostIdentifiers) == 0 {
		errs = append(errs, component.At("host_identifiers", errors.New("name at least one attribute, such as host.id")))
	}
	if c.MetricsFlushInterval <= 0 {
		errs = append(errs, component.At("metrics_flush_interval", errors.New("it must be more than 0")))
	}
	return errors.Join(append(errs, c.Output.Only(pipeline.SignalMetrics))...)
}

// Connector is the component.
type Connector struct {
	config  Config
	emitter *flow.Emitter

	mu      sync.Mutex
	stopped bool                // guarded by mu
	hosts   map[string]struct{} // seen since the last flush; guarded by mu
}

//go:embed otelcol.connector.host_info.md
var page string

// Definition defines otelcol.connector.host_info.
func Definition() component.Definition {
	return component.Define("otelcol.connector.host_info", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Connector, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	return &Connector{config: c, emitter: flow.NewEmitter("connector", pipeline.SignalMetrics, c.Output, o), hosts: map[string]struct{}{}}, nil
}

// Exports is the sink for spans.
func (c *Connector) Exports() map[string]any { return map[string]any{"input": pipeline.OTLPSink(c)} }

// ReadsOTLP reports whether requests of the signal are decoded.
func (c *Connector) ReadsOTLP(s pipeline.Signal) bool {
	return s == pipeline.SignalTraces && c.emitter.HasOutput()
}

// Run sends the hosts at each interval, and once more when ctx has ended.
func (c *Connector) Run(ctx context.Context) error {
	lasting, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, giveUp) })()
	c.stop(false)
	tick := time.NewTicker(c.config.MetricsFlushInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = c.emitter.Emit(lasting, c.flush()) // it has counted what the outputs don't accept
		case <-ctx.Done():
			c.stop(true)
			return c.emitter.Emit(lasting, c.flush())
		}
	}
}

func (c *Connector) stop(stopped bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = stopped
}

// WriteOTLP records the hosts of spans.
func (c *Connector) WriteOTLP(_ context.Context, request pipeline.OTLP) error {
	if !c.emitter.Accepts(request, pipeline.SignalTraces) {
		return nil
	}
	d, err := request.Read()
	if err != nil {
		return err
	}
	hosts := c.hostsOf(d.Traces)
	lost := map[string]int{} // by reason
	defer func() {
		for reason, n := range lost {
			c.emitter.Lose(pipeline.OTLP{Signal: pipeline.SignalMetrics, Items: n}, reason)
		}
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return pipeline.ErrClosed
	}
	for _, host := range hosts {
		_, known := c.hosts[host]
		switch {
		case known:
		case len(host) > longestHost:
			lost[tooLong]++
		case len(c.hosts) >= mostHosts:
			lost[tooMany]++
		default:
			c.hosts[host] = struct{}{}
		}
	}
	return nil
}

// hostsOf are the identifiers that the resources of spans have.
func (c *Connector) hostsOf(td ptrace.Traces) (hosts []string) {
	for _, rs := range td.ResourceSpans().All() {
		if rs.ScopeSpans().Len() == 0 {
			continue
		}
		for name, value := range rs.Resource().Attributes().All() {
			if slices.Contains(c.config.HostIdentifiers, name) {
				hosts = append(hosts, value.AsString())
			}
		}
	}
	return hosts
}

// flush is a metric of the hosts that were seen since the last one.
func (c *Connector) flush() pipeline.OTLP {
	c.mu.Lock()
	hosts := c.hosts
	c.hosts = map[string]struct{}{}
	c.mu.Unlock()
	md := pmetric.NewMetrics()
	scope := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	scope.Scope().SetName("hostinfoconnector")
	metric := scope.Metrics().AppendEmpty()
	metric.SetName("traces_host_info")
	points, now := metric.SetEmptyGauge().DataPoints(), pcommon.NewTimestampFromTime(time.Now())
	for host := range hosts {
		point := points.AppendEmpty()
		point.SetStartTimestamp(now)
		point.SetTimestamp(now)
		point.SetIntValue(1)
		point.Attributes().PutStr("grafana.host.id", host)
	}
	return pipeline.OTLP{}.With(pipeline.SignalMetrics, pipeline.Decoded{Metrics: md})
}
