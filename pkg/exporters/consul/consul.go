// Package consul is prometheus.exporter.consul: metrics of a Consul server, with the
// names and labels of consul_exporter. Its library would link Consul's whole client.
package consul

import (
	"context"
	_ "embed"

	dto "github.com/prometheus/client_model/go"

	"collector/pkg/component"
	"collector/pkg/exporters/exporter"
)

//go:embed prometheus.exporter.consul.md
var page string

// Definition is the component prometheus.exporter.consul.
func Definition() component.Definition {
	return component.Define("prometheus.exporter.consul", New, exporter.Doc(page))
}

// Consul is the component prometheus.exporter.consul.
type Consul struct {
	*exporter.Exporter
	*exporter.Server
	heard exporter.Heard
	asks  *client
}

// New makes the exporter, which does not connect yet.
func New(cfg Config, o component.Options) (*Consul, error) {
	asks, err := cfg.client()
	if err != nil {
		return nil, err
	}
	c := &Consul{Server: exporter.NewServer("Consul", asks.base.Host), asks: asks}
	asks.log = c.heard.Logger()
	page, err := exporter.RemotePage(o, exporter.Remote{
		Program: "consul_exporter", Collector: exporter.Together(c.heard.Forget, asks), Done: c.scraped,
	})
	if err != nil {
		return nil, err
	}
	c.Exporter = exporter.New(o, "consul", asks.base.Host, page)
	return c, nil
}

// scraped keeps how a scrape went.
func (c *Consul) scraped(families []*dto.MetricFamily, err error) {
	why := c.heard.Error()
	if families == nil && err != nil {
		why = err.Error()
	}
	c.Asked(why)
}

// Run waits until ctx ends, and closes the connections that scrapes have left open.
func (c *Consul) Run(ctx context.Context) error {
	defer c.asks.http.CloseIdleConnections()
	return c.Exporter.Run(ctx)
}
