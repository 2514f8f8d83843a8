package observe

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/trace"
)

// Metrics are the metrics of an HTTP service. The label path is a route's template.
type Metrics struct {
	registry   *prometheus.Registry
	requests   *prometheus.CounterVec   // method, path
	responses  *prometheus.CounterVec   // method, path, status_code
	durations  *prometheus.HistogramVec // method, path
	inProgress *prometheus.GaugeVec     // method, path
	exceptions *prometheus.CounterVec   // method, path, exception_type
}

// NewMetrics returns the metrics of a service in a registry of their own,
// together with the metrics of the Go runtime and of the process.
func NewMetrics(version string) *Metrics {
	route := []string{"method", "path"}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total",
			Help: "Requests that came in.",
		}, route),
		responses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_responses_total",
			Help: "Responses that went out.",
		}, append(route, "status_code")),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds",
			Help: "Time from a request's arrival to the end of its response.",
			// Apdex needs a boundary at 0.5 (satisfied) and at 2.5 (tolerating).
			Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2.5, 5, 7.5, 10},
		}, route),
		inProgress: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "http_requests_in_progress",
			Help: "Requests that are being served.",
		}, route),
		exceptions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_exceptions_total",
			Help: "Panics while serving a request, by the type of what was thrown.",
		}, append(route, "exception_type")),
	}
	m.registry.MustRegister(m.requests, m.responses, m.durations, m.inProgress, m.exceptions,
		appInfo(version), workers(), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func appInfo(version string) prometheus.Collector {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "app_info",
		Help:        "Always 1; the labels describe the program.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	return info
}

// workers needs no bookkeeping: each process reports 1, the sum is how many there are,
// and the value of a crashed process goes stale as soon as it can no longer be scraped.
func workers() prometheus.Collector {
	live := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "app_workers",
		Help: "Always 1; sum(app_workers) is the number of live processes.",
	})
	live.Set(1)
	return live
}

// Handler serves the metrics: as OpenMetrics to those who ask for it, because
// that is the format that carries exemplars.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// Middleware counts and times each request.
func (m *Metrics) Middleware(route Route) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			method, path := methodOf(r), route(r)
			answer := watch(w, r)

			m.requests.WithLabelValues(method, path).Inc()
			inProgress := m.inProgress.WithLabelValues(method, path)
			inProgress.Inc()
			// Deferred, because a handler may abort its request by a panic.
			defer func() {
				inProgress.Dec()
				m.responses.WithLabelValues(method, path, strconv.Itoa(answer.Status())).Inc()
				observe(r.Context(), m.durations.WithLabelValues(method, path), time.Since(start))
			}()
			next.ServeHTTP(answer, r)
		})
	}
}

// observe adds a duration, with the trace as its exemplar if that is kept: a
// point in a graph of latencies then leads to a request that was that slow.
func observe(ctx context.Context, histogram prometheus.Observer, d time.Duration) {
	span := trace.SpanContextFromContext(ctx)
	if with, ok := histogram.(prometheus.ExemplarObserver); ok && span.IsSampled() {
		with.ObserveWithExemplar(d.Seconds(), prometheus.Labels{"trace_id": span.TraceID().String()})
		return
	}
	histogram.Observe(d.Seconds())
}
