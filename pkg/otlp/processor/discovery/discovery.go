// Package discovery is otelcol.processor.discovery: it adds the labels of targets to
// the resources of spans.
package discovery

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// Config is the configuration of otelcol.processor.discovery.
type Config struct {
	Targets         *discovery.Set `alloy:"targets,attr"`
	OperationType   string         `alloy:"operation_type,attr,optional"`
	PodAssociations []string       `alloy:"pod_associations,attr,optional"`
	Output          flow.Output    `alloy:"output,block"`
}

// What becomes of the attributes.
const (
	insert = "insert" // where there is none
	update = "update" // where there is one
	upsert = "upsert" // in both cases
)

// connection is the association by the address of the client.
const connection = "connection"

// byHostname is the association by the attribute host.name, if that is an address.
const byHostname = "hostname"

func associations() []string {
	return []string{"ip", "net.host.ip", "k8s.pod.ip", byHostname, connection}
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{OperationType: upsert, PodAssociations: associations()}
}

// Validate rejects what is not known.
func (c *Config) Validate() error {
	var errs []error
	if !slices.Contains([]string{insert, update, upsert}, c.OperationType) {
		errs = append(errs, component.At("operation_type", fmt.Errorf("%q is not known: use insert, update or upsert", c.OperationType)))
	}
	for i, a := range c.PodAssociations {
		if !slices.Contains(associations(), a) {
			errs = append(errs, component.At(component.Block("pod_associations", i), fmt.Errorf("%q is not known: use %s", a, strings.Join(associations(), ", "))))
		}
	}
	return errors.Join(errs...)
}

// Processor is otelcol.processor.discovery.
type Processor struct {
	config  Config
	out     *flow.Outlets
	logger  *slog.Logger
	changed prometheus.Counter
	byHost  atomic.Pointer[hosts]
}

// hosts are the attributes of targets by the host of their address. What was made of
// one list of targets is used for as long as that is the list.
type hosts struct {
	replaced <-chan struct{}
	labels   map[string][]labels.Label
}

//go:embed otelcol.processor.discovery.md
var page string

// Definition defines otelcol.processor.discovery.
func Definition() component.Definition {
	return component.Define("otelcol.processor.discovery", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Processor, error) {
	o = o.WithDefaults()
	for name, sinks := range map[string][]pipeline.OTLPSink{"metrics": c.Output.Metrics, "logs": c.Output.Logs} {
		if len(sinks) > 0 {
			o.Warn("output/"+name, fmt.Sprintf("the component does not process %s: what it receives of them is dropped and counted", name))
		}
	}
	p := &Processor{
		config: c, out: flow.NewOutlets(flow.Output{Traces: c.Output.Traces}, o), logger: o.Logger,
		changed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "collector_discovery_resources_matched_total", Help: "Resources of spans that belong to a target.",
		}),
	}
	o.Metrics.MustRegister(p.changed)
	return p, nil
}

// Exports is the sink for all signals.
func (p *Processor) Exports() map[string]any { return map[string]any{"input": pipeline.OTLPSink(p)} }

// ReadsOTLP reports whether requests of the signal are decoded.
func (p *Processor) ReadsOTLP(s pipeline.Signal) bool { return p.out.Has(s) }

// Run waits for ctx to end.
func (p *Processor) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// WriteOTLP adds the labels of targets to their resources, and forwards the request.
func (p *Processor) WriteOTLP(ctx context.Context, request pipeline.OTLP) error {
	if !p.out.Has(request.Signal) {
		return p.out.WriteOTLP(ctx, request)
	}
	d, err := request.Own()
	if err != nil {
		return err
	}
	byHost := p.hosts()
	for _, r := range d.Traces.ResourceSpans().All() {
		attributes := r.Resource().Attributes()
		if target, ok := byHost[p.hostOf(ctx, attributes)]; ok {
			p.add(attributes, target)
			p.changed.Inc()
		}
	}
	return p.out.WriteOTLP(ctx, request.With(request.Signal, d))
}

// hosts are the labels by host of the targets that there are now.
func (p *Processor) hosts() map[string][]labels.Label {
	targets, replaced := p.config.Targets.Targets()
	known := p.byHost.Load()
	if known != nil && known.replaced == replaced {
		return known.labels
	}
	byHost := map[string][]labels.Label{}
	without := 0
	for _, t := range targets {
		host := hostOf(t.Get(model.AddressLabel))
		if host == "" {
			without++
			continue
		}
		var kept []labels.Label
		t.Range(func(l labels.Label) {
			if !strings.HasPrefix(l.Name, model.ReservedLabelPrefix) {
				kept = append(kept, l)
			}
		})
		byHost[host] = kept // as in Alloy, the last target of a host wins
	}
	if without > 0 {
		p.logger.Warn("targets without an address are not looked for", "targets", without)
	}
	p.byHost.Store(&hosts{replaced, byHost})
	return byHost
}

// hostOf is the host of an address with or without a port.
func hostOf(address string) string {
	if !strings.Contains(address, ":") || net.ParseIP(address) != nil {
		return address
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	return host
}

// hostOf is the address by which a target is looked for: that of the first
// association that has one.
func (p *Processor) hostOf(ctx context.Context, attributes pcommon.Map) string {
	text := func(key string) string {
		v, ok := attributes.Get(key)
		if !ok || v.Type() != pcommon.ValueTypeStr {
			return ""
		}
		return v.Str()
	}
	for _, a := range p.config.PodAssociations {
		host := ""
		switch a {
		case byHostname:
			if name := text("host.name"); net.ParseIP(name) != nil {
				host = name
			}
		case connection:
			host = hostOf(flow.AddressOf(ctx))
		default:
			host = text(a)
		}
		if host != "" {
			return host
		}
	}
	return ""
}

// add adds the labels of a target.
func (p *Processor) add(attributes pcommon.Map, target []labels.Label) {
	for _, l := range target {
		_, there := attributes.Get(l.Name)
		if p.config.OperationType == insert && there || p.config.OperationType == update && !there {
			continue
		}
		attributes.PutStr(l.Name, l.Value)
	}
}
