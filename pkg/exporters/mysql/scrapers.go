package mysql

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	library "github.com/prometheus/mysqld_exporter/collector"

	"collector/pkg/component"
)

// always are the scrapers that are enabled by default.
func always() []library.Scraper {
	return []library.Scraper{
		library.ScrapeGlobalStatus{}, library.ScrapeGlobalVariables{}, library.ScrapeInnodbCmp{}, library.ScrapeInnodbCmpMem{},
		library.ScrapeQueryResponseTime{}, library.ScrapeSlaveStatus{},
	}
}

// others are the scrapers that are not.
func others(c *Config) []library.Scraper {
	return []library.Scraper{
		library.ScrapeAutoIncrementColumns{}, library.ScrapeBinlogSize{}, library.ScrapeClientStat{}, library.ScrapeEngineInnodbStatus{},
		library.ScrapeEngineTokudbStatus{}, library.ScrapeInfoSchemaInnodbTablespaces{}, library.ScrapeInnodbMetrics{},
		library.ScrapePerfEventsStatementsSum{}, library.ScrapePerfEventsWaits{}, library.ScrapePerfFileEvents{},
		library.ScrapePerfIndexIOWaits{}, library.ScrapePerfReplicationApplierStatsByWorker{}, library.ScrapePerfReplicationGroupMemberStats{},
		library.ScrapePerfReplicationGroupMembers{}, library.ScrapePerfTableIOWaits{}, library.ScrapePerfTableLockWaits{},
		library.ScrapeReplicaHost{}, library.ScrapeSchemaStat{}, library.ScrapeSlaveHosts{}, library.ScrapeSysUserSummary{},
		library.ScrapeTableStat{}, library.ScrapeUserStat{},
		library.ScrapeHeartbeat{Database: c.Heartbeat.Database, Table: c.Heartbeat.Table, UTC: c.Heartbeat.UTC},
		library.ScrapePerfEventsStatements{
			Limit: c.PerfSchemaEventsStatements.Limit, TimeLimit: c.PerfSchemaEventsStatements.TimeLimit, DigestTextLimit: c.PerfSchemaEventsStatements.TextLimit,
		},
		library.ScrapePerfFileInstances{Filter: c.PerfSchemaFileInstances.Filter, RemovePrefix: c.PerfSchemaFileInstances.RemovePrefix},
		library.ScrapePerfMemoryEvents{RemovePrefix: c.PerfSchemaMemoryEvents.RemovePrefix},
		library.ScrapeProcesslist{
			ProcessListMinTime: c.InfoSchemaProcessList.MinTime, ProcessesByUserFlag: c.InfoSchemaProcessList.ProcessesByUser,
			ProcessesByHostFlag: c.InfoSchemaProcessList.ProcessesByHost,
		},
		library.ScrapeTableSchema{Databases: c.InfoSchemaTables.Databases},
		library.ScrapeUser{Privileges: c.User.Privileges},
	}
}

// scrapers are those that are enabled. It warns of names that no scraper has.
func scrapers(c *Config, o component.Options) []library.Scraper {
	byDefault := always()
	all := slices.Concat(byDefault, others(c))
	var names, enabled []string
	for i, s := range all {
		names = append(names, s.Name())
		if i < len(byDefault) && len(c.SetCollectors) == 0 {
			enabled = append(enabled, s.Name())
		}
	}
	for argument, list := range map[string][]string{"set_collectors": c.SetCollectors, "enable_collectors": c.EnableCollectors, "disable_collectors": c.DisableCollectors} {
		for _, name := range list {
			if !slices.Contains(names, name) {
				o.Warn(argument, fmt.Sprintf("there is no collector %q; there are: %s", name, strings.Join(slices.Sorted(slices.Values(names)), ", ")))
			}
		}
	}
	enabled = append(enabled, c.SetCollectors...)
	enabled = slices.DeleteFunc(enabled, func(name string) bool { return slices.Contains(c.DisableCollectors, name) })
	enabled = append(enabled, c.EnableCollectors...)
	var chosen []library.Scraper
	for _, s := range all {
		if slices.Contains(enabled, s.Name()) {
			chosen = append(chosen, guard(s, s.Scrape))
		}
	}
	return chosen
}

// named is what a scraper says of itself.
type named interface {
	Name() string
	Help() string
	Version() float64
}

// guarded is a scraper, which the library calls in a goroutine, whose panic is an
// error. I is the library's type of a server, which only it can name.
type guarded[I any] struct {
	named
	scrape func(context.Context, I, chan<- prometheus.Metric, *slog.Logger) error
}

func guard[I any](n named, scrape func(context.Context, I, chan<- prometheus.Metric, *slog.Logger) error) guarded[I] {
	return guarded[I]{n, scrape}
}

// Scrape implements library.Scraper.
func (g guarded[I]) Scrape(ctx context.Context, server I, to chan<- prometheus.Metric, logger *slog.Logger) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("BUG: panic: %v", r)
		}
	}()
	return g.scrape(ctx, server, to, logger)
}
