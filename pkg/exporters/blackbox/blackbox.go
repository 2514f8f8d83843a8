// Package blackbox is prometheus.exporter.blackbox: it probes addresses by HTTP, TCP,
// ICMP, DNS and gRPC, as blackbox_exporter does, by its library.
package blackbox

import (
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-kit/log"
	library "github.com/prometheus/blackbox_exporter/config"
	"github.com/prometheus/blackbox_exporter/prober"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/exporters/exporter"
)

//go:embed prometheus.exporter.blackbox.md
var page string

// Definition is the component prometheus.exporter.blackbox.
func Definition() component.Definition {
	return component.Define("prometheus.exporter.blackbox", New, exporter.Doc(page))
}

// Blackbox is the component prometheus.exporter.blackbox.
type Blackbox struct {
	*exporter.Prober
	modules *library.Config
	offset  time.Duration
}

// New makes the exporter, which probes when it is scraped.
func New(cfg Config, o component.Options) (*Blackbox, error) {
	o = o.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.ConfigFile == "" && cfg.Config == "" {
		return nil, errors.New("there are no modules: set config or config_file")
	}
	modules, err := cfg.modules()
	if err != nil {
		return nil, err
	}
	b := &Blackbox{modules: modules, offset: cfg.ProbeTimeoutOffset}
	list := cfg.TargetsList
	if list == nil {
		list = discovery.NewSet()
	}
	b.Prober, err = exporter.NewProber(o, "blackbox", exporter.Guard(o, http.HandlerFunc(b.probe)), cfg.probes(modules, o), list,
		func(targets []discovery.Target) ([]exporter.Probe, error) {
			return exporter.ProbesOf(targets, []string{"module"}, nil)
		})
	return b, err
}

// probe probes the target of a request with its module.
func (b *Blackbox) probe(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	query.Del("debug") // it would show the module, with the headers that it sends
	r = r.Clone(r.Context())
	r.URL.RawQuery = query.Encode()
	module := query.Get("module")
	if module == "" {
		module = byDefault
	}
	var said outcome
	prober.Handler(w, r, b.modules, log.LoggerFunc(said.log), &prober.ResultHistory{}, b.offset.Seconds(), query, nil)
	said.mu.Lock()
	defer said.mu.Unlock()
	if said.over {
		b.Probed(exporter.ProbeResult{Target: query.Get("target"), Module: module, Success: said.success, Error: said.why})
	}
}

// outcome is what a probe's log says of it.
type outcome struct {
	mu            sync.Mutex // guards all below
	over, success bool
	why           string // the last error, if it failed
}

func (o *outcome) log(pairs ...any) error {
	message, cause := "", ""
	for i := 0; i+1 < len(pairs); i += 2 {
		switch fmt.Sprint(pairs[i]) {
		case "msg":
			message = fmt.Sprint(pairs[i+1])
		case "err":
			cause = ": " + fmt.Sprint(pairs[i+1])
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case message == "Probe succeeded":
		o.over, o.success, o.why = true, true, ""
	case message == "Probe failed":
		o.over = true
	case cause != "":
		o.why = message + cause
	}
	return nil
}
