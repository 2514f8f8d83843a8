// Package spans is how the parts of the collector report spans of their own work. If no
// block tracing is in force, as is usual, no spans are made: asking costs one read of a
// pointer.
package spans

import (
	"context"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
	"go.opentelemetry.io/otel/trace/noop"
)

// Provider is where spans go, as set by Use. A nil Provider accepts none.
type Provider struct {
	embedded.TracerProvider

	current  atomic.Pointer[trace.TracerProvider] // nil: no spans are made
	carriers atomic.Pointer[map[Carrier]bool]

	mu      sync.Mutex
	pending func(trace.Tracer) // for the next Use; guarded by mu
}

// Carrier is a component through which the collector's own spans go on their way to a
// destination. Signal is what it makes of them; "" means all signals.
type Carrier struct{ Component, Signal string }

// Use has spans made by tp from now on; nil: none.
func (p *Provider) Use(tp trace.TracerProvider) {
	if p == nil {
		return
	}
	if tp == nil {
		p.current.Store(nil)
		return
	}
	p.mu.Lock()
	report := p.pending
	p.pending = nil
	p.current.Store(&tp)
	p.mu.Unlock()
	if report != nil {
		report(tp.Tracer(""))
	}
}

// Enabled reports whether spans are made.
func (p *Provider) Enabled() bool { return p != nil && p.current.Load() != nil }

// Report calls report with a tracer for spans of what has happened before. If none are
// made yet and wait says that this is about to change, it is called then, unless another
// report precedes it.
func (p *Provider) Report(wait bool, report func(trace.Tracer)) {
	if p == nil {
		return
	}
	p.mu.Lock()
	tp := p.current.Load()
	p.pending = nil
	if tp == nil && wait {
		p.pending = report
	}
	p.mu.Unlock()
	if tp != nil {
		report((*tp).Tracer(""))
	}
}

// Carry says which components carry the spans. What they do with them makes no spans:
// these would be carried by them as well, and so on.
func (p *Provider) Carry(by map[Carrier]bool) {
	if p != nil {
		p.carriers.Store(&by)
	}
}

// Carries reports whether a component carries spans as a signal; "" is any.
func (p *Provider) Carries(component, signal string) bool {
	if p == nil {
		return false
	}
	by := p.carriers.Load()
	if by == nil {
		return false
	}
	if signal != "" {
		return (*by)[Carrier{component, signal}] || (*by)[Carrier{component, ""}]
	}
	for c := range *by {
		if c.Component == component {
			return true
		}
	}
	return false
}

type carryingKey struct{}

// Carrying marks a context in which the collector's own spans are sent: nothing called
// with it makes spans.
func Carrying(ctx context.Context) context.Context {
	return context.WithValue(ctx, carryingKey{}, true)
}

// Tracer follows Use, even if the tracer was obtained before.
func (p *Provider) Tracer(name string, options ...trace.TracerOption) trace.Tracer {
	return &tracer{provider: p, name: name, options: options}
}

// ComponentKey is the attribute with the id of the component that made a span.
const ComponentKey = "alloy.component_id"

// Of is the provider of a component: its spans name it.
func (p *Provider) Of(component string) trace.TracerProvider {
	if p == nil {
		return noop.NewTracerProvider()
	}
	return &ofComponent{provider: p, component: component}
}

type ofComponent struct {
	embedded.TracerProvider
	provider  *Provider
	component string
}

func (c *ofComponent) Tracer(name string, options ...trace.TracerOption) trace.Tracer {
	return &tracer{provider: c.provider, name: name, options: options, component: c.component}
}

type tracer struct {
	embedded.Tracer
	provider  *Provider
	name      string
	options   []trace.TracerOption
	component string // "" for the program itself
}

// Start starts a span; one that is thrown away if none are made.
func (t *tracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	tp := t.provider.current.Load()
	switch {
	case tp == nil, ctx.Value(carryingKey{}) != nil, t.component != "" && t.provider.Carries(t.component, ""):
		return noop.Tracer{}.Start(ctx, name)
	}
	ctx, span := (*tp).Tracer(t.name, t.options...).Start(ctx, name, options...)
	if t.component != "" {
		span.SetAttributes(attribute.String(ComponentKey, t.component))
	}
	return ctx, span
}
