// Package elasticsearch is prometheus.exporter.elasticsearch: metrics of an
// Elasticsearch or OpenSearch cluster, as elasticsearch_exporter has them, by its
// library.
package elasticsearch

import (
	"context"
	_ "embed"
	"net/http"

	"github.com/go-kit/log"
	library "github.com/prometheus-community/elasticsearch_exporter/collector"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"collector/pkg/component"
	"collector/pkg/exporters/exporter"
)

//go:embed prometheus.exporter.elasticsearch.md
var page string

// Definition is the component prometheus.exporter.elasticsearch.
func Definition() component.Definition {
	return component.Define("prometheus.exporter.elasticsearch", New, exporter.Doc(page))
}

// Elasticsearch is the component prometheus.exporter.elasticsearch.
type Elasticsearch struct {
	*exporter.Exporter
	*exporter.Server
	heard  exporter.Heard
	client *http.Client
}

// New makes the exporter, which does not connect yet.
func New(cfg Config, o component.Options) (*Elasticsearch, error) {
	o = o.WithDefaults()
	u, err := cfg.url()
	if err != nil {
		return nil, err
	}
	client, err := cfg.client(o)
	if err != nil {
		return nil, err
	}
	e := &Elasticsearch{Server: exporter.NewServer("Elasticsearch", u.Host), client: client}
	logger := log.LoggerFunc(e.log)
	i := newInfo(client, u, cfg.ClusterInfoInterval, logger)
	asks := []prometheus.Collector{library.NewClusterHealth(logger, client, u), library.NewNodes(logger, client, u, cfg.AllNodes, cfg.Node)}
	if cfg.Indices || cfg.Shards {
		asks = append(asks, i.indices(library.NewIndices(logger, client, u, cfg.Shards, cfg.Aliases)))
	}
	if cfg.Snapshots {
		asks = append(asks, library.NewSnapshots(logger, client, u))
	}
	if cfg.ClusterSettings {
		asks = append(asks, library.NewClusterSettings(logger, client, u))
	}
	if cfg.DataStreams {
		asks = append(asks, newDataStreams(client, u, logger))
	}
	if cfg.IndicesSettings {
		asks = append(asks, library.NewIndicesSettings(logger, client, u))
	}
	if cfg.SLM {
		asks = append(asks, library.NewSLM(logger, client, u))
	}
	page, err := exporter.RemotePage(o, exporter.Remote{
		Program: "elasticsearch_exporter", Collector: exporter.Together(e.heard.Forget, i, atOnce(asks)), Done: e.scraped,
	})
	if err != nil {
		return nil, err
	}
	e.Exporter = exporter.New(o, "elasticsearch", u.Host, page)
	return e, nil
}

// log keeps why a request failed, for which the library has mere warnings.
func (e *Elasticsearch) log(pairs ...any) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if level, ok := pairs[i+1].(interface{ String() string }); ok && pairs[i] == "level" && level.String() == "warn" {
			pairs[i+1] = "error"
		}
	}
	return e.heard.KitLog(pairs...)
}

// scraped keeps how a scrape went.
func (e *Elasticsearch) scraped(families []*dto.MetricFamily, err error) {
	why := e.heard.Error()
	if families == nil && err != nil {
		why = err.Error()
	}
	e.Asked(why)
}

// Run waits until ctx ends, and closes the connections that scrapes have left open.
func (e *Elasticsearch) Run(ctx context.Context) error {
	defer e.client.CloseIdleConnections()
	return e.Exporter.Run(ctx)
}
