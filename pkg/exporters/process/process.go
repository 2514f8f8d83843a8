// Package process is prometheus.exporter.process: metrics of groups of processes, as
// process_exporter has them. Its library reads and groups them.
package process

import (
	"context"
	_ "embed"
	"errors"
	"sync"

	library "github.com/ncabatoff/process-exporter/config"
	"github.com/ncabatoff/process-exporter/proc"
	dto "github.com/prometheus/client_model/go"

	"collector/pkg/component"
	"collector/pkg/exporters/exporter"
)

//go:embed prometheus.exporter.process.md
var page string

// Definition is the component prometheus.exporter.process.
func Definition() component.Definition {
	return component.Define("prometheus.exporter.process", New, exporter.Doc(page))
}

// Config is the configuration of prometheus.exporter.process.
type Config struct {
	Matchers          []Matcher `alloy:"matcher,block,optional"`
	ProcFSPath        string    `alloy:"procfs_path,attr,optional"`
	TrackChildren     bool      `alloy:"track_children,attr,optional"`
	TrackThreads      bool      `alloy:"track_threads,attr,optional"`
	GatherSMaps       bool      `alloy:"gather_smaps,attr,optional"`
	RecheckOnScrape   bool      `alloy:"recheck_on_scrape,attr,optional"`
	RemoveEmptyGroups bool      `alloy:"remove_empty_groups,attr,optional"`
}

// Matcher is a block matcher.
type Matcher struct {
	Name    string   `alloy:"name,attr,optional"`
	Comm    []string `alloy:"comm,attr,optional"`
	Exe     []string `alloy:"exe,attr,optional"`
	Cmdline []string `alloy:"cmdline,attr,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() {
	*c = Config{ProcFSPath: "/proc", TrackChildren: true, TrackThreads: true, GatherSMaps: true}
}

// matchers are the library's.
func (c *Config) matchers() (library.FirstMatcher, error) {
	for i, m := range c.Matchers {
		if m.Comm == nil && m.Exe == nil && m.Cmdline == nil {
			return library.FirstMatcher{}, component.At(component.Block("matcher", i), errors.New("one of comm, exe and cmdline is needed"))
		}
		if _, err := (library.MatcherRules{group(m)}).ToConfig(); err != nil {
			return library.FirstMatcher{}, component.At(component.Block("matcher", i), err)
		}
	}
	var rules library.MatcherRules
	for _, m := range c.Matchers {
		rules = append(rules, group(m))
	}
	made, err := rules.ToConfig()
	if err != nil {
		return library.FirstMatcher{}, err
	}
	return made.MatchNamers, nil
}

func group(m Matcher) library.MatcherGroup {
	return library.MatcherGroup{Name: m.Name, CommRules: m.Comm, ExeRules: m.Exe, CmdlineRules: m.Cmdline}
}

// Process is the component prometheus.exporter.process.
type Process struct {
	*exporter.Exporter
	*exporter.Server
	threads, smaps bool

	mu      sync.Mutex
	grouper *proc.Grouper // guarded by mu, as all below
	source  proc.Source
	errs    struct{ scrape, read, partial int }
}

// New makes the exporter, which does not look for processes yet.
func New(cfg Config, o component.Options) (*Process, error) {
	matchers, err := cfg.matchers()
	if err != nil {
		return nil, err
	}
	fs, err := proc.NewFS(cfg.ProcFSPath, false)
	if err != nil {
		return nil, component.At("procfs_path", err)
	}
	fs.GatherSMaps = cfg.GatherSMaps
	p := &Process{
		Server: exporter.NewServer("processes", cfg.ProcFSPath), threads: cfg.TrackThreads, smaps: cfg.GatherSMaps, source: fs,
		grouper: proc.NewGrouper(matchers, cfg.TrackChildren, cfg.TrackThreads, cfg.RecheckOnScrape, 0, false, cfg.RemoveEmptyGroups),
	}
	page, err := exporter.RemotePage(o, exporter.Remote{Program: "process_exporter", Collector: p, Done: p.scraped})
	if err != nil {
		return nil, err
	}
	p.Exporter = exporter.New(o, "process", exporter.Host(), page)
	return p, nil
}

// Run looks for processes, whose counters begin at zero, and waits until ctx ends.
// Processes that are found later count from their start.
func (p *Process) Run(ctx context.Context) error {
	if _, err := p.update(); err != nil {
		p.Asked(err.Error())
	}
	return p.Exporter.Run(ctx)
}

// update reads all processes.
func (p *Process) update() (proc.GroupByName, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	errs, groups, err := p.grouper.Update(p.source.AllProcs())
	p.errs.partial += errs.Partial
	p.errs.read += errs.Read
	if err != nil {
		p.errs.scrape++
	}
	return groups, err
}

// scraped keeps how a scrape went.
func (p *Process) scraped(families []*dto.MetricFamily, err error) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	p.Asked(why)
}
