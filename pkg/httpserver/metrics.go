package httpserver

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those that Alloy's servers have.
type metrics struct {
	duration          *prometheus.HistogramVec // by method, route, status_code and ws
	received, answers *prometheus.HistogramVec // bytes by method and route
	inFlight          *prometheus.GaugeVec     // by method and route
}

func newMetrics(prefix string, reg prometheus.Registerer, connLimit int, conns func() float64) *metrics {
	sizes := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + name, Help: help, Buckets: []float64{64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20},
		}, []string{"method", "route"})
	}
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    prefix + "_request_duration_seconds",
			Help:    "Time from a request's headers to its response.",
			Buckets: []float64{.005, .025, .1, .5, 1, 5, 30},
		}, []string{"method", "route", "status_code", "ws"}),
		received: sizes("_request_message_bytes", "Size of request bodies in bytes, as received."),
		answers:  sizes("_response_message_bytes", "Size of response bodies in bytes."),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: prefix + "_inflight_requests", Help: "Requests in progress.",
		}, []string{"method", "route"}),
	}
	protocol := prometheus.Labels{"protocol": "http"}
	limit := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        prefix + "_tcp_connections_limit",
		Help:        "Maximum number of concurrent TCP connections; 0 means no limit.",
		ConstLabels: protocol,
	})
	limit.Set(float64(connLimit))
	reg.MustRegister(m.duration, m.received, m.answers, m.inFlight, limit, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        prefix + "_tcp_connections",
		Help:        "Current number of TCP connections.",
		ConstLabels: protocol,
	}, conns))
	return m
}

// Instrument measures the requests of a route that has one method.
func (s *Server) Instrument(route string, next http.Handler) http.Handler {
	m := s.metrics
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		answer, body := &observer{ResponseWriter: w, status: http.StatusOK}, &counter{ReadCloser: r.Body}
		inFlight := m.inFlight.WithLabelValues(r.Method, route)
		inFlight.Inc()
		defer func() {
			inFlight.Dec()
			m.duration.WithLabelValues(r.Method, route, strconv.Itoa(answer.status), "false").Observe(time.Since(start).Seconds())
			m.received.WithLabelValues(r.Method, route).Observe(float64(body.n))
			m.answers.WithLabelValues(r.Method, route).Observe(float64(answer.n))
		}()
		r = r.WithContext(r.Context()) // a copy: the server decides by its own body whether to read on
		r.Body = body
		next.ServeHTTP(answer, r)
	})
}

// counter counts the bytes of a body.
type counter struct {
	io.ReadCloser
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n += int64(n)
	return n, err
}

// observer records the status and the size of a response.
type observer struct {
	http.ResponseWriter
	status int
	n      int64
}

func (w *observer) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *observer) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.n += int64(n)
	return n, err
}

func (w *observer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush implements http.Flusher, which gRPC's answers need.
func (w *observer) Flush() { http.NewResponseController(w.ResponseWriter).Flush() }
