package elasticsearch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	library "github.com/prometheus-community/elasticsearch_exporter/collector"
	"github.com/prometheus-community/elasticsearch_exporter/pkg/clusterinfo"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/exporters/exporter"
)

// info is what a cluster says of itself. The library's own polls it in goroutines that
// nothing ends; here it is asked for by a scrape when it is older than the interval.
type info struct {
	client   *http.Client
	url      *url.URL
	interval time.Duration
	log      log.Logger
	named    []**clusterinfo.Response // by collectors whose series have the cluster's name

	up, success, failure, version *prometheus.GaugeVec
	asked                         time.Time // when it last answered; for who scrapes
}

// answer is the part of the answer that there are metrics of.
type answer struct {
	ClusterName string `json:"cluster_name"`
	ClusterUUID string `json:"cluster_uuid"`
	Version     struct {
		Number        string `json:"number"`
		BuildHash     string `json:"build_hash"`
		BuildDate     string `json:"build_date"`
		LuceneVersion string `json:"lucene_version"`
	} `json:"version"`
}

func newInfo(client *http.Client, u *url.URL, interval time.Duration, logger log.Logger) *info {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "elasticsearch_clusterinfo_" + name, Help: help}, labels)
	}
	return &info{
		client: client, url: u, interval: interval, log: logger,
		up:      gauge("up", "Whether the cluster said what it is when it was last asked.", "url"),
		success: gauge("last_retrieval_success_ts", "When the cluster last said what it is.", "url"),
		failure: gauge("last_retrieval_failure_ts", "When the cluster last did not say what it is.", "url"),
		version: gauge("version_info", "Always 0; the labels describe the cluster.", "cluster", "cluster_uuid", "build_date", "build_hash", "version", "lucene_version"),
	}
}

// indices has the series of collector named after the cluster.
func (i *info) indices(collector *library.Indices) prometheus.Collector {
	close(*collector.ClusterLabelUpdates()) // ends the goroutine that would wait for names
	i.named = append(i.named, exporter.Unexported[*clusterinfo.Response](collector, "lastClusterInfo"))
	return collector
}

func (i *info) metrics() []prometheus.Collector {
	return []prometheus.Collector{i.version, i.up, i.success, i.failure}
}

// Describe implements prometheus.Collector.
func (i *info) Describe(to chan<- *prometheus.Desc) {
	for _, m := range i.metrics() {
		m.Describe(to)
	}
}

// Collect implements prometheus.Collector. One caller at a time.
func (i *info) Collect(to chan<- prometheus.Metric) {
	if i.asked.IsZero() || i.interval > 0 && time.Since(i.asked) >= i.interval {
		i.ask()
	}
	for _, m := range i.metrics() {
		m.Collect(to)
	}
}

func (i *info) ask() {
	shown := *i.url
	shown.User = nil
	now := float64(time.Now().Unix())
	a, err := i.get()
	if err != nil {
		_ = level.Error(i.log).Log("msg", "failed to get cluster info", "err", err)
		i.up.WithLabelValues(shown.String()).Set(0)
		i.failure.WithLabelValues(shown.String()).Set(now)
		return
	}
	i.asked = time.Now()
	i.up.WithLabelValues(shown.String()).Set(1)
	i.success.WithLabelValues(shown.String()).Set(now)
	i.version.Reset()
	i.version.WithLabelValues(a.ClusterName, a.ClusterUUID, a.Version.BuildDate, a.Version.BuildHash, a.Version.Number, a.Version.LuceneVersion)
	for _, named := range i.named {
		*named = &clusterinfo.Response{ClusterName: a.ClusterName}
	}
}

func (i *info) get() (*answer, error) {
	u := *i.url
	u.Path = path.Join(u.Path, "/")
	got, err := i.client.Get(u.String())
	if err != nil {
		return nil, fmt.Errorf("%s://%s%s: %w", u.Scheme, u.Host, u.Path, unwrapped(err))
	}
	defer got.Body.Close()
	if got.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answers %s", got.Status)
	}
	var a answer
	return &a, json.NewDecoder(got.Body).Decode(&a)
}

// unwrapped is an error of a request without its URL, which may have a password.
func unwrapped(err error) error {
	if e, ok := err.(*url.Error); ok {
		return e.Err
	}
	return err
}

// atOnce is several collectors that are asked at the same time, as each may take as
// long as a request.
type atOnce []prometheus.Collector

// Describe implements prometheus.Collector.
func (a atOnce) Describe(to chan<- *prometheus.Desc) {
	for _, c := range a {
		c.Describe(to)
	}
}

// Collect implements prometheus.Collector. A panic of one of them is its own, once all
// others are done.
func (a atOnce) Collect(to chan<- prometheus.Metric) {
	var asking sync.WaitGroup
	panics := make(chan any, len(a))
	for _, c := range a {
		asking.Go(func() {
			defer func() {
				if why := recover(); why != nil {
					panics <- why
				}
			}()
			c.Collect(to)
		})
	}
	asking.Wait()
	select {
	case why := <-panics:
		panic(why)
	default:
	}
}
