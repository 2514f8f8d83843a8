// Package mysql is prometheus.exporter.mysql: metrics of a MySQL or MariaDB server, as
// mysqld_exporter has them, by its library in Alloy's fork.
package mysql

import (
	"context"
	_ "embed"
	"sync"

	"github.com/go-sql-driver/mysql"
	dto "github.com/prometheus/client_model/go"
	library "github.com/prometheus/mysqld_exporter/collector"

	"collector/pkg/component"
	"collector/pkg/exporters/exporter"
)

//go:embed prometheus.exporter.mysql.md
var page string

// Definition is the component prometheus.exporter.mysql.
func Definition() component.Definition {
	return component.Define("prometheus.exporter.mysql", New, exporter.Doc(page))
}

// MySQL is the component prometheus.exporter.mysql.
type MySQL struct {
	*exporter.Exporter
	*exporter.Server
	heard exporter.Heard
}

// quiet keeps the driver, which nothing else that is linked uses, from logging to the
// standard error why a connection broke. The scrape fails with it, too.
var quiet = sync.OnceValue(func() error { return mysql.SetLogger(&mysql.NopLogger{}) })

// New makes the exporter, which does not connect yet.
func New(cfg Config, o component.Options) (*MySQL, error) {
	o = o.WithDefaults()
	source, err := cfg.source()
	if err != nil {
		return nil, component.At("data_source_name", err)
	}
	if _, err := instance(source); err != nil {
		return nil, component.At("data_source_name", err)
	}
	name, err := instance(string(cfg.DataSourceName)) // of the driver's default server for the variable, as in Alloy
	if err != nil {
		return nil, component.At("data_source_name", err)
	}
	if err := quiet(); err != nil {
		return nil, err
	}
	m := &MySQL{Server: exporter.NewServer("MySQL", name)}
	asks := library.New(context.Background(), source, scrapers(&cfg, o), m.heard.Logger(), library.Config{
		LockTimeout: cfg.LockWaitTimeout, SlowLogFilter: cfg.LogSlowFilter,
	})
	page, err := exporter.RemotePage(o, exporter.Remote{
		Program: "mysqld_exporter", Collector: exporter.Together(m.heard.Forget, asks), Done: m.scraped,
	})
	if err != nil {
		return nil, err
	}
	m.Exporter = exporter.New(o, "mysql", name, page)
	return m, nil
}

// scraped keeps how a scrape went.
func (m *MySQL) scraped(families []*dto.MetricFamily, err error) {
	why := m.heard.Error()
	if families == nil && err != nil {
		why = err.Error()
	}
	m.Asked(why)
}
