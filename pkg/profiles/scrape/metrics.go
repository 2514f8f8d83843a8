package scrape

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/cause"
	"collector/pkg/httpclient"
	"collector/pkg/listen"
)

type metrics struct {
	targets   prometheus.Gauge
	missed    prometheus.Counter
	forwarded prometheus.Counter
	dropped   prometheus.Counter
	failures  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "pyroscope_scrape_" + name, Help: help})
	}
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pyroscope_scrape_dropped_profiles_total", Help: "Scraped profiles that a receiver did not accept, by reason.",
	}, []string{"reason"})
	m := &metrics{
		targets:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "pyroscope_scrape_targets", Help: "Profiles that are being scraped, each kind of each target."}),
		missed:    counter("missed_scrapes_total", "Scrapes skipped because the previous one had not finished."),
		forwarded: counter("forwarded_profiles_total", "Profiles forwarded to receivers, for each of them."),
		dropped:   dropped.WithLabelValues("forward_failed"),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pyroscope_scrape_failures_total", Help: "Scrapes that failed, by reason.",
		}, []string{"reason"}),
	}
	reg.MustRegister(m.targets, m.missed, m.forwarded, dropped, m.failures)
	return m
}

// fail counts a scrape that failed.
func (m *metrics) fail(err error) {
	reason := "unreachable"
	var other *cause.NotProfile
	switch {
	case errors.As(err, &other):
		reason = "bad_profile"
	case errors.Is(err, errTooLarge):
		reason = "too_large"
	case errors.Is(err, listen.ErrNoRoom), errors.Is(err, listen.ErrTooLarge):
		reason = "memory"
	case errors.Is(err, httpclient.ErrRedirect):
		reason = "redirect"
	case errors.Is(err, httpclient.ErrStatus):
		reason = "status"
	case errors.Is(err, context.DeadlineExceeded):
		reason = "timeout"
	}
	m.failures.WithLabelValues(reason).Inc()
}
