// Package exporter is what all prometheus.exporter.* have in common: a page of
// metrics, which the program's HTTP server serves, and the target at which
// prometheus.scrape finds it without a socket.
package exporter

import (
	"context"
	"fmt"
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
	"collector/pkg/throttle"
)

// Exporter is a component prometheus.exporter.*.
type Exporter struct {
	targets *discovery.Set
	page    http.Handler
}

// maxPages is how many pages may be made at once: another is refused, as the sources of
// the page have become slow.
const maxPages = 40

// New makes an exporter with a page. kind is the last part of the component's
// name, such as "unix"; instance is the label of its target.
func New(o component.Options, kind, instance string, page http.Handler) *Exporter {
	name := o.ID[:max(0, strings.LastIndexByte(o.ID, '.'))]
	e := &Exporter{targets: discovery.NewSet(), page: page}
	e.targets.Replace([]discovery.Target{labels.FromStrings(
		model.AddressLabel, component.MemoryAddress,
		model.SchemeLabel, "http",
		model.MetricsPathLabel, path.Join(component.HandlerPath(o.ID), "metrics"),
		model.JobLabel, "integrations/"+kind,
		model.InstanceLabel, instance,
		"__meta_component_name", name,
		"__meta_component_id", o.ID,
	)})
	return e
}

// Page is a page with the metrics. A metric that fails costs the page nothing else, and
// is counted in own, unless that is nil.
func Page(o component.Options, metrics prometheus.Gatherer, own prometheus.Registerer) http.Handler {
	return promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		ErrorLog:            &errorLog{log: o.WithDefaults().Logger},
		MaxRequestsInFlight: maxPages,
		Registry:            own,
	})
}

// errorLog logs what is wrong with a page, which may be so each time.
type errorLog struct {
	log   *slog.Logger
	quiet throttle.Log
}

// Println implements promhttp.Logger.
func (l *errorLog) Println(v ...any) {
	l.quiet.Warn(l.log, "", "some metrics are not on the page", "err", strings.TrimSpace(fmt.Sprintln(v...)))
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

// Host is the label instance of exporters for the machine: its name.
func Host() string {
	if name := os.Getenv("HOSTNAME"); name != "" {
		return name
	}
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "unknown"
}
