// Package postgres is prometheus.exporter.postgres: metrics of a PostgreSQL server,
// as postgres_exporter has them, by its library in Alloy's fork.
package postgres

import (
	"context"
	_ "embed"
	"strings"
	"time"

	library "github.com/prometheus-community/postgres_exporter/cmd/postgres_exporter"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"collector/pkg/component"
	"collector/pkg/exporters/exporter"
)

//go:embed prometheus.exporter.postgres.md
var page string

// Definition is the component prometheus.exporter.postgres.
func Definition() component.Definition {
	return component.Define("prometheus.exporter.postgres", New, exporter.Doc(page))
}

// Postgres is the component prometheus.exporter.postgres.
type Postgres struct {
	*exporter.Exporter
	*exporter.Server
	heard exporter.Heard
	asks  *library.Exporter
}

// New makes the exporter, which does not connect yet.
func New(cfg Config, o component.Options) (*Postgres, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	sources, err := cfg.sources()
	if err != nil {
		return nil, component.At("data_source_names", err)
	}
	name := o.ID
	if len(sources) == 1 {
		if name, err = instance(sources[0]); err != nil {
			return nil, component.At("data_source_names", err)
		}
	}
	p := &Postgres{Server: exporter.NewServer("PostgreSQL", name)}
	p.asks = library.NewExporter(sources,
		library.DisableDefaultMetrics(cfg.DisableDefaultMetrics),
		library.WithUserQueriesPath(cfg.CustomQueriesConfigPath),
		library.DisableSettingsMetrics(cfg.DisableSettingsMetrics),
		library.AutoDiscoverDatabases(cfg.AutoDiscovery.Enabled),
		library.ExcludeDatabases(cfg.AutoDiscovery.DatabaseDenylist),
		library.IncludeDatabases(strings.Join(cfg.AutoDiscovery.DatabaseAllowlist, ",")),
		library.WithLogger(p.heard.Logger()),
		library.WithMetricPrefix("pg"),
	)
	asks := []prometheus.Collector{p.asks}
	if !cfg.DisableDefaultMetrics {
		c, err := collectors(&cfg, sources[0], p.heard.Logger())
		if err != nil {
			return nil, err
		}
		asks = append(asks, c)
	}
	page, err := exporter.RemotePage(o, exporter.Remote{
		Program: "postgres_exporter", Collector: exporter.Together(p.heard.Forget, asks...), Done: p.scraped,
	})
	if err != nil {
		return nil, err
	}
	p.Exporter = exporter.New(o, "postgres", name, page)
	return p, nil
}

// scraped keeps how a scrape went.
func (p *Postgres) scraped(families []*dto.MetricFamily, err error) {
	why := p.heard.Error()
	if families == nil && err != nil {
		why = err.Error()
	}
	p.Asked(why)
}

// Run waits until ctx ends, and closes the connections that scrapes have left open.
func (p *Postgres) Run(ctx context.Context) error {
	err := p.Exporter.Run(ctx)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		(*exporter.Unexported[*library.Servers](p.asks, "servers")).Close()
	}()
	// A scrape that hangs holds its connection until the server answers.
	select {
	case <-closed:
	case <-time.After(time.Second):
	}
	return err
}
