package elasticsearch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
)

// dataStreams are the statistics of data streams. The library's own prints them to the
// program's output as well.
type dataStreams struct {
	client *http.Client
	url    *url.URL
	log    log.Logger

	up               prometheus.Gauge
	scrapes, invalid prometheus.Counter
	indices, size    *prometheus.Desc
}

func newDataStreams(client *http.Client, u *url.URL, logger log.Logger) *dataStreams {
	const stats, stream = "elasticsearch_data_stream_stats_", "elasticsearch_data_stream_"
	return &dataStreams{
		client: client, url: u, log: logger,
		up:      prometheus.NewGauge(prometheus.GaugeOpts{Name: stats + "up", Help: "Whether the statistics of data streams were answered."}),
		scrapes: prometheus.NewCounter(prometheus.CounterOpts{Name: stats + "total_scrapes", Help: "Times that the statistics of data streams were asked for."}),
		invalid: prometheus.NewCounter(prometheus.CounterOpts{Name: stats + "json_parse_failures", Help: "Answers that could not be parsed."}),
		indices: prometheus.NewDesc(stream+"backing_indices_total", "Number of backing indices.", []string{"data_stream"}, nil),
		size:    prometheus.NewDesc(stream+"store_size_bytes", "Size of a data stream.", []string{"data_stream"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (d *dataStreams) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{d.indices, d.size, d.up.Desc(), d.scrapes.Desc(), d.invalid.Desc()} {
		to <- desc
	}
}

// Collect implements prometheus.Collector.
func (d *dataStreams) Collect(to chan<- prometheus.Metric) {
	d.scrapes.Inc()
	d.up.Set(1)
	if err := d.collect(to); err != nil {
		d.up.Set(0)
		_ = level.Error(d.log).Log("msg", "failed to fetch and decode data stream stats", "err", err)
	}
	to <- d.up
	to <- d.scrapes
	to <- d.invalid
}

func (d *dataStreams) collect(to chan<- prometheus.Metric) error {
	u := *d.url
	u.Path = path.Join(u.Path, "/_data_stream/*/_stats")
	got, err := d.client.Get(u.String())
	if err != nil {
		return unwrapped(err)
	}
	defer got.Body.Close()
	if got.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s", got.Status)
	}
	var answer struct {
		DataStreams []struct {
			Name    string  `json:"data_stream"`
			Indices float64 `json:"backing_indices"`
			Size    float64 `json:"store_size_bytes"`
		} `json:"data_streams"`
	}
	if err := json.NewDecoder(got.Body).Decode(&answer); err != nil {
		d.invalid.Inc()
		return err
	}
	for _, s := range answer.DataStreams {
		for desc, value := range map[*prometheus.Desc]float64{d.indices: s.Indices, d.size: s.Size} {
			m, err := prometheus.NewConstMetric(desc, prometheus.CounterValue, value, s.Name)
			if err != nil { // a name that is not valid UTF-8
				m = prometheus.NewInvalidMetric(desc, err)
			}
			to <- m
		}
	}
	return nil
}
