// Package redis is prometheus.exporter.redis: metrics of a Redis or Valkey server,
// as redis_exporter has them, by its library.
package redis

import (
	_ "embed"
	"io"

	library "github.com/oliver006/redis_exporter/exporter"
	dto "github.com/prometheus/client_model/go"
	"github.com/sirupsen/logrus"

	"collector/pkg/component"
	"collector/pkg/exporters/exporter"
)

//go:embed prometheus.exporter.redis.md
var page string

// Definition is the component prometheus.exporter.redis.
func Definition() component.Definition {
	return component.Define("prometheus.exporter.redis", New, exporter.Doc(page))
}

// Redis is the component prometheus.exporter.redis.
type Redis struct {
	*exporter.Exporter
	*exporter.Server
	namespace string
}

// New makes the exporter, which does not connect yet.
func New(cfg Config, o component.Options) (*Redis, error) {
	o = o.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	// Nothing else that is linked logs by this package. What matters of a scrape is
	// in the metrics, and the library would log it at each one, with no word about
	// which component it is of.
	logrus.SetOutput(io.Discard)
	at, err := parseAddress(cfg.RedisAddr)
	if err != nil {
		return nil, component.At("redis_addr", err)
	}
	options, err := cfg.options(at)
	if err != nil {
		return nil, err
	}
	if cfg.RedisMetricsOnly {
		o.Warn("redis_metrics_only", "metrics of the Go runtime are never on the page, as in Alloy")
	}
	asks, err := library.NewRedisExporter(at.dial, options)
	if err != nil {
		return nil, err
	}
	r := &Redis{namespace: cfg.Namespace, Server: exporter.NewServer("Redis", at.text)}
	page, err := exporter.RemotePage(o, exporter.Remote{
		Program: "redis_exporter", Collector: asks, OwnMetrics: cfg.IncludeExporterMetrics, Done: r.scraped,
	})
	if err != nil {
		return nil, component.At("namespace", err)
	}
	r.Exporter = exporter.New(o, "redis", at.text, page)
	return r, nil
}

// scraped keeps how a scrape went.
func (r *Redis) scraped(families []*dto.MetricFamily, err error) {
	why := ""
	if families == nil && err != nil {
		why = err.Error()
	}
	for _, f := range families {
		if f.GetName() != r.namespace+"_exporter_last_scrape_error" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetName() == "err" {
					why = label.GetValue()
				}
			}
		}
	}
	r.Asked(why)
}
