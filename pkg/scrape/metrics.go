package scrape

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// The reasons by which samples are dropped.
const (
	reasonDuplicate     = "duplicate"
	reasonOutOfOrder    = "out_of_order"
	reasonOutOfBounds   = "out_of_bounds"
	reasonForwardFailed = "forward_failed"
)

// The reasons for which a scrape fails, besides those of a limit.
const (
	failedUnreachable = "unreachable" // no answer, or not all of it
	failedTimeout     = "timeout"
	failedStatus      = "status"
	failedRedirect    = "redirect"
	failedPage        = "bad_page" // it cannot be read
)

type metrics struct {
	targets        prometheus.Gauge
	moved          prometheus.Counter
	syncs          prometheus.Counter
	syncFailed     prometheus.Counter
	duplicates     prometheus.Counter
	missed         prometheus.Counter
	interval       *prometheus.SummaryVec
	fanoutLatency  prometheus.Histogram
	forwarded      prometheus.Counter
	forwardErrors  prometheus.Counter
	dropped        *prometheus.CounterVec
	failures       *prometheus.CounterVec
	bodyLimit      prometheus.Counter
	sampleLimit    prometheus.Counter
	targetLimit    prometheus.Counter
	labelLimits    prometheus.Counter
	bucketLimit    prometheus.Counter
	sampleDup      prometheus.Counter
	sampleOrder    prometheus.Counter
	sampleBounds   prometheus.Counter
	pagesFast      prometheus.Counter
	pagesFull      prometheus.Counter
	seriesInMemory prometheus.GaugeFunc
}

// newMetrics makes the metrics and registers them; series returns how many series are
// remembered.
func newMetrics(reg prometheus.Registerer, series func() float64) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	m := &metrics{
		targets: prometheus.NewGauge(prometheus.GaugeOpts{Name: "prometheus_scrape_targets_gauge", Help: "Targets that are being scraped."}),
		interval: prometheus.NewSummaryVec(prometheus.SummaryOpts{
			Name: "prometheus_target_interval_length_seconds", Help: "Time between two scrapes of a target.",
			Objectives: map[float64]float64{0.01: 0.001, 0.05: 0.005, 0.5: 0.05, 0.90: 0.01, 0.99: 0.001}, BufCap: 64, AgeBuckets: 2,
		}, []string{"interval"}),
		fanoutLatency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "prometheus_fanout_latency", Help: "Time in seconds to forward a scrape to all receivers.",
		}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "prometheus_scrape_dropped_samples_total", Help: "Scraped samples that were not forwarded, by reason.",
		}, []string{"reason"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "prometheus_scrape_failures_total", Help: "Scrapes that failed, by reason.",
		}, []string{"reason"}),
		seriesInMemory: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "prometheus_scrape_remembered_series", Help: "Series remembered from the last page of each target.",
		}, series),
		moved:         counter("prometheus_scrape_targets_moved_total", "Targets that moved to another cluster node; always 0."),
		syncs:         counter("prometheus_target_scrape_pool_sync_total", "Times that the list of targets was updated."),
		syncFailed:    counter("prometheus_target_sync_failed_total", "Targets with invalid labels or settings."),
		duplicates:    counter("prometheus_scrape_duplicate_targets_total", "Targets skipped because another one has the same labels."),
		missed:        counter("prometheus_scrape_missed_scrapes_total", "Scrapes skipped because the previous one had not finished."),
		forwarded:     counter("prometheus_forwarded_samples_total", "Samples forwarded to receivers."),
		forwardErrors: counter("prometheus_scrape_forward_errors_total", "Scrapes that a receiver rejected."),
		bodyLimit:     counter("prometheus_target_scrapes_exceeded_body_size_limit_total", "Scrapes whose page was over the size limit."),
		sampleLimit:   counter("prometheus_target_scrapes_exceeded_sample_limit_total", "Scrapes whose page had more samples than allowed."),
		targetLimit:   counter("prometheus_target_scrape_pool_exceeded_target_limit_total", "Times that there were more targets than allowed."),
		labelLimits:   counter("prometheus_target_scrape_pool_exceeded_label_limits_total", "Scrapes with labels over a limit."),
		bucketLimit:   counter("prometheus_target_scrapes_exceeded_native_histogram_bucket_limit_total", "Scrapes with a native histogram of too many buckets."),
		sampleDup:     counter("prometheus_target_scrapes_sample_duplicate_timestamp_total", "Samples dropped because the series has a sample at that time."),
		sampleOrder:   counter("prometheus_target_scrapes_sample_out_of_order_total", "Samples dropped because the series has a later sample."),
		sampleBounds:  counter("prometheus_target_scrapes_sample_out_of_bounds_total", "Samples dropped because their timestamp is far in the future."),
		pagesFast:     counter("prometheus_scrape_pages_compared_total", "Pages read by comparing them with the page before."),
		pagesFull:     counter("prometheus_scrape_pages_parsed_total", "Pages parsed in full."),
	}
	for _, c := range []prometheus.Collector{m.targets, m.interval, m.fanoutLatency, m.dropped, m.failures, m.seriesInMemory} {
		reg.MustRegister(c)
	}
	return m
}

// fail counts a scrape that failed. otherwise is the reason if err has none.
func (m *metrics) fail(err error, otherwise string) {
	reason := otherwise
	for _, known := range []struct {
		err    error
		reason string
		count  prometheus.Counter // that Prometheus has for it
	}{
		{errBodySizeLimit, "body_size_limit", m.bodyLimit},
		{errSampleLimit, "sample_limit", m.sampleLimit},
		{errBucketLimit, "bucket_limit", m.bucketLimit},
		{errLabelLimit, "label_limit", m.labelLimits},
		{errTargetLimit, "target_limit", nil}, // counted once for all targets
		{errMemory, "memory", nil},
		{errRedirect, failedRedirect, nil},
		{errStatus, failedStatus, nil},
		{context.DeadlineExceeded, failedTimeout, nil},
	} {
		if errors.Is(err, known.err) {
			reason = known.reason
			if known.count != nil {
				known.count.Inc()
			}
			break
		}
	}
	m.failures.WithLabelValues(reason).Inc()
}

// drop counts n samples of one scrape that are not forwarded.
func (m *metrics) drop(reason string, n int) {
	if n == 0 {
		return
	}
	m.dropped.WithLabelValues(reason).Add(float64(n))
	switch reason {
	case reasonDuplicate:
		m.sampleDup.Add(float64(n))
	case reasonOutOfOrder:
		m.sampleOrder.Add(float64(n))
	case reasonOutOfBounds:
		m.sampleBounds.Add(float64(n))
	}
}
