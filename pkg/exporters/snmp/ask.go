package snmp

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
	_ "unsafe" // for go:linkname

	"github.com/gosnmp/gosnmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/snmp_exporter/collector"
	"github.com/prometheus/snmp_exporter/scraper"
)

// collect is the library's: it asks client for a module, and makes metrics of the
// answers. The library's own Collect calls it in goroutines, where a panic at a
// device's answer would be the whole program's.
//
//go:linkname collect github.com/prometheus/snmp_exporter/collector.Collector.collect
func collect(c collector.Collector, to chan<- prometheus.Metric, logger *slog.Logger, client scraper.SNMPScraper, module *collector.NamedModule)

// asking is the metrics of one scrape.
type asking struct {
	ctx context.Context
	question
	concurrency int
	metrics     collector.Metrics
}

// Describe implements prometheus.Collector: nothing is known beforehand.
func (a *asking) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector. Each worker has a connection of its own.
func (a *asking) Collect(to chan<- prometheus.Metric) {
	logger := slog.New(slog.DiscardHandler)
	c := collector.New(a.ctx, a.target, a.authName, a.context, a.auth, a.modules, logger, a.metrics, a.concurrency, false)
	modules := make(chan int, len(a.modules)) // by their index
	for i := range a.modules {
		modules <- i
	}
	close(modules)
	var working sync.WaitGroup
	for range min(a.concurrency, len(a.modules)) {
		working.Go(func() {
			if err := a.work(*c, to, logger, modules); err != nil {
				to <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
			}
		})
	}
	working.Wait()
}

// work asks for modules until there are none.
func (a *asking) work(c collector.Collector, to chan<- prometheus.Metric, logger *slog.Logger, modules <-chan int) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("BUG: panic: %v", r)
		}
	}()
	library, err := scraper.NewGoSNMP(logger, a.target, "", false)
	if err != nil {
		return err
	}
	client := &walker{GoSNMPWrapper: library}
	client.SetOptions(a.configure)
	if err := client.Connect(); err != nil {
		return err
	}
	defer client.Close()
	for i := range modules {
		start := time.Now()
		client.kept = 0
		collect(c, to, logger, client, a.modules[i])
		a.metrics.SNMPCollectionDuration.WithLabelValues(a.names[i]).Observe(time.Since(start).Seconds())
	}
	return nil
}

// configure sets what is the same for all modules.
func (a *asking) configure(g *gosnmp.GoSNMP) {
	g.Context = a.ctx
	for _, m := range a.modules {
		g.UseUnconnectedUDPSocket = g.UseUnconnectedUDPSocket || m.WalkParams.UseUnconnectedUDPSocket
	}
	a.auth.ConfigureSNMP(g, a.context)
}

// newMetrics are the exporter's own metrics, of one scrape as in Alloy.
func newMetrics(r prometheus.Registerer) collector.Metrics {
	m := collector.Metrics{
		SNMPCollectionDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "snmp_collection_duration_seconds", Help: "How long modules took.",
		}, []string{"module"}),
		SNMPUnexpectedPduType: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "snmp_unexpected_pdu_type_total", Help: "Values of a type that is unknown.",
		}),
		SNMPDuration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "snmp_packet_duration_seconds", Help: "How long answers took.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 15),
		}),
		SNMPPackets: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "snmp_packets_total", Help: "Packets sent, repeated ones too.",
		}),
		SNMPRetries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "snmp_packet_retries_total", Help: "Packets sent again.",
		}),
		SNMPInflight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "snmp_request_in_flight", Help: "Modules that are being queried.",
		}),
	}
	r.MustRegister(m.SNMPCollectionDuration, m.SNMPUnexpectedPduType, m.SNMPDuration, m.SNMPPackets, m.SNMPRetries, m.SNMPInflight)
	return m
}
