package ui

import (
	"context"
	"log/slog"

	dto "github.com/prometheus/client_model/go"

	"collector/pkg/admin/ui/flow"
	"collector/pkg/admin/ui/redact"
	"collector/pkg/admin/ui/support"
	"collector/pkg/config"
	"collector/pkg/explore"
	"collector/pkg/graph"
	"collector/pkg/inspect"
	"collector/pkg/listen"
	"collector/pkg/live"
)

// Options make a UI.
type Options struct {
	Source Source
	Reload func(context.Context) error
	Rates  flow.Rates // may be nil
	// Destinations may be nil.
	Destinations flow.Destinations
	// Live is where live views attach; nil to disable them.
	Live *live.Hub
	// Explore is the window of recent data; nil if it is off.
	Explore *explore.Window
	// Inventory lists targets, tails and containers; it may be nil.
	Inventory Inventory
	// Orphans lists the queues that no configured writer uses; it may be nil.
	Orphans func() []flow.OrphanedQueue
	// OnDisk is how the files of the configuration differ from what runs; nil if
	// there are none.
	OnDisk func() ([]config.FileDiff, error)
	// Support is the program's part of a support bundle; nil to disable bundles.
	Support *support.Program
	Prefix  string // below which a browser sees the UI: "" or "/a/b"
	Version string
	Logger  *slog.Logger
}

// Source is where the UI reads. It returns snapshots, which block no pipeline.
type Source interface {
	Summary() graph.Snapshot
	Component(id string) (graph.ComponentInfo, bool)
	ComponentMetrics(id string) []*dto.MetricFamily
	Configuration() (inForce graph.Attempt, failed *graph.Attempt)
	History() []graph.Loading
	Edges() []*live.Edge
}

// Inventory lists targets, tails and containers. They may contain secrets, above all
// in labels, which the pages redact.
type Inventory interface {
	ScrapeTargets() []inspect.ScrapeTarget
	// Fetch fetches a target's page. found is false if it does not exist.
	Fetch(ctx context.Context, component, id string) (answer inspect.Response, found bool, err error)
	LogTails() []inspect.LogTail
	Receivers() []listen.Received
	Engines() []inspect.Engine
	Containers() []inspect.Container
	// Lives are the containers that keep restarting, or ended recently.
	Lives() []inspect.Life
	// Unlisted are the containers that are not targets of any discovery: the reason
	// by name.
	Unlisted() map[string]string
	Relabelings() []inspect.Relabeling
	// Stages are the components that take log entries through stages.
	Stages() []inspect.Stages
}

// nothing is an empty Inventory, and no Rates.
type nothing struct{}

func (nothing) ScrapeTargets() []inspect.ScrapeTarget { return nil }
func (nothing) Fetch(context.Context, string, string) (inspect.Response, bool, error) {
	return inspect.Response{}, false, nil
}
func (nothing) LogTails() []inspect.LogTail       { return nil }
func (nothing) Receivers() []listen.Received      { return nil }
func (nothing) Engines() []inspect.Engine         { return nil }
func (nothing) Containers() []inspect.Container   { return nil }
func (nothing) Lives() []inspect.Life             { return nil }
func (nothing) Unlisted() map[string]string       { return nil }
func (nothing) Relabelings() []inspect.Relabeling { return nil }
func (nothing) Stages() []inspect.Stages          { return nil }
func (nothing) EdgeRates() []flow.EdgeRate        { return nil }

// redacted is a Source without secrets that rules copied: the Source itself hides
// secrets by name only.
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

// Component is a component of the running configuration, without secrets.
func (u *UI) Component(id string) (graph.ComponentInfo, bool) { return u.source.Component(id) }
