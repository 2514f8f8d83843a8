package exporter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"collector/pkg/component"
)

// patience is how long a page may take for a request that has no scrape timeout.
const patience = time.Minute

// Remote describes a page whose metrics come from another program.
type Remote struct {
	// Program is the name of the exporter that the library is of, such as
	// "redis_exporter".
	Program string
	// Collector asks when it is collected; without context, so that it may take
	// longer than anybody waits.
	Collector prometheus.Collector
	// OwnMetrics adds the metrics promhttp_*.
	OwnMetrics bool
	// Done is called after each collection, and when one took too long; nil: nobody
	// needs to know.
	Done func([]*dto.MetricFamily, error)
}

// RemotePage is a page of what r asks for. It is asked once at a time, however many
// scrapes there are. One that hangs or panics fails the scrape that waits for it:
// the scrape's timeout ends the wait, and the next one that comes while it still
// hangs fails, too, instead of asking again.
func RemotePage(o component.Options, r Remote) (http.Handler, error) {
	o = o.WithDefaults()
	p := &remotePage{
		guarded: &guarded{Collector: r.Collector}, asked: prometheus.NewRegistry(), own: prometheus.NewRegistry(),
		turn: make(chan struct{}, 1), waiting: make(chan struct{}, maxPages), log: &errorLog{log: o.Logger}, done: r.Done,
	}
	if err := p.asked.Register(p.guarded); err != nil {
		return nil, fmt.Errorf("register the metrics of %s: %w", r.Program, err)
	}
	if err := p.asked.Register(BuildInfo(r.Program, o.UserAgent)); err != nil {
		return nil, fmt.Errorf("register the metrics of %s: %w", r.Program, err)
	}
	if r.OwnMetrics {
		return promhttp.InstrumentMetricHandler(p.own, p), nil
	}
	return p, nil
}

type remotePage struct {
	guarded    *guarded
	asked, own *prometheus.Registry
	turn       chan struct{} // holds one while the collector is asked
	waiting    chan struct{} // holds one for each request
	log        *errorLog
	done       func([]*dto.MetricFamily, error)
}

// ServeHTTP implements http.Handler.
func (p *remotePage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case p.waiting <- struct{}{}:
		defer func() { <-p.waiting }()
	default:
		http.Error(w, "too many scrapes at once", http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout(r))
	defer cancel()
	families, err := p.gather(ctx)
	if err != nil {
		p.log.Println(err)
		if len(families) == 0 {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	gathered := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })
	promhttp.HandlerFor(prometheus.Gatherers{p.own, gathered}, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, ErrorLog: p.log,
	}).ServeHTTP(w, r)
}

// timeout is how long the sender of r waits at most.
func timeout(r *http.Request) time.Duration {
	seconds, err := strconv.ParseFloat(r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds"), 64)
	if err != nil || !(seconds > 0 && seconds < patience.Seconds()) {
		return patience
	}
	return time.Duration(seconds * float64(time.Second))
}

type gathered struct {
	families []*dto.MetricFamily
	err      error
}

// gather collects. What it waits for when ctx ends goes on without it, as a library
// without context can't be stopped, and keeps the turn until then.
func (p *remotePage) gather(ctx context.Context) ([]*dto.MetricFamily, error) {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, errors.New("the previous scrape has not been answered yet")
	}
	result := make(chan gathered, 1)
	go func() {
		defer func() { <-p.turn }()
		p.guarded.panicked = nil
		families, err := p.asked.Gather()
		if p.guarded.panicked != nil {
			families, err = nil, p.guarded.panicked
		}
		p.report(families, err)
		result <- gathered{families, err}
	}()
	select {
	case g := <-result:
		return g.families, g.err
	case <-ctx.Done():
		err := errors.New("no response within the scrape timeout")
		p.report(nil, err)
		return nil, err
	}
}

func (p *remotePage) report(families []*dto.MetricFamily, err error) {
	if p.done != nil {
		p.done(families, err)
	}
}

// guarded is a collector whose panic is an error.
type guarded struct {
	prometheus.Collector
	panicked error // of the last collection; only touched by who has the turn
}

// Collect implements prometheus.Collector.
func (g *guarded) Collect(to chan<- prometheus.Metric) {
	defer func() {
		if r := recover(); r != nil {
			g.panicked = fmt.Errorf("BUG: panic: %v", r)
		}
	}()
	g.Collector.Collect(to)
}

// Together is the metrics of several collectors, one after the other. It calls before
// first, if that is not nil.
func Together(before func(), collectors ...prometheus.Collector) prometheus.Collector {
	return together{before, collectors}
}

type together struct {
	before     func()
	collectors []prometheus.Collector
}

// Describe implements prometheus.Collector.
func (t together) Describe(to chan<- *prometheus.Desc) {
	for _, c := range t.collectors {
		c.Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (t together) Collect(to chan<- prometheus.Metric) {
	if t.before != nil {
		t.before()
	}
	for _, c := range t.collectors {
		c.Collect(to)
	}
}
