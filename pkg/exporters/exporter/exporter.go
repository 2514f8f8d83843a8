// Package exporter is what all prometheus.exporter.* have in common: a page of
// metrics, which the program's HTTP server serves, and the target at which
// prometheus.scrape finds it without a socket.
package exporter

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
)

// Exporter is a component prometheus.exporter.*.
type Exporter struct {
	targets *discovery.Set
	page    http.Handler
}

// maxPages is how many pages may be made at once: one more is refused, as what
// pages are made of has become slow.
const maxPages = 40

// New makes an exporter whose page has the metrics. kind is the last part of the
// component's name, such as "unix"; instance is the label of its target.
func New(o component.Options, kind, instance string, metrics prometheus.Gatherer) *Exporter {
	o = o.WithDefaults()
	name := o.ID[:max(0, strings.LastIndexByte(o.ID, '.'))]
	e := &Exporter{targets: discovery.NewSet()}
	e.targets.Replace([]discovery.Target{labels.FromStrings(
		model.AddressLabel, component.MemoryAddress,
		model.SchemeLabel, "http",
		model.MetricsPathLabel, path.Join(component.HandlerPath(o.ID), "metrics"),
		model.JobLabel, "integrations/"+kind,
		model.InstanceLabel, instance,
		"__meta_component_name", name,
		"__meta_component_id", o.ID,
	)})
	e.page = promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		// What can't be had costs the page nothing else.
		ErrorHandling:       promhttp.ContinueOnError,
		ErrorLog:            slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
		MaxRequestsInFlight: maxPages,
	})
	return e
}

// Exports is the list of the one target.
func (e *Exporter) Exports() map[string]any { return map[string]any{"targets": e.targets} }

// Handler serves the page at every path, as in Alloy.
func (e *Exporter) Handler() http.Handler { return e.page }

// Run waits until ctx ends: a page is made when it is asked for.
func (e *Exporter) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Doc is the documentation of a component whose page is text.
func Doc(text string) component.Doc {
	return component.Doc{Page: text, Exports: []component.Export{{Name: "targets", Type: "list(map(string))"}}}
}

// Host is the label instance of what tells of the machine: its name.
func Host() string {
	if name := os.Getenv("HOSTNAME"); name != "" {
		return name
	}
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "unknown"
}
