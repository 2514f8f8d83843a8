// Package memcached is prometheus.exporter.memcached: metrics of a memcached
// server, as memcached_exporter has them, by its library.
package memcached

import (
	"crypto/tls"
	_ "embed"
	"time"

	"github.com/go-kit/log"
	dto "github.com/prometheus/client_model/go"
	library "github.com/prometheus/memcached_exporter/pkg/exporter"

	"collector/pkg/component"
	"collector/pkg/exporters/exporter"
	"collector/pkg/httpclient"
)

//go:embed prometheus.exporter.memcached.md
var page string

// Definition is the component prometheus.exporter.memcached.
func Definition() component.Definition {
	return component.Define("prometheus.exporter.memcached", New, exporter.Doc(page))
}

// Config is the configuration of prometheus.exporter.memcached.
type Config struct {
	Address string          `alloy:"address,attr,optional"`
	Timeout time.Duration   `alloy:"timeout,attr,optional"`
	TLS     *httpclient.TLS `alloy:"tls_config,block,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() { *c = Config{Address: "localhost:11211", Timeout: time.Second} }

// Memcached is the component prometheus.exporter.memcached.
type Memcached struct {
	*exporter.Exporter
	*exporter.Server
	heard exporter.Heard
}

// New makes the exporter, which does not connect yet.
func New(cfg Config, o component.Options) (*Memcached, error) {
	m := &Memcached{Server: exporter.NewServer("memcached", cfg.Address)}
	var secure *tls.Config
	if cfg.TLS != nil {
		var err error
		if secure, err = cfg.TLS.Client(); err != nil {
			return nil, component.At("tls_config", err)
		}
	}
	asks := library.New(cfg.Address, cfg.Timeout, log.LoggerFunc(m.heard.KitLog), secure)
	page, err := exporter.RemotePage(o, exporter.Remote{Program: "memcached_exporter", Collector: exporter.Together(m.heard.Forget, asks), Done: m.scraped})
	if err != nil {
		return nil, err
	}
	m.Exporter = exporter.New(o, "memcached", cfg.Address, page)
	return m, nil
}

// scraped keeps how a scrape went.
func (m *Memcached) scraped(families []*dto.MetricFamily, err error) {
	why := m.heard.Error()
	if families == nil && err != nil {
		why = err.Error()
	}
	m.Asked(why)
}
