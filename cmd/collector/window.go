package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"collector/pkg/admin/ui/flow"
	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/explore"
	"collector/pkg/graph"
	"collector/pkg/health"
	"collector/pkg/inspect"
	"collector/pkg/live"
	"collector/pkg/mask"
)

// windowSize is a size, or a bare 0 for none. It is a pflag.Value.
type windowSize component.Bytes

// Set reads a size.
func (s *windowSize) Set(text string) error {
	if text == "0" {
		*s = 0
		return nil
	}
	return (*component.Bytes)(s).UnmarshalText([]byte(text))
}

func (s *windowSize) String() string {
	if *s == 0 {
		return "0"
	}
	return component.Bytes(*s).String()
}

// Type is the placeholder for a value in the help.
func (*windowSize) Type() string { return "size" }

// view is what the UI shows of the data that flows, and of its delivery. It knows both
// the UI and the components, which do not know each other.
type view struct {
	hub      *live.Hub
	graph    *graph.Controller
	recorder *live.Recorder
	window   *explore.Window // nil if it is off
	chooser  explore.Chooser
}

// newView makes a view of the traffic in hub; memory is how many bytes of each
// signal the Explore window holds, 0 for none. The graph is set
// before run.
func newView(hub *live.Hub, memory windowSize, age time.Duration) *view {
	v := &view{hub: hub}
	v.recorder = live.NewRecorder(v.read)
	if memory > 0 {
		v.window = explore.New(explore.Options{MaxBytes: int(memory), MaxAge: age, Take: v.chooser.Take})
		hub.Observe(v.window)
	}
	return v
}

// run records until ctx ends.
func (v *view) run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { _ = v.recorder.Run(ctx) }) // nil once ctx has ended
	if v.window != nil {
		running.Go(func() { _ = v.window.Run(ctx) })
	}
}

// reloaded must be called when another configuration is in force.
func (v *view) reloaded() { v.chooser.Update(v.graph.Edges()) }

// Keys of the recorder's numbers.
type (
	edgeKey struct {
		from, to, signal string
	}
	deliveryKey struct {
		component, id, signal string
	}
)

func (k edgeKey) of(number string) string {
	return "edge\x00" + k.from + "\x00" + k.to + "\x00" + k.signal + "\x00" + number
}

func (k deliveryKey) of(number string) string {
	return "delivery\x00" + k.component + "\x00" + k.id + "\x00" + k.signal + "\x00" + number
}

// read gives the recorder the numbers of this moment.
func (v *view) read(r live.Readings) {
	for _, e := range v.graph.Edges() {
		for _, s := range live.Signals() {
			if n := e.Count(s); n.Items > 0 {
				key := edgeKey{e.From, e.To, s.String()}
				r.Fresh(key.of("items"), float64(n.Items))
				r.Fresh(key.of("bytes"), float64(n.Bytes))
			}
		}
	}
	v.deliveries(func(component string, s deliver.Status, _ bool) {
		key := deliveryKey{component, s.ID, s.Signal}
		r.Counter(key.of("in"), float64(s.Received))
		r.Counter(key.of("out"), float64(s.Delivered))
		r.Counter(key.of("dropped"), float64(sum(s.Dropped)))
		r.Gauge(key.of("waiting"), float64(s.Queued))
		r.Gauge(key.of("bytes"), float64(s.QueuedBytes))
	})
}

func sum(counts map[string]uint64) (n uint64) {
	for _, v := range counts {
		n += v
	}
	return n
}

// EdgeRates returns the flow on each edge, of the signals that have passed it.
func (v *view) EdgeRates() []flow.EdgeRate {
	rates := []flow.EdgeRate{}
	for _, e := range v.graph.Edges() {
		for _, s := range live.Signals() {
			n := e.Count(s)
			if n.Items == 0 {
				continue
			}
			key := edgeKey{e.From, e.To, s.String()}
			rates = append(rates, flow.EdgeRate{
				From: e.From, To: e.To, Signal: s.String(), Items: n.Items, Recent: v.recorder.Series(key.of("items")),
				ItemsPerSecond: v.recorder.Rate(key.of("items")), BytesPerSecond: v.recorder.Rate(key.of("bytes")),
			})
		}
	}
	return rates
}

// Destinations returns the state of each delivery, with its last minutes.
func (v *view) Destinations() []flow.Destination {
	all, now := []flow.Destination{}, time.Now()
	v.deliveries(func(component string, s deliver.Status, stores bool) {
		key := deliveryKey{component, s.ID, s.Signal}
		d := flow.Destination{
			Component: component, ID: s.ID, URL: mask.WithoutPasswords(withoutCredentials(s.URL)), Signal: s.Signal,
			Received: s.Received, Delivered: s.Delivered, Queued: s.Queued, QueuedBytes: s.QueuedBytes,
			Dropped: s.Dropped, DamagedBlocks: s.DamagedBlocks,
			LastSuccess: s.LastSuccess, LastFailure: s.LastFailure, LastError: mask.WithoutPasswords(s.LastError),
			Cause: mask.WithoutPasswords(s.Cause.Text), Fix: mask.WithoutPasswords(s.Cause.Fix), CauseKind: s.Cause.Kind,
			OldestQueued: s.OldestQueued, WaitingTenants: s.Waiting, UnansweredSince: s.Unanswered, Healthy: s.Healthy, Stores: stores,
			DownSince: s.DownSince, Rejecting: s.Rejecting, Off: s.Off, Problem: health.Destination(&s, now), Queue: s.Queue,
		}
		switch {
		case !s.Queue.FullSince.IsZero():
			d.FullQueue = health.FullQueue(&s)
		case !s.OldestQueued.IsZero() && now.Sub(s.OldestQueued) > lagging:
			d.FullInSeconds = fullIn(s.Queue.Capacity-s.QueuedBytes, v.recorder.Series(key.of("bytes")))
		}
		if d.Dropped == nil {
			d.Dropped = map[string]uint64{}
		}
		d.Recent = flow.Recent{
			In: v.recorder.Series(key.of("in")), Out: v.recorder.Series(key.of("out")),
			Waiting: v.recorder.Series(key.of("waiting")), Dropped: v.recorder.Series(key.of("dropped")),
		}
		all = append(all, d)
	})
	slices.SortStableFunc(all, func(a, b flow.Destination) int { return cmp.Compare(a.Component, b.Component) })
	return all
}

// lagging is how long data waits before its destination counts as behind: longer than a
// batch takes to fill.
const lagging = 15 * time.Second

// fullIn is after how many seconds a queue will have grown by another room bytes, if it
// grows as in the last minute; 0 if it does not grow. bytes is the data that has waited,
// a value for each 5 s.
func fullIn(room int64, bytes []float64) float64 {
	const readings, every = 12, 5.0
	bytes = bytes[max(0, len(bytes)-readings):]
	half := len(bytes) / 2
	if half == 0 || room <= 0 {
		return 0
	}
	// Halves are compared, as what is delivered leaves by the request.
	grown := 0.0
	for i := range half {
		grown += bytes[len(bytes)-half+i] - bytes[i]
	}
	perSecond := grown / float64(half) / (every * float64(len(bytes)-half))
	if perSecond <= 0 {
		return 0
	}
	return float64(room) / perSecond
}

// deliveries visits each destination of each component that has some. stores is false for
// those that only show what they receive: these have a destination for each signal that
// leads to them, before anything has come.
func (v *view) deliveries(f func(component string, s deliver.Status, stores bool)) {
	v.graph.Components(func(id string, c any) {
		switch c := c.(type) {
		case inspect.Deliverer:
			for _, s := range c.Destinations() {
				f(id, s, true)
			}
			if idle, ok := c.(inspect.Idler); ok {
				wired := v.wired(id)
				for _, s := range idle.Idle() {
					if wired[s.Signal] {
						f(id, s, true)
					}
				}
			}
		case inspect.Viewer:
			given, wired := c.Given(), v.wired(id)
			for _, signal := range slices.Sorted(maps.Keys(given)) {
				if n := given[signal]; n > 0 || wired[signal] {
					f(id, deliver.Status{ID: "explore", Signal: signal, Received: n, Delivered: n, Healthy: true}, false)
				}
			}
		}
	})
}

// wired are the signals for which an edge leads to a component. An edge for OTLP
// requests does not know its signals before something passes: it may be any of
// the three that the receivers before it accept.
func (v *view) wired(to string) map[string]bool {
	found := map[string]bool{}
	for _, e := range v.graph.Edges() {
		if e.To != to {
			continue
		}
		known := false
		for _, s := range live.Signals() {
			if e.Carries(s) {
				known, found[s.String()] = true, true
			}
		}
		if !known {
			v.mayCome(e.From, found, map[string]bool{})
		}
	}
	return found
}

// mayCome adds the signals of OTLP that may leave a component.
func (v *view) mayCome(from string, found, seen map[string]bool) {
	if seen[from] {
		return
	}
	seen[from] = true
	source := true
	each(v.graph, func(id string, c inspect.Receiver) {
		if id == from {
			source = false
			for _, s := range c.Receiving().Signals {
				found[s.Signal] = true
			}
		}
	})
	for _, e := range v.graph.Edges() {
		if e.To == from {
			source = false
			v.mayCome(e.From, found, seen)
		}
	}
	if source {
		for _, s := range []live.Signal{live.Metrics, live.Logs, live.Traces} {
			found[s.String()] = true
		}
	}
}
