package exporter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
)

// Probe is one of the addresses that an exporter asks: a target of prometheus.scrape
// of its own.
type Probe struct {
	Name, Address string
	Parameters    map[string]string // of the page, such as module; empty ones are not sent
	Labels        map[string]string // of the target; those of the exporter take precedence
}

func (p Probe) validate() error {
	if p.Name == "" || p.Address == "" {
		return errors.New("a target needs a name and an address")
	}
	return nil
}

// ProbesOf makes probes of a list of targets, which have a name and an address. Their
// labels called as one of the parameters are these; those that are ignored are not
// passed on.
func ProbesOf(targets []discovery.Target, parameters, ignored []string) ([]Probe, error) {
	var probes []Probe
	var errs []error
	for _, t := range targets {
		if t.Has(discovery.EndedLabel) {
			continue
		}
		p := Probe{Name: t.Get("name"), Address: t.Get("address"), Parameters: map[string]string{}, Labels: t.Map()}
		if p.Address == "" {
			p.Address = t.Get(model.AddressLabel)
		}
		for _, name := range parameters {
			p.Parameters[name] = t.Get(name)
		}
		for _, name := range slices.Concat(parameters, ignored, []string{"name", "address", model.AddressLabel}) {
			delete(p.Labels, name)
		}
		if err := p.validate(); err != nil {
			errs = append(errs, fmt.Errorf("%w (the labels name, and address or %s): %s", err, model.AddressLabel, t))
			continue
		}
		probes = append(probes, p)
	}
	return probes, errors.Join(errs...)
}

// Prober is an exporter that asks several addresses.
type Prober struct {
	*Exporter
	base   labels.Labels
	list   *discovery.Set // of targets; nil: the probes are fixed
	probes func([]discovery.Target) ([]Probe, error)

	mu      sync.Mutex
	results map[string]ProbeResult // by result's key; guarded by mu, as all below
	skipped error                  // targets that are no probes
}

// ProbeResult is the outcome of the last probe of an address.
type ProbeResult struct {
	Target  string    `json:"target"`
	Module  string    `json:"module,omitempty"`
	At      time.Time `json:"at"`
	Success bool      `json:"success"`
	Error   string    `json:"error,omitempty"`
}

// maxResults is how many results are kept.
const maxResults = 1000

// NewProber makes an exporter with fixed probes, or with those that probes makes of
// list. Targets that probes has an error for are skipped, and make it unhealthy.
func NewProber(o component.Options, kind string, page http.Handler, fixed []Probe, list *discovery.Set, probes func([]discovery.Target) ([]Probe, error)) (*Prober, error) {
	p := &Prober{Exporter: New(o, kind, o.ID, page), probes: probes, results: map[string]ProbeResult{}}
	base, _ := p.targets.Targets()
	p.base = base[0]
	targets, _ := list.Targets()
	if len(fixed) > 0 {
		if len(targets) > 0 {
			return nil, component.At("targets", errors.New("targets and blocks target are both there: keep one of them"))
		}
		for i, probe := range fixed {
			if err := probe.validate(); err != nil {
				return nil, component.At(component.Block("target", i), err)
			}
		}
		p.expand(fixed)
		return p, nil
	}
	p.list = list
	p.follow(targets)
	return p, nil
}

// expand makes a target of each probe.
func (p *Prober) expand(probes []Probe) {
	targets := []discovery.Target{}
	for _, probe := range probes {
		b := labels.NewBuilder(labels.FromMap(probe.Labels))
		p.base.Range(func(l labels.Label) { b.Set(l.Name, l.Value) })
		b.Set(model.JobLabel, p.base.Get(model.JobLabel)+"/"+probe.Name)
		b.Set(model.ParamLabelPrefix+"target", probe.Address)
		for name, value := range probe.Parameters {
			if value != "" {
				b.Set(model.ParamLabelPrefix+name, value)
			}
		}
		targets = append(targets, b.Labels())
	}
	p.targets.Replace(targets)
}

// follow expands the targets of the list, and keeps why others are skipped. What is
// discovered decides neither whether a configuration loads nor whether the rest is probed.
func (p *Prober) follow(targets []discovery.Target) {
	probes, err := p.probes(targets)
	p.mu.Lock()
	p.skipped = err
	p.mu.Unlock()
	p.expand(probes)
}

// Run follows the list of targets until ctx ends.
func (p *Prober) Run(ctx context.Context) error {
	if p.list == nil {
		return p.Exporter.Run(ctx)
	}
	for {
		targets, changed := p.list.Targets()
		p.follow(targets)
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// Probed keeps how a probe went.
func (p *Prober) Probed(r ProbeResult) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := r.Target + "\x00" + r.Module
	if _, known := p.results[key]; !known && len(p.results) >= maxResults {
		clear(p.results) // current ones are added again by their next probe
	}
	r.At = time.Now()
	p.results[key] = r
}

// Status returns a snapshot for the debug UI: the last result of each address.
func (p *Prober) Status() any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.SortedFunc(maps.Values(p.results), func(a, b ProbeResult) int {
		return strings.Compare(a.Target+"\x00"+a.Module, b.Target+"\x00"+b.Module)
	})
}

// Health reports targets that cannot be probed. A probe that fails is in the metrics.
func (p *Prober) Health() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.skipped
}

// Guard serves h within the scrape's timeout; a panic of h fails that scrape only.
func Guard(o component.Options, h http.Handler) http.Handler {
	log := &errorLog{log: o.WithDefaults().Logger}
	waiting := make(chan struct{}, maxPages)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case waiting <- struct{}{}:
			defer func() { <-waiting }()
		default:
			http.Error(w, "too many scrapes at once", http.StatusServiceUnavailable)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), timeout(r))
		defer cancel()
		defer func() {
			if why := recover(); why != nil {
				err := fmt.Errorf("BUG: panic: %v", why)
				log.Println(err)
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		}()
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}
