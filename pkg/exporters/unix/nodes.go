package unix

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/node_exporter/collector"

	"collector/pkg/component"
)

// nodes are the collectors of one exporter. One that can't be made, or that panics, does
// not affect the others.
type nodes struct {
	collector.NodeCollector
	config Config
	log    *slog.Logger
	late   []*late

	mu     sync.Mutex
	failed map[string]error // guarded by mu
}

// newNodes makes those that are on. What is wrong with a setting is an error;
// what the machine does not have or forbids is not.
func newNodes(cfg Config, on []string, log *slog.Logger) (*nodes, error) {
	log = quieted(log)
	settings := cfg.settings()
	empty, err := collector.NewNodeCollector(settings, log)
	if err != nil {
		return nil, err
	}
	n := &nodes{NodeCollector: *empty, config: cfg, log: log, failed: map[string]error{}}
	for _, name := range on {
		construct := func() (collector.Collector, error) { return construct(name, settings, log) }
		switch name {
		case "perf", "ethtool":
			l := &late{name: name, make: construct}
			n.late = append(n.late, l)
			n.Collectors[name] = guarded{l}
			continue
		case "supervisord":
			construct = func() (collector.Collector, error) { return newSupervisord(cfg.Supervisord.URL) }
		}
		made, err := construct()
		if err != nil {
			if missing := cfg.checkPaths(); missing != nil {
				return nil, missing
			}
			if !ofMachine(err) {
				return nil, place(name, err)
			}
		}
		if err != nil {
			n.fail(name, err)
			made = absent{}
		}
		n.Collectors[name] = guarded{made}
	}
	return n, nil
}

// construct makes one collector. The library panics at some settings.
func construct(name string, settings *collector.NodeCollectorConfig, log *slog.Logger) (made collector.Collector, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	settings.Collectors = map[string]bool{name: true}
	one, err := collector.NewNodeCollector(settings, log)
	if err != nil {
		return nil, err
	}
	return one.Collectors[name], nil
}

// ofMachine reports whether an error is the operating system's, and not about a
// setting.
func ofMachine(err error) bool {
	var number syscall.Errno
	return errors.As(err, &number)
}

// place says which argument the error of a collector is about.
func place(name string, err error) error {
	err = fmt.Errorf("create the collector %s: %w", name, err)
	if slices.Contains(blocks(), name) {
		return component.At(name, err)
	}
	return err
}

// blocks are the collectors that have blocks with their own name, and whose
// settings can be wrong in more than an expression.
func blocks() []string { return []string{"ipvs", "ntp", "perf", "sysctl", "supervisord"} }

// checkPaths reports a folder that most collectors read and that is not there.
func (c *Config) checkPaths() error {
	for _, folder := range []struct{ argument, path string }{{"procfs_path", c.ProcFSPath}, {"sysfs_path", c.SysFSPath}} {
		info, err := os.Stat(folder.path)
		if err != nil {
			return component.At(folder.argument, fmt.Errorf("most collectors read it: %w: in a container, mount the host's directory there", err))
		}
		if !info.IsDir() {
			return component.At(folder.argument, fmt.Errorf("%q is not a folder", folder.path))
		}
	}
	return nil
}

func (n *nodes) fail(name string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failed[name] = err
}

// open makes the collectors that hold something open.
func (n *nodes) open() {
	for _, l := range n.late {
		if err := l.open(); err != nil {
			n.fail(l.name, err)
		}
	}
	for name, err := range n.status().Failed {
		n.log.Warn("a collector returns no metrics", "name", name, "err", err)
	}
}

func (n *nodes) status() Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := Status{Collectors: []string{}, Failed: map[string]string{}}
	for name := range n.Collectors {
		s.Collectors = append(s.Collectors, name)
	}
	slices.Sort(s.Collectors)
	for name, err := range n.failed {
		s.Failed[name] = err.Error()
	}
	return s
}

// absent takes the place of a collector that could not be made.
type absent struct{}

func (absent) Update(chan<- prometheus.Metric) error { return collector.ErrNoData }

// guarded is a collector whose panic is an error.
type guarded struct{ collector.Collector }

// Update implements collector.Collector.
func (g guarded) Update(to chan<- prometheus.Metric) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("BUG: panic: %v", r)
		}
	}()
	return g.Collector.Update(to)
}

// late is a collector that is made when the component runs, as it holds open what
// it reads: with perf, counters of the kernel. The library never closes them, so
// that each such collector that is replaced by a reload keeps its own until the
// program ends.
type late struct {
	name string
	make func() (collector.Collector, error)

	mu   sync.Mutex
	made collector.Collector // guarded by mu; nil: it gives nothing
}

func (l *late) open() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made != nil {
		return nil
	}
	made, err := l.make()
	if err == nil {
		l.made = made
	}
	return err
}

// Update implements collector.Collector.
func (l *late) Update(to chan<- prometheus.Metric) error {
	l.mu.Lock()
	made := l.made
	l.mu.Unlock()
	if made == nil {
		return collector.ErrNoData
	}
	return made.Update(to)
}
