// Package live shows what flows between components: it counts what passes each edge of
// the graph, and shows it to observers as it passes.
//
// An Edge is in front of each sink that a component was given. While nobody
// observes, an item costs it a few atomic additions and no allocation.
package live

import (
	"slices"
	"sync"
	"sync/atomic"

	"collector/pkg/pipeline"
)

// Signal is one of the four kinds of telemetry.
type Signal int

// The signals.
const (
	Metrics Signal = iota
	Logs
	Traces
	Profiles
	signals
)

// Signals lists them in the order in which they are shown.
func Signals() []Signal { return []Signal{Metrics, Logs, Traces, Profiles} }

func (s Signal) String() string {
	return [...]string{"metrics", "logs", "traces", "profiles"}[s]
}

// MarshalText gives the signal's name, in JSON too.
func (s Signal) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// signalOf is the signal of that name.
func signalOf(s pipeline.Signal) Signal {
	switch s {
	case pipeline.SignalTraces:
		return Traces
	case pipeline.SignalLogs:
		return Logs
	case pipeline.SignalProfiles:
		return Profiles
	}
	return Metrics
}

// Observer is given what has passed an edge, after its sink has accepted it, in
// the goroutine of the component that sent it: it must be quick, must not
// block, and keeps nothing that it was given (see package pipeline).
type Observer interface {
	// Watches reports whether ObserveOTLP looks into what passes the edge now.
	Watches(*Edge, Signal) bool
	ObserveLogs(*Edge, pipeline.Logs)
	ObserveMetrics(*Edge, pipeline.Metrics)
	ObserveOTLP(*Edge, pipeline.OTLP)
	ObserveProfile(*Edge, pipeline.Profile)
}

// Hub is where observers of all edges are kept. Its zero value has none.
type Hub struct {
	mu        sync.Mutex // held to replace observers
	observers atomic.Pointer[[]Observer]

	watching sync.Mutex // held to add or remove a watcher
	audience *audience  // nil without watchers; guarded by watching
}

// Observe shows o what passes from now on, until stop is called.
func (h *Hub) Observe(o Observer) (stop func()) {
	h.change(func(all []Observer) []Observer { return append(all, o) })
	return func() {
		h.change(func(all []Observer) []Observer {
			return slices.DeleteFunc(all, func(other Observer) bool { return other == o })
		})
	}
}

func (h *Hub) change(f func([]Observer) []Observer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := f(slices.Clone(h.all()))
	if len(all) == 0 {
		h.observers.Store(nil)
		return
	}
	h.observers.Store(&all)
}

func (h *Hub) all() []Observer {
	if all := h.observers.Load(); all != nil {
		return *all
	}
	return nil
}

// Edge is the way from one component to another.
type Edge struct {
	From, To string // ids of components
	hub      *Hub
	counts   [signals]counters
	carries  [signals]atomic.Bool
}

type counters struct{ items, bytes, refused atomic.Uint64 }

// Count is what has passed an edge since it exists.
type Count struct {
	Items   uint64 `json:"items"`
	Bytes   uint64 `json:"bytes"`   // before compression; 16 a sample
	Refused uint64 `json:"refused"` // items that the sink did not accept, each time they were offered
}

// NewEdge makes an edge whose traffic the observers of hub see.
func NewEdge(hub *Hub, from, to string) *Edge { return &Edge{From: from, To: to, hub: hub} }

// Count gives the counts of one signal.
func (e *Edge) Count(s Signal) Count {
	c := &e.counts[s]
	return Count{Items: c.items.Load(), Bytes: c.bytes.Load(), Refused: c.refused.Load()}
}

// Carries reports whether a signal goes over the edge: from the first on, or, of
// those in OTLP requests, since an item has passed.
func (e *Edge) Carries(s Signal) bool { return e.carries[s].Load() || e.counts[s].items.Load() > 0 }

// Wrap returns the receiver v with the edge in front of it; it returns anything else
// unchanged.
func (e *Edge) Wrap(v any) any {
	for _, k := range pipeline.Kinds() {
		if k.Holds(v) {
			return k.Wrap(v, e)
		}
	}
	return v
}

// Expects is part of pipeline.Tap, as are the methods below.
func (e *Edge) Expects(s pipeline.Signal) { e.carries[signalOf(s)].Store(true) }

func (e *Edge) add(s Signal, items, bytes int, err error) {
	c := &e.counts[s]
	if err != nil {
		c.refused.Add(uint64(items))
		return
	}
	c.items.Add(uint64(items))
	c.bytes.Add(uint64(bytes))
}

// TapLogs counts entries, and shows them to the observers.
func (e *Edge) TapLogs(logs pipeline.Logs, err error) {
	items, bytes := 0, 0
	for i := range logs.Streams {
		items += len(logs.Streams[i].Entries)
		for j := range logs.Streams[i].Entries {
			bytes += len(logs.Streams[i].Entries[j].Line)
		}
	}
	e.add(Logs, items, bytes, err)
	if err == nil {
		for _, o := range e.hub.all() {
			o.ObserveLogs(e, logs)
		}
	}
}

// sampleSize is what a sample counts: its value and its time.
const sampleSize = 16

// TapMetrics counts samples, and shows them to the observers.
func (e *Edge) TapMetrics(m pipeline.Metrics, err error) {
	e.add(Metrics, m.Items(), m.Items()*sampleSize, err)
	if err == nil {
		for _, o := range e.hub.all() {
			o.ObserveMetrics(e, m)
		}
	}
}

// Watches reports whether an observer looks into what passes.
func (e *Edge) Watches(s pipeline.Signal) bool {
	return slices.ContainsFunc(e.hub.all(), func(o Observer) bool { return o.Watches(e, signalOf(s)) })
}

// TapOTLP counts the items of a request, and shows it to the observers.
func (e *Edge) TapOTLP(r pipeline.OTLP, err error) {
	e.add(signalOf(r.Signal), r.Items, r.Size(), err)
	if err == nil {
		observers := e.hub.all()
		if len(observers) > 1 {
			r = r.Shared() // they decode it once
		}
		for _, o := range observers {
			o.ObserveOTLP(e, r)
		}
	}
}

// TapProfile counts a profile, and shows it to the observers.
func (e *Edge) TapProfile(p pipeline.Profile, err error) {
	e.add(Profiles, p.Items, len(p.Body), err)
	if err == nil {
		for _, o := range e.hub.all() {
			o.ObserveProfile(e, p)
		}
	}
}
