// Package unix is prometheus.exporter.unix: metrics of the machine, as
// node_exporter has them, by its library in the form that Alloy has of it. What
// the library keeps in globals, and what costs all collectors when one fails, is
// kept apart here, so that several exporters with different settings run side by
// side.
package unix

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"runtime"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/node_exporter/collector"

	"collector/pkg/component"
	"collector/pkg/exporters/exporter"
)

//go:embed prometheus.exporter.unix.md
var page string

// Definition is the component prometheus.exporter.unix.
func Definition() component.Definition {
	return component.Define("prometheus.exporter.unix", New, exporter.Doc(page))
}

// Unix is the component prometheus.exporter.unix.
type Unix struct {
	*exporter.Exporter
	nodes *nodes
}

// New makes the collectors, which read nothing yet.
func New(cfg Config, o component.Options) (*Unix, error) {
	o = o.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	on, unknown := cfg.collectors(collector.GetDefaults())
	for argument, names := range unknown {
		o.Warn(argument, fmt.Sprintf("there is no collector %s on %s", strings.Join(names, ", "), runtime.GOOS))
	}
	for argument, names := range map[string][]string{"hardware_profilers": cfg.Perf.HardwareProfilers, "software_profilers": cfg.Perf.SoftwareProfilers} {
		if len(names) > 0 {
			o.Warn("perf/"+argument, "all of them are counted in any case, as in Alloy; disable_"+argument+" counts none")
		}
	}
	nodes, err := newNodes(cfg, on, o.Logger)
	if err != nil {
		return nil, err
	}
	own, machine := prometheus.NewRegistry(), prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{nodes, exporter.BuildInfo("node_exporter", o.UserAgent)} {
		machine.MustRegister(c)
	}
	var handler http.Handler = exporter.Page(o, prometheus.Gatherers{own, machine}, own)
	if cfg.IncludeExporterMetrics {
		handler = promhttp.InstrumentMetricHandler(own, handler)
	}
	return &Unix{Exporter: exporter.New(o, "unix", exporter.Host(), handler), nodes: nodes}, nil
}

// Run opens what collectors hold open, and waits until ctx ends: the rest is read
// when the page is asked for.
func (u *Unix) Run(ctx context.Context) error {
	u.nodes.open()
	<-ctx.Done()
	return nil
}

// Status is a snapshot of prometheus.exporter.unix.
type Status struct {
	Collectors []string `json:"collectors"` // that are on
	// Failed are the ones that could not be made, with the reason.
	Failed map[string]string `json:"failed,omitempty"`
}

// Status returns a snapshot for the debug UI.
func (u *Unix) Status() any { return u.nodes.status() }
