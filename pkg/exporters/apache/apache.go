// Package apache is prometheus.exporter.apache: metrics of an Apache HTTP server, as
// apache_exporter has them, by its library.
package apache

import (
	"context"
	_ "embed"
	"errors"
	"net/http"
	"net/url"
	"time"

	library "github.com/Lusitaniae/apache_exporter/collector"
	"github.com/go-kit/log"
	dto "github.com/prometheus/client_model/go"

	"collector/pkg/component"
	"collector/pkg/exporters/exporter"
)

//go:embed prometheus.exporter.apache.md
var page string

// Definition is the component prometheus.exporter.apache.
func Definition() component.Definition {
	return component.Define("prometheus.exporter.apache", New, exporter.Doc(page))
}

// Config is the configuration of prometheus.exporter.apache.
type Config struct {
	ScrapeURI    string `alloy:"scrape_uri,attr,optional"`
	HostOverride string `alloy:"host_override,attr,optional"`
	Insecure     bool   `alloy:"insecure,attr,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() { *c = Config{ScrapeURI: "http://localhost/server-status?auto"} }

// Apache is the component prometheus.exporter.apache.
type Apache struct {
	*exporter.Exporter
	*exporter.Server
	heard  exporter.Heard
	client *http.Client
}

// timeout is how long a server that hangs is waited for: the library has no limit.
const timeout = time.Minute

// New makes the exporter, which does not connect yet.
func New(cfg Config, o component.Options) (*Apache, error) {
	u, err := url.ParseRequestURI(cfg.ScrapeURI)
	if err != nil || u.Host == "" { // the error would quote a password
		return nil, component.At("scrape_uri", errors.New("it is not a valid URL; for example: http://apache/server-status?auto"))
	}
	a := &Apache{Server: exporter.NewServer("Apache", u.Host)}
	asks := library.NewExporter(log.LoggerFunc(a.heard.KitLog), &library.Config{ScrapeURI: cfg.ScrapeURI, HostOverride: cfg.HostOverride, Insecure: cfg.Insecure})
	a.client = *exporter.Unexported[*http.Client](asks, "client")
	a.client.Timeout = timeout
	page, err := exporter.RemotePage(o, exporter.Remote{
		Program: "apache_http", Collector: exporter.Together(a.heard.Forget, asks), Done: a.scraped,
	})
	if err != nil {
		return nil, err
	}
	a.Exporter = exporter.New(o, "apache", u.Host, page)
	return a, nil
}

// scraped keeps how a scrape went.
func (a *Apache) scraped(families []*dto.MetricFamily, err error) {
	why := a.heard.Error()
	if families == nil && err != nil {
		why = err.Error()
	}
	a.Asked(why)
}

// Run waits until ctx ends, and closes the connections that scrapes have left open.
func (a *Apache) Run(ctx context.Context) error {
	defer a.client.CloseIdleConnections()
	return a.Exporter.Run(ctx)
}
