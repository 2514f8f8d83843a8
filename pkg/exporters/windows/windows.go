// Package windows is prometheus.exporter.windows, for machines with Windows: on other
// systems it is accepted and has no metrics, as in Alloy.
package windows

import (
	"context"
	_ "embed"
	"log/slog"
	"net/http"

	"collector/pkg/component"
	"collector/pkg/exporters/exporter"
)

//go:embed prometheus.exporter.windows.md
var page string

// Exporter is prometheus.exporter.windows.
type Exporter struct {
	*exporter.Exporter
	logger *slog.Logger
}

// Definition is the component prometheus.exporter.windows.
func Definition() component.Definition {
	return component.Define("prometheus.exporter.windows", New, exporter.Doc(page))
}

// New makes the component. Its page is never found.
func New(_ Config, o component.Options) (*Exporter, error) {
	return &Exporter{exporter.New(o, "windows", exporter.Host(), http.NotFoundHandler()), o.WithDefaults().Logger}, nil
}

// Run says that there are no metrics, and waits until ctx ends.
func (e *Exporter) Run(ctx context.Context) error {
	e.logger.Warn("the component has no metrics: it works on Windows only")
	return e.Exporter.Run(ctx)
}
