package postgres

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus-community/postgres_exporter/collector"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/exporters/exporter"
)

// queryLength is the length of queries by default, as Alloy documents; its program
// makes them empty.
const queryLength = 120

// collectors are the library's, with the settings of this exporter only: the
// library makes each once for the whole program, with the settings of the first
// exporter and of the command line.
func collectors(cfg *Config, source string, logger *slog.Logger) (*collector.PostgresCollector, error) {
	all, err := collector.NewPostgresCollector(logger, nil, source, cfg.EnabledCollectors)
	if err != nil {
		return nil, component.At("enabled_collectors", err)
	}
	if _, ok := all.Collectors["database"]; ok && len(cfg.AutoDiscovery.DatabaseDenylist) > 0 {
		own, err := withoutConfig(collector.NewPGDatabaseCollector)
		if err != nil {
			return nil, err
		}
		*exporter.Unexported[[]string](own, "excludedDatabases") = cfg.AutoDiscovery.DatabaseDenylist
		all.Collectors["database"] = own
	}
	if _, ok := all.Collectors["stat_statements"]; ok && cfg.StatStatements != nil && cfg.StatStatements.IncludeQuery {
		own, err := withoutConfig(collector.NewPGStatStatementsCollector)
		if err != nil {
			return nil, err
		}
		*exporter.Unexported[bool](own, "includeQueryStatement") = true
		*exporter.Unexported[uint](own, "statementLength") = cmp.Or(cfg.StatStatements.QueryLength, queryLength)
		all.Collectors["stat_statements"] = own
	}
	for name, c := range all.Collectors {
		all.Collectors[name] = guard(c.Update)
	}
	return all, nil
}

// withoutConfig calls a constructor with the zero value of a type that only the
// library can name.
func withoutConfig[C any](construct func(C) (collector.Collector, error)) (collector.Collector, error) {
	var none C
	return construct(none)
}

// guarded is a collector, which the library calls in a goroutine, whose panic is an
// error. I is the library's type of a server, which only it can name.
type guarded[I any] struct {
	update func(context.Context, I, chan<- prometheus.Metric) error
}

func guard[I any](update func(context.Context, I, chan<- prometheus.Metric) error) guarded[I] {
	return guarded[I]{update}
}

// Update implements collector.Collector.
func (g guarded[I]) Update(ctx context.Context, server I, to chan<- prometheus.Metric) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("BUG: panic: %v", r)
		}
	}()
	return g.update(ctx, server, to)
}
