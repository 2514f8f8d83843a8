package ui

import (
	"context"
	"log/slog"

	dto "github.com/prometheus/client_model/go"

	"collector/pkg/admin/ui/flow"
	"collector/pkg/admin/ui/redact"
	"collector/pkg/admin/ui/support"
	"collector/pkg/explore"
	"collector/pkg/graph"
	"collector/pkg/inspect"
	"collector/pkg/live"
)

// Options make a UI.
type Options struct {
	Source Source
	Reload func(context.Context) error
	Rates  flow.Rates // may be nil
	// Destinations may be nil.
	Destinations flow.Destinations
	// Live is where what passes is watched; nil if it cannot be.
	Live *live.Hub
	// Explore is the window of recent data; nil if it is off.
	Explore *explore.Window
	// Inventory is what there is to collect from; it may be nil.
	Inventory Inventory
	// Orphans lists the queues that no writer of the configuration has; it may be
	// nil.
	Orphans func() []flow.OrphanedQueue
	// Support is what only the program can give to a support bundle; nil if
	// there is to be no bundle.
	Support *support.Program
	Prefix  string // below which a browser sees the UI: "" or "/a/b"
	Version string
	Logger  *slog.Logger
}

// Source is where the UI reads. It gives snapshots: nothing that it returns
// holds up a pipeline.
type Source interface {
	Summary() graph.Snapshot
	Component(id string) (graph.ComponentInfo, bool)
	ComponentMetrics(id string) []*dto.MetricFamily
	Configuration() (inForce graph.Attempt, failed *graph.Attempt)
	Edges() []*live.Edge
}

// Inventory tells what the collector has found to collect from. All it gives
// may hold secrets, in labels above all, which the pages redact.
type Inventory interface {
	ScrapeTargets() []inspect.ScrapeTarget
	// Fetch asks a target for its page. found is false if it is not there.
	Fetch(ctx context.Context, component, id string) (answer inspect.Response, found bool, err error)
	LogTails() []inspect.LogTail
	Engines() []inspect.Engine
	Containers() []inspect.Container
	// Unlisted are the containers that no discovery gives as targets, by name:
	// why not.
	Unlisted() map[string]string
	Relabelings() []inspect.Relabeling
}

// nothing is an Inventory and the Rates where there are none.
type nothing struct{}

func (nothing) ScrapeTargets() []inspect.ScrapeTarget { return nil }
func (nothing) Fetch(context.Context, string, string) (inspect.Response, bool, error) {
	return inspect.Response{}, false, nil
}
func (nothing) LogTails() []inspect.LogTail       { return nil }
func (nothing) Engines() []inspect.Engine         { return nil }
func (nothing) Containers() []inspect.Container   { return nil }
func (nothing) Unlisted() map[string]string       { return nil }
func (nothing) Relabelings() []inspect.Relabeling { return nil }
func (nothing) EdgeRates() []flow.EdgeRate        { return nil }

// redacted is a Source without the secrets that rules have copied: the Source
// itself hides secrets by their names only.
type redacted struct {
	Source
	redactor *redact.Redactor
}

func (s redacted) Component(id string) (graph.ComponentInfo, bool) {
	info, ok := s.Source.Component(id)
	if !ok {
		return info, false
	}
	r := s.redactor.Current()
	info.Arguments, info.Exports, info.Status = r.JSON(info.Arguments), r.JSON(info.Exports), r.JSON(info.Status)
	return info, true
}

// Component is a component of the configuration in force as it may be shown.
func (u *UI) Component(id string) (graph.ComponentInfo, bool) { return u.source.Component(id) }
