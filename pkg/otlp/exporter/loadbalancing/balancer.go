// Package loadbalancing is otelcol.exporter.loadbalancing: it shares out requests to
// several endpoints so that what belongs together comes to the same one.
//
// Each endpoint has an exporter with queues of its own. When an endpoint is removed, its
// data is queued, by the loop that would have delivered it, for the endpoints that have
// taken its place.
package loadbalancing

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/zeebo/xxh3"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/listen"
	"collector/pkg/otlp/exporter"
	"collector/pkg/otlp/exporter/otlp"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
	"collector/pkg/throttle"
)

// maxRepeated is how many bytes a request may grow by when it is cut, as each part has the
// resources and scopes of its items.
const maxRepeated = 64 << 20

// Exporter is the component.
type Exporter struct {
	config   Config
	o        component.Options
	resolver resolver
	routes   map[pipeline.Signal]route
	metrics  *metrics
	partial  partial
	failures throttle.Log
	failed   chan error     // what ends Run
	running  sync.WaitGroup // of backends

	mu       sync.Mutex
	ended    bool                // Run has ended; guarded by mu
	lookup   error               // of the last lookup that has failed; guarded by mu
	ring     ring                // nil: no endpoint is known; guarded by mu
	backends map[string]*backend // by endpoint; guarded by mu
	changed  chan struct{}       // closed when one of the above changes; guarded by mu
}

//go:embed otelcol.exporter.loadbalancing.md
var page string

// Definition defines otelcol.exporter.loadbalancing.
func Definition() component.Definition {
	return component.Define("otelcol.exporter.loadbalancing", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*Exporter, error) {
	return newWith(c, o, net.DefaultResolver.LookupIPAddr)
}

func newWith(c Config, o component.Options, look lookup) (*Exporter, error) {
	o = o.WithDefaults()
	c.warn(o)
	e := &Exporter{
		config: c, o: o, resolver: c.Resolver.resolver(look), routes: routes(c.RoutingKey), metrics: newMetrics(o),
		backends: map[string]*backend{}, changed: make(chan struct{}),
	}
	endpoints := []string{"localhost:" + defaultPort}
	if c.Resolver.Static != nil {
		endpoints = c.Resolver.Static.Hostnames
	}
	for i, endpoint := range endpoints {
		checked := o
		checked.Metrics = prometheus.NewRegistry() // nobody's
		checked.Warn = func(path, why string) {
			if i == 0 {
				o.Warn(under(path), why)
			}
		}
		t, err := otlp.NewTransport(c.otlp(withPort(endpoint)), checked)
		if err != nil {
			return nil, component.At("protocol/otlp", err)
		}
		if _, why := t.Off(pipeline.SignalTraces); why != "" {
			return nil, component.At("resolver/static/hostnames", fmt.Errorf("%q: %s", endpoint, why))
		}
		if i == 0 {
			exporter.New("loadbalancing", e.blocks(endpoint), t, checked)
		}
	}
	return e, nil
}

// blocks configure the exporter of an endpoint.
func (e *Exporter) blocks(endpoint string) exporter.Blocks {
	own := e.config.Protocol.OTLP
	return exporter.Blocks{Queue: own.Queue, Retry: own.Retry, DebugMetrics: e.config.DebugMetrics, Auth: own.Client.Auth, Destination: endpoint}
}

// Exports is the sink for all signals.
func (e *Exporter) Exports() map[string]any { return map[string]any{"input": pipeline.OTLPSink(e)} }

// ReadsOTLP reports whether requests of the signal are taken apart, which takes as much
// memory as to decode them.
func (e *Exporter) ReadsOTLP(s pipeline.Signal) bool { return e.routes[s].key != nil }

// Run finds the endpoints, and delivers to them, until ctx ends.
func (e *Exporter) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.mu.Lock()
	e.ended, e.failed = false, make(chan error, 1)
	e.mu.Unlock()
	err := e.follow(ctx)
	cancel()
	e.mu.Lock()
	e.ended = true
	e.notify()
	e.mu.Unlock()
	e.running.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ring, e.backends = nil, map[string]*backend{}
	return err
}

// follow keeps the ring up to date.
func (e *Exporter) follow(ctx context.Context) error {
	var again <-chan time.Time
	if e.resolver.interval > 0 {
		tick := time.NewTicker(e.resolver.interval)
		defer tick.Stop()
		again = tick.C
	}
	for {
		endpoints, err := e.resolver.resolve(ctx)
		e.metrics.resolutions.WithLabelValues(e.resolver.kind, strconv.FormatBool(err == nil)).Inc()
		if ctx.Err() != nil {
			return nil
		}
		if err := e.looked(ctx, endpoints, err); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-e.failed:
			return err
		case <-again:
		}
	}
}

// looked records a lookup. Without any endpoint so far, what comes waits for one.
func (e *Exporter) looked(ctx context.Context, endpoints []string, err error) error {
	if err == nil && len(endpoints) == 0 {
		err = errors.New("the lookup has found no endpoints")
	}
	if err != nil {
		e.mu.Lock()
		e.lookup = err
		none := e.ring == nil
		e.mu.Unlock()
		e.failures.Warn(e.o.Logger, "", "endpoints cannot be looked up; those of before are kept", "err", err)
		if !none {
			return nil
		}
		endpoints = []string{unresolvedEndpoint}
	}
	return e.apply(ctx, endpoints)
}

// apply has the endpoints be those of the ring.
func (e *Exporter) apply(ctx context.Context, endpoints []string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	made := newRing(endpoints)
	if slices.Equal(made, e.ring) {
		return nil
	}
	left, err := e.left()
	if err != nil {
		return err
	}
	e.ring = made
	e.metrics.updates.WithLabelValues(e.resolver.kind).Inc()
	e.metrics.backends.WithLabelValues(e.resolver.kind).Set(float64(len(endpoints)))
	if endpoints[0] == unresolvedEndpoint {
		e.metrics.backends.WithLabelValues(e.resolver.kind).Set(0)
	}
	wanted := map[string]bool{}
	for _, endpoint := range endpoints {
		wanted[withPort(endpoint)] = true
	}
	for _, endpoint := range slices.Concat(slices.Collect(maps.Keys(wanted)), left) {
		if e.backends[endpoint] != nil {
			continue
		}
		b := &backend{e: e, endpoint: endpoint}
		e.backends[endpoint] = b
		e.running.Go(func() {
			if err := b.run(ctx); err != nil {
				select {
				case e.failed <- fmt.Errorf("deliver to %s: %w", b.endpoint, err):
				default: // Run ends already
				}
			}
		})
	}
	for endpoint, b := range e.backends {
		b.wanted = wanted[endpoint]
	}
	e.notify()
	return nil
}

// notify tells those who wait of a change. The caller holds e.mu.
func (e *Exporter) notify() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// WriteOTLP queues each part of a request for the endpoint that it belongs to. nil means
// that all are durable.
func (e *Exporter) WriteOTLP(ctx context.Context, request pipeline.OTLP) error {
	if e.routes[request.Signal].key == nil {
		e.metrics.lost.WithLabelValues(string(request.Signal), "wrong_signal").Add(float64(request.Items))
		e.failures.Log(e.o.Logger, slog.LevelError, string(request.Signal), "the routing key does not apply to a signal; what was received is dropped",
			"signal", request.Signal, "routing_key", e.config.RoutingKey, "items", request.Items)
		return nil
	}
	data, err := request.Bytes()
	if err != nil {
		return err
	}
	whole := wire.Part{Data: data, Items: request.Items}
	return e.partial.finish(xxh3.Hash(data), func(done map[uint64]bool) error {
		return e.spread(ctx, request.Signal, whole, done, func(to *exporter.Exporter, part wire.Part) error {
			return to.WriteOTLP(ctx, pipeline.OTLP{Signal: request.Signal, Data: part.Data, Items: part.Items, Group: request.Group, Batching: request.Batching})
		})
	})
}

// spread cuts a request and writes each part to the exporter of its endpoint, but for
// those that are done. If an endpoint is removed in the meantime, its part is split again. A part
// that is rejected, when others are not, is lost and counted.
func (e *Exporter) spread(ctx context.Context, s pipeline.Signal, whole wire.Part, done map[uint64]bool, write func(*exporter.Exporter, wire.Part) error) error {
	r, err := e.current(ctx)
	if err != nil {
		return err
	}
	groups, err := e.cut(s, whole, r)
	if err != nil {
		return pipeline.Permanent(err)
	}
	var errs []error
	for _, g := range groups {
		id := xxh3.Hash(g.Data)
		if done[id] {
			continue
		}
		err := e.write(ctx, g, write)
		switch {
		case errors.Is(err, errMoved):
			err = e.spread(ctx, s, g.Part, done, write)
		case len(groups) > 1 && pipeline.IsPermanent(err):
			e.metrics.lost.WithLabelValues(string(s), "rejected").Add(float64(g.Items))
			e.failures.Log(e.o.Logger, slog.LevelError, "", "a part of a request is rejected; it is lost", "signal", s, "endpoint", g.Key, "items", g.Items, "err", err)
			err = nil
		}
		if err == nil {
			done[id] = true
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// cut cuts a request by the endpoints of its items.
func (e *Exporter) cut(s pipeline.Signal, whole wire.Part, r ring) ([]wire.Group, error) {
	if first := withPort(r[0].endpoint); !slices.ContainsFunc(r, func(p point) bool { return withPort(p.endpoint) != first }) {
		return []wire.Group{{Key: first, Part: whole}}, nil
	}
	by := e.routes[s]
	none := string(make([]byte, 16)) // the trace id of spans that have none
	if s == pipeline.SignalLogs {
		// Such records can go anywhere, but to the same endpoint when they are sent again.
		none = strconv.FormatUint(xxh3.Hash(whole.Data), 10)
	}
	return wire.GroupBy(s, whole.Data, by.points, listen.WithinMemory(maxRepeated), func(i wire.Item) (string, error) {
		key, err := by.key(i)
		if key == "" && e.config.RoutingKey == "traceID" || key == "" && s == pipeline.SignalLogs {
			key = none
		}
		return withPort(r.endpoint(key)), err
	})
}

// current is the ring. It waits for the first lookup.
func (e *Exporter) current(ctx context.Context) (ring, error) {
	for {
		e.mu.Lock()
		r, ended, changed := e.ring, e.ended, e.changed
		e.mu.Unlock()
		switch {
		case ended:
			return nil, pipeline.ErrClosed
		case r != nil:
			return r, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// errMoved says that an endpoint was removed.
var errMoved = errors.New("the endpoint was removed")

// write writes a part to the exporter of its endpoint, once that runs.
func (e *Exporter) write(ctx context.Context, g wire.Group, write func(*exporter.Exporter, wire.Part) error) error {
	for {
		e.mu.Lock()
		b, changed := e.backends[g.Key], e.changed
		var to *exporter.Exporter
		wanted := b != nil && b.wanted
		if wanted {
			to = b.active
		}
		ended := e.ended
		e.mu.Unlock()
		switch {
		case ended:
			return pipeline.ErrClosed
		case !wanted:
			return errMoved
		case to != nil:
			began := time.Now()
			err := write(to, g.Part)
			if !errors.Is(err, pipeline.ErrClosed) {
				e.metrics.outcome(g.Key, time.Since(began), err)
				return err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Destinations is how the delivery to each endpoint goes.
func (e *Exporter) Destinations() []deliver.Status { return e.each((*exporter.Exporter).Destinations) }

// Status is a snapshot of each endpoint's delivery.
func (e *Exporter) Status() any { return e.Destinations() }

// Idle is part of inspect.Idler.
func (e *Exporter) Idle() []deliver.Status { return e.each((*exporter.Exporter).Idle) }

func (e *Exporter) each(of func(*exporter.Exporter) []deliver.Status) []deliver.Status {
	e.mu.Lock()
	running := map[string]*exporter.Exporter{}
	for endpoint, b := range e.backends {
		if b.current != nil {
			running[endpoint] = b.current
		}
	}
	e.mu.Unlock()
	all := []deliver.Status{}
	for _, endpoint := range slices.Sorted(maps.Keys(running)) {
		for _, s := range of(running[endpoint]) {
			if routed := e.routes[pipeline.Signal(s.Signal)].key != nil; routed || s.Received > 0 {
				all = append(all, s)
			}
		}
	}
	return all
}

// QueueUse is what the component has of the storage path.
func (e *Exporter) QueueUse() deliver.Use { return deliver.Use{Below: e.o.Dir} }

// requeue queues a block of an endpoint that was removed for those in its place.
func (e *Exporter) requeue(ctx context.Context, s pipeline.Signal, block queue.Block, done map[uint64]bool) error {
	return e.spread(ctx, s, wire.Part{Data: block.Data, Items: block.Items}, done, func(to *exporter.Exporter, part wire.Part) error {
		moved := block
		moved.Data, moved.Items = part.Data, part.Items
		return to.Requeue(ctx, s, moved)
	})
}
