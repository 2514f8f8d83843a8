// Package snmp is prometheus.exporter.snmp: metrics of devices that speak SNMP, as
// snmp_exporter has them, by its library.
package snmp

import (
	_ "embed"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/snmp_exporter/collector"
	library "github.com/prometheus/snmp_exporter/config"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/exporters/exporter"
)

//go:embed prometheus.exporter.snmp.md
var page string

// Definition is the component prometheus.exporter.snmp.
func Definition() component.Definition {
	return component.Define("prometheus.exporter.snmp", New, exporter.Doc(page))
}

// SNMP is the component prometheus.exporter.snmp.
type SNMP struct {
	*exporter.Prober
	modules     *modules
	concurrency int
	addresses   map[string]string // of targets, by their names
	walks       map[string]WalkParam
}

// New makes the exporter, which asks devices when it is scraped.
func New(cfg Config, o component.Options) (*SNMP, error) {
	o = o.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	found, err := cfg.modules()
	if err != nil {
		return nil, err
	}
	s := &SNMP{modules: found, concurrency: max(1, cfg.Concurrency), addresses: map[string]string{}, walks: map[string]WalkParam{}}
	for _, t := range cfg.Targets {
		s.addresses[t.Name] = t.Address
	}
	for _, w := range cfg.WalkParams {
		s.walks[w.Name] = w
	}
	list := cfg.TargetsList
	if list == nil {
		list = discovery.NewSet()
	}
	s.Prober, err = exporter.NewProber(o, "snmp", exporter.Guard(o, http.HandlerFunc(s.ask)), cfg.probes(), list, probesOf)
	return s, err
}

// question is what a scrape asks for.
type question struct {
	target, authName, context string
	auth                      *library.Auth
	modules                   []*collector.NamedModule
	names                     []string // of the modules
}

// question reads the parameters of a scrape.
func (s *SNMP) question(query url.Values) (question, error) {
	for _, name := range append(parameters(), "target") {
		if len(query[name]) > 1 {
			return question{}, fmt.Errorf("the parameter %s is set more than once", name)
		}
	}
	q := question{target: query.Get("target"), authName: query.Get("auth"), context: query.Get("snmp_context")}
	if q.target == "" {
		return q, fmt.Errorf("the parameter target is missing")
	}
	if address := s.addresses[q.target]; address != "" {
		q.target = address
	}
	if q.authName == "" {
		q.authName = "public_v2"
	}
	if q.auth = s.modules.auths[q.authName]; q.auth == nil {
		return q, fmt.Errorf("there is no auth %q", q.authName)
	}
	list := query.Get("module")
	if list == "" {
		list = "if_mib"
	}
	walk, ok := s.walks[query.Get("walk_params")]
	if !ok && query.Get("walk_params") != "" {
		return q, fmt.Errorf("there is no walk_param %q", query.Get("walk_params"))
	}
	for name := range strings.SplitSeq(list, ",") {
		found, err := s.modules.find(name)
		if err != nil {
			return q, err
		}
		if found == nil {
			return q, fmt.Errorf("there is no module %q", name)
		}
		own := *found
		if ok {
			walk.apply(&own.WalkParams)
		}
		q.modules, q.names = append(q.modules, collector.NewNamedModule(name, &own)), append(q.names, name)
	}
	return q, nil
}

// apply sets what w has. Retries are always set, as in Alloy.
func (w WalkParam) apply(to *library.WalkParams) {
	if w.MaxRepetitions != 0 {
		to.MaxRepetitions = w.MaxRepetitions
	}
	to.Retries = &w.Retries
	if w.Timeout != 0 {
		to.Timeout = w.Timeout
	}
	if w.UseUnconnectedUDPSocket {
		to.UseUnconnectedUDPSocket = true
	}
}

// ask answers a scrape.
func (s *SNMP) ask(w http.ResponseWriter, r *http.Request) {
	q, err := s.question(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answers, own := prometheus.NewRegistry(), prometheus.NewRegistry()
	answers.MustRegister(&asking{ctx: r.Context(), question: q, concurrency: s.concurrency, metrics: newMetrics(own)})
	families, err := prometheus.Gatherers{answers, own}.Gather()
	result := exporter.ProbeResult{Target: q.target, Module: strings.Join(q.names, ","), Success: err == nil}
	if err != nil {
		result.Error = err.Error()
	}
	s.Probed(result)
	gathered := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, err })
	promhttp.HandlerFor(gathered, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}
