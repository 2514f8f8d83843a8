// Package overview is the first page: what is wrong, what flows, and what is
// collected from which container.
package overview

import (
	"net/http"
	"slices"
	"time"

	"collector/pkg/admin/ui/flow"
	"collector/pkg/admin/ui/page"
	"collector/pkg/admin/ui/redact"
	"collector/pkg/config"
	"collector/pkg/explore"
	"collector/pkg/graph"
	"collector/pkg/inspect"
	"collector/pkg/live"
	"collector/pkg/mask"
)

// Page is the overview.
type Page struct {
	Site      *page.Site
	Redactor  *redact.Redactor
	Source    Source
	Inventory Inventory
	Rates     flow.Rates
	// Destinations is nil if deliveries are not known.
	Destinations flow.Destinations
	// Orphans lists the queues that no configured writer uses; it may be nil.
	Orphans func() []flow.OrphanedQueue
	// OnDisk is how the files of the configuration differ from what runs; nil if there
	// are none.
	OnDisk func() ([]config.FileDiff, error)
	// Window is Explore's; nil if it is off.
	Window *explore.Window
}

// Source is where the page reads.
type Source interface{ Summary() graph.Snapshot }

// Inventory lists targets, tails and containers.
type Inventory interface {
	ScrapeTargets() []inspect.ScrapeTarget
	LogTails() []inspect.LogTail
	Engines() []inspect.Engine
	Containers() []inspect.Container
	Lives() []inspect.Life
	Relabelings() []inspect.Relabeling
}

// Routes are the paths of the page.
func (p *Page) Routes() []page.Route {
	return page.Both("GET /{$}", "GET /api/v1/overview", p.Model, p.view)
}

// Overview is the model of the first page.
type Overview struct {
	LoadedAt     time.Time                 `json:"loadedAt"`
	Hash         string                    `json:"configurationHash"`
	LoadError    string                    `json:"loadError,omitempty"`
	Components   map[graph.HealthState]int `json:"components"` // how many, by health
	Problems     []problem                 `json:"problems"`
	Signals      []signalFlow              `json:"signals"`
	Destinations []flow.Destination        `json:"destinations"`
	Targets      map[string]int            `json:"targets"` // by state
	Tails        map[string]int            `json:"tails"`   // by state
	Services     []Service                 `json:"services"`
}

// signalFlow is one signal, from its sources to its destinations. Counts are sums
// over its destinations, as on /metrics: received = delivered + queued + dropped.
type signalFlow struct {
	Signal       string            `json:"signal"`
	Destinations int               `json:"destinations"`
	Received     uint64            `json:"received"`
	Delivered    uint64            `json:"delivered"`
	Queued       uint64            `json:"queued"`
	QueuedBytes  int64             `json:"queuedBytes"`
	Dropped      map[string]uint64 `json:"dropped"`
	// Refused is what the queues had no room for: it is not part of received.
	Refused uint64 `json:"refused"`
	// SourcesPerSecond is measured at the sources, before any component changes or
	// drops anything; the rates below are measured at the destinations.
	SourcesPerSecond float64 `json:"sourcesPerSecond"`
	InPerSecond      float64 `json:"inPerSecond"`
	OutPerSecond     float64 `json:"outPerSecond"`
	DroppedPerSecond float64 `json:"droppedPerSecond"`
	// LagSeconds is the age of the oldest data not delivered yet.
	LagSeconds float64     `json:"lagSeconds"`
	Recent     flow.Recent `json:"recent"`
}

// Model is what the page shows.
func (p *Page) Model(r *http.Request) (Overview, error) {
	s := p.Source.Summary()
	now := situation{now: time.Now(), redaction: p.Redactor.Current(), loadError: s.LoadError, components: s.Components, targets: p.Inventory.ScrapeTargets(), tails: p.Inventory.LogTails(), engines: p.Inventory.Engines(), containers: p.Inventory.Containers(), relabelings: p.Inventory.Relabelings()}
	if p.Destinations != nil {
		now.destinations = slices.Clone(p.Destinations.Destinations())
		now.nowhere = len(now.destinations) == 0
		for i := range now.destinations {
			d := &now.destinations[i]
			d.ID, d.URL, d.LastError = mask.WithoutPasswords(d.ID), mask.WithoutPasswords(d.URL), mask.WithoutPasswords(d.LastError)
			d.Cause, d.Fix = mask.WithoutPasswords(d.Cause), mask.WithoutPasswords(d.Fix)
		}
	}
	if p.Orphans != nil {
		now.orphans = p.Orphans()
	}
	now.containers, now.lives = p.Inventory.Containers(), p.Inventory.Lives()
	if p.OnDisk != nil {
		files, err := p.OnDisk()
		now.onDisk = len(files) > 0 || err != nil
	}
	o := Overview{
		LoadedAt: s.LoadedAt, Hash: s.Hash, LoadError: s.LoadError, Components: map[graph.HealthState]int{}, Problems: now.problems(),
		Destinations: append([]flow.Destination{}, now.destinations...), Targets: map[string]int{}, Tails: map[string]int{},
	}
	for _, c := range s.Components {
		o.Components[c.Health.State]++
	}
	for i := range now.targets {
		o.Targets[now.targets[i].State]++
	}
	for i := range now.tails {
		o.Tails[now.tails[i].State]++
	}
	o.Signals = signalFlows(&now, p.Rates.EdgeRates())
	o.Services = p.services(r.Context(), &now)
	return o, nil
}

// signalFlows sums the destinations of each signal.
func signalFlows(s *situation, rates []flow.EdgeRate) []signalFlow {
	var out []signalFlow
	for _, signal := range live.Signals() {
		f := signalFlow{Signal: signal.String(), Dropped: map[string]uint64{}, SourcesPerSecond: fromSources(rates, signal.String())}
		for i := range s.destinations {
			if d := &s.destinations[i]; d.Signal == f.Signal {
				f.add(d, s.now)
				if i == 0 || s.destinations[i-1].Component != d.Component || s.destinations[i-1].Signal != d.Signal {
					f.Refused += d.Queue.Refused // by the queue, which the component's destinations share
				}
			}
		}
		if f.Signal == "logs" {
			for i := range s.tails {
				f.LagSeconds = max(f.LagSeconds, s.tails[i].LagSeconds)
			}
		}
		f.InPerSecond, f.OutPerSecond, f.DroppedPerSecond = ofNow(f.Recent.In), ofNow(f.Recent.Out), ofNow(f.Recent.Dropped)
		out = append(out, f)
	}
	return out
}

func (f *signalFlow) add(d *flow.Destination, now time.Time) {
	if !d.Off {
		f.Destinations++
	}
	f.Received += d.Received
	f.Delivered += d.Delivered
	f.Queued += d.Queued
	f.QueuedBytes += d.QueuedBytes
	for reason, n := range d.Dropped {
		f.Dropped[reason] += n
	}
	if !d.OldestQueued.IsZero() {
		f.LagSeconds = max(f.LagSeconds, now.Sub(d.OldestQueued).Seconds())
	}
	f.Recent.In = flow.AddSeries(f.Recent.In, d.Recent.In)
	f.Recent.Out = flow.AddSeries(f.Recent.Out, d.Recent.Out)
	f.Recent.Waiting = flow.AddSeries(f.Recent.Waiting, d.Recent.Waiting)
	f.Recent.Dropped = flow.AddSeries(f.Recent.Dropped, d.Recent.Dropped)
}

// ofNow is the mean over the last half minute of a series with a value every 5 s,
// like the rate of an edge.
func ofNow(values []float64) float64 {
	values = values[max(0, len(values)-6):]
	if len(values) == 0 {
		return 0
	}
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// fromSources is the rate on the edges that leave a source.
func fromSources(rates []flow.EdgeRate, signal string) (sum float64) {
	fed := map[string]bool{}
	for _, e := range rates {
		if e.Signal == signal {
			fed[e.To] = true
		}
	}
	// A source that forwards to several receivers sends the same to each.
	most := map[string]float64{}
	for _, e := range rates {
		if e.Signal == signal && !fed[e.From] {
			most[e.From] = max(most[e.From], e.ItemsPerSecond)
		}
	}
	for _, rate := range most {
		sum += rate
	}
	return sum
}
