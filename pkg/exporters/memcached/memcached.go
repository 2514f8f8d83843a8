// Package memcached is prometheus.exporter.memcached: metrics of a memcached
// server, as memcached_exporter has them, by its library.
package memcached

import (
	"crypto/tls"
	_ "embed"
	"fmt"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
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

	mu     sync.Mutex
	logged string // by the library in this scrape; guarded by mu
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
	asks := library.New(cfg.Address, cfg.Timeout, log.LoggerFunc(m.log), secure)
	page, err := exporter.RemotePage(o, exporter.Remote{Program: "memcached_exporter", Collector: collector{asks, m}, Done: m.scraped})
	if err != nil {
		return nil, err
	}
	m.Exporter = exporter.New(o, "memcached", cfg.Address, page)
	return m, nil
}

// collector forgets what the library has logged in the scrape before.
type collector struct {
	prometheus.Collector
	of *Memcached
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	c.of.mu.Lock()
	c.of.logged = ""
	c.of.mu.Unlock()
	c.Collector.Collect(to)
}

// log keeps the first error that the library logs in a scrape: it is in no metric.
func (m *Memcached) log(pairs ...any) error {
	values := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values[fmt.Sprint(pairs[i])] = fmt.Sprint(pairs[i+1])
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if values["level"] != "error" || m.logged != "" {
		return nil
	}
	m.logged = values["msg"]
	for _, name := range []string{"key", "value", "err"} {
		if values[name] != "" {
			m.logged += ": " + values[name]
		}
	}
	return nil
}

// scraped keeps how a scrape went.
func (m *Memcached) scraped(families []*dto.MetricFamily, err error) {
	m.mu.Lock()
	why := m.logged
	m.mu.Unlock()
	if families == nil && err != nil {
		why = err.Error()
	}
	m.Asked(why)
}
