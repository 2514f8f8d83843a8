package remotewrite

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/deliver"
)

// activeWindow is how long a series counts as active after its last sample, at
// least; at most twice as long.
const activeWindow = 5 * time.Minute

// metrics are the metrics of one component, under the names that Alloy's dashboards
// read.
type metrics struct {
	appended prometheus.Counter
	samples  *prometheus.CounterVec
	hists    *prometheus.CounterVec
	exempl   *prometheus.CounterVec
	families *prometheus.CounterVec
	retried  *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	metaSize *prometheus.CounterVec
	leftOut  *prometheus.CounterVec
	lost     *prometheus.CounterVec
	sentTime *prometheus.GaugeVec
	duration *prometheus.HistogramVec

	highest atomic.Int64 // the newest sample ever appended, in milliseconds
	active  activeSeries
}

// endpointMetrics are the metrics of one endpoint.
type endpointMetrics struct {
	samples, histograms, exemplars, metadata prometheus.Counter
	samplesRetried, bytes, metadataBytes     prometheus.Counter
	dropped                                  *prometheus.CounterVec
	exemplarsRelabeled, exemplarsTooLong     prometheus.Counter
	highestSent                              prometheus.Gauge
	duration                                 prometheus.Observer
	highestSentMilli                         atomic.Int64
}

const storage = "prometheus_remote_storage_"

func newMetrics(reg prometheus.Registerer) *metrics {
	byEndpoint := []string{"remote_name", "url"}
	counter := func(name, help string, more ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: storage + name, Help: help}, append(byEndpoint[:2:2], more...))
	}
	m := &metrics{
		appended: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "prometheus_remote_write_wal_samples_appended_total", Help: "Samples that were queued.",
		}),
		samples:  counter("samples_total", "Float samples that the destination accepted."),
		hists:    counter("histograms_total", "Native histograms that the destination accepted."),
		exempl:   counter("exemplars_total", "Exemplars that the destination accepted."),
		families: counter("metadata_total", "Metadata of metric families that the destination accepted."),
		retried:  counter("samples_retried_total", "Samples of requests that failed and were kept to be retried."),
		bytes:    counter("bytes_total", "Bytes sent, compressed, of requests that the destination accepted."),
		metaSize: counter("metadata_bytes_total", "Bytes of metadata, before compression, in requests that the destination accepted."),
		leftOut:  counter("samples_left_out_total", "Samples that an endpoint's settings removed from a request.", "reason"),
		lost:     counter("exemplars_dropped_total", "Exemplars that were dropped while their samples were sent, by reason.", "reason"),
		sentTime: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: storage + "queue_highest_sent_timestamp_seconds", Help: "The newest sample that the destination accepted, in seconds since the epoch.",
		}, byEndpoint),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: storage + "sent_batch_duration_seconds", Help: "How long requests to the destination took.",
			Buckets:                        append(prometheus.DefBuckets[:11:11], 25, 60, 120, 300),
			NativeHistogramBucketFactor:    1.1,
			NativeHistogramMaxBucketNumber: 100,
		}, byEndpoint),
	}
	highest := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: storage + "highest_timestamp_in_seconds", Help: "The newest sample that was queued, in seconds since the epoch.",
	}, func() float64 { return float64(m.highest.Load() / 1000) })
	active := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "prometheus_remote_write_wal_storage_active_series", Help: "Series that had a sample in the last minutes, roughly.",
	}, func() float64 { return float64(m.active.count(time.Now())) })
	for _, c := range []prometheus.Collector{
		m.appended, m.samples, m.hists, m.exempl, m.families, m.retried, m.bytes, m.metaSize, m.leftOut, m.lost, m.sentTime, m.duration, highest, active,
	} {
		reg.MustRegister(c)
	}
	return m
}

// endpoint returns the metrics of one endpoint, all at 0.
func (m *metrics) endpoint(name, url string) *endpointMetrics {
	return &endpointMetrics{
		samples:            m.samples.WithLabelValues(name, url),
		histograms:         m.hists.WithLabelValues(name, url),
		exemplars:          m.exempl.WithLabelValues(name, url),
		metadata:           m.families.WithLabelValues(name, url),
		samplesRetried:     m.retried.WithLabelValues(name, url),
		bytes:              m.bytes.WithLabelValues(name, url),
		metadataBytes:      m.metaSize.WithLabelValues(name, url),
		dropped:            m.leftOut.MustCurryWith(prometheus.Labels{"remote_name": name, "url": url}),
		exemplarsRelabeled: m.lost.WithLabelValues(name, url, reasonRelabeled),
		exemplarsTooLong:   m.lost.WithLabelValues(name, url, reasonExemplarTooLong),
		highestSent:        m.sentTime.WithLabelValues(name, url),
		duration:           m.duration.WithLabelValues(name, url),
	}
}

// queued records what a queued block holds.
func (m *metrics) queued(b *batch) {
	m.appended.Add(float64(b.items))
	if b.items > 0 {
		raise(&m.highest, b.maxTime)
	}
}

// sent records a request that was accepted.
func (m *endpointMetrics) sent(r *request) {
	m.samples.Add(float64(r.items - r.histograms))
	m.histograms.Add(float64(r.histograms))
	m.exemplars.Add(float64(r.exemplars))
	m.metadata.Add(float64(r.metadata))
	m.bytes.Add(float64(len(r.body)))
	m.metadataBytes.Add(float64(r.metadataBytes))
	if r.maxTime > 0 {
		m.highestSent.Set(float64(raise(&m.highestSentMilli, r.maxTime/int64(time.Millisecond)) / 1000))
	}
}

// attempted records a request that has ended.
func (m *endpointMetrics) attempted(a deliver.Attempt) {
	if a.Outcome == deliver.Retry {
		m.samplesRetried.Add(float64(a.Items))
	}
}

// leftOut records what was not sent because of the endpoint's settings.
func (m *endpointMetrics) leftOut(d drops) {
	for _, part := range []struct {
		n      int
		reason string
	}{{d.relabeled, reasonRelabeled}, {d.histograms, reasonHistograms}, {d.tooOld, reasonTooOld}} {
		if part.n > 0 {
			m.dropped.WithLabelValues(part.reason).Add(float64(part.n))
		}
	}
}

func (m *endpointMetrics) lostExemplars(lost lostExemplars) {
	m.exemplarsRelabeled.Add(float64(lost.relabeled))
	m.exemplarsTooLong.Add(float64(lost.tooLong))
}

// raise sets v to at least n and returns it.
func raise(v *atomic.Int64, n int64) int64 {
	for {
		old := v.Load()
		if n <= old {
			return old
		}
		if v.CompareAndSwap(old, n) {
			return n
		}
	}
}

// activeSeries counts the series of the window in progress and of the one before.
type activeSeries struct {
	begun   atomic.Pointer[time.Time]
	window  atomic.Uint32 // number of the window in progress
	current atomic.Int64
	before  atomic.Int64
}

// windowAt returns the number of the window at now, and begins it if need be.
func (a *activeSeries) windowAt(now time.Time) uint32 {
	begun := a.begun.Load()
	if begun == nil {
		a.begun.CompareAndSwap(nil, &now)
		begun = a.begun.Load()
	}
	w := 1 + uint32(now.Sub(*begun)/activeWindow)
	old := a.window.Load()
	if w == old || !a.window.CompareAndSwap(old, w) {
		return w
	}
	seen := a.current.Swap(0)
	if w != old+1 {
		seen = 0
	}
	a.before.Store(seen)
	return w
}

func (a *activeSeries) count(now time.Time) int64 {
	a.windowAt(now)
	return max(a.current.Load(), a.before.Load())
}

// statusCollector exposes what the delivery loop knows under Prometheus's names.
type statusCollector struct {
	status func() []deliver.Status
	names  map[string]string // remote_name by id

	pending, failed, dropped, shards, shardsMin, shardsMax *prometheus.Desc
}

func newStatusCollector(status func() []deliver.Status, names map[string]string) *statusCollector {
	desc := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc(storage+name, help, append([]string{"remote_name", "url"}, more...), nil)
	}
	return &statusCollector{
		status: status, names: names,
		pending:   desc("samples_pending", "Samples that are queued for the destination."),
		failed:    desc("samples_failed_total", "Samples that the destination rejected permanently."),
		dropped:   desc("samples_dropped_total", "Samples that were dropped, by reason.", "reason"),
		shards:    desc("shards", "Maximum number of concurrent requests."),
		shardsMin: desc("shards_min", "Minimum number of shards."),
		shardsMax: desc("shards_max", "Maximum number of shards."),
	}
}

// Describe is part of prometheus.Collector.
func (c *statusCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.pending, c.failed, c.dropped, c.shards, c.shardsMin, c.shardsMax} {
		out <- d
	}
}

// Collect is part of prometheus.Collector.
func (c *statusCollector) Collect(out chan<- prometheus.Metric) {
	for _, s := range c.status() {
		name := c.names[s.ID]
		send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, more ...string) {
			out <- prometheus.MustNewConstMetric(d, kind, v, append([]string{name, s.URL}, more...)...)
		}
		send(c.pending, prometheus.GaugeValue, float64(s.Queued))
		for _, d := range []*prometheus.Desc{c.shards, c.shardsMin, c.shardsMax} {
			send(d, prometheus.GaugeValue, 1)
		}
		failed := uint64(0)
		for reason, n := range s.Dropped {
			if !ownDrop(reason) {
				failed += n
			}
			send(c.dropped, prometheus.CounterValue, float64(n), reason)
		}
		send(c.failed, prometheus.CounterValue, float64(failed))
	}
}

// ownDrop reports whether a reason lies with this side rather than with the destination.
func ownDrop(reason string) bool {
	switch reason {
	case reasonRelabeled, reasonHistograms, reasonCustomBuckets, reasonTooOld, reasonDamaged, "queue_full":
		return true
	}
	return false
}
