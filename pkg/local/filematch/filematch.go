// Package filematch is local.file_match: the files that patterns match, as targets.
package filematch

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"sync"
	"time"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/throttle"
)

//go:embed local.file_match.md
var page string

// Config is the configuration of local.file_match.
type Config struct {
	PathTargets *discovery.Set `alloy:"path_targets,attr"`
	Settings    `alloy:",squash"`
}

// Settings say how files are looked for, here and in loki.source.file.
type Settings struct {
	SyncPeriod      time.Duration `alloy:"sync_period,attr,optional"`
	IgnoreOlderThan time.Duration `alloy:"ignore_older_than,attr,optional"`
}

// SetToDefault sets what Alloy starts from.
func (s *Settings) SetToDefault() { *s = Settings{SyncPeriod: 10 * time.Second} }

// Validate reports settings that can't work.
func (s *Settings) Validate() error {
	if s.SyncPeriod <= 0 {
		return component.At("sync_period", fmt.Errorf("%s: must be positive", s.SyncPeriod))
	}
	if s.IgnoreOlderThan < 0 {
		return component.At("ignore_older_than", errors.New("must not be negative"))
	}
	return nil
}

// FileMatch is local.file_match.
type FileMatch struct {
	cfg   Config
	opts  component.Options
	out   *discovery.Set
	find  *Finder
	quiet throttle.Log

	mu      sync.Mutex
	lastErr error // of the last look; guarded by mu
}

// Definition is the component local.file_match.
func Definition() component.Definition {
	return component.Define("local.file_match", New, component.Doc{
		Page:    page,
		Exports: []component.Export{{Name: "targets", Type: "list(map(string))", Note: "live: follows the files"}},
	})
}

// New checks cfg. It looks at no file yet.
func New(cfg Config, o component.Options) (*FileMatch, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.PathTargets == nil {
		cfg.PathTargets = discovery.NewSet()
	}
	return &FileMatch{cfg: cfg, opts: o.WithDefaults(), out: discovery.NewSet(), find: NewFinder()}, nil
}

// Exports returns the files that exist, as a live list.
func (m *FileMatch) Exports() map[string]any { return map[string]any{"targets": m.out} }

// Run looks for files, each sync_period and when the patterns change, until ctx ends.
func (m *FileMatch) Run(ctx context.Context) error {
	tick := time.NewTicker(m.cfg.SyncPeriod)
	defer tick.Stop()
	for {
		targets, changed := m.cfg.PathTargets.Targets()
		m.out.Replace(m.look(targets))
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			tick.Reset(m.cfg.SyncPeriod)
		case <-tick.C:
		}
	}
}

func (m *FileMatch) look(targets []discovery.Target) []discovery.Target {
	var failed error
	out := m.find.Find(targets, m.cfg.IgnoreOlderThan, func(t discovery.Target, err error) {
		failed = err
		m.quiet.Warn(m.opts.Logger, t.Get(PathLabel), "cannot check some files", "path", t.Get(PathLabel), "err", err)
	})
	m.mu.Lock()
	m.lastErr = failed
	m.mu.Unlock()
	return out
}

// Status is what the debug UI shows.
type Status struct {
	Patterns  int    `json:"patterns"`
	Files     int    `json:"files"`
	LastError string `json:"last_error,omitempty"`
}

// Status returns a snapshot for the debug UI.
func (m *FileMatch) Status() any {
	patterns, _ := m.cfg.PathTargets.Targets()
	files, _ := m.out.Targets()
	s := Status{Patterns: len(patterns), Files: len(files)}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lastErr != nil {
		s.LastError = m.lastErr.Error()
	}
	return s
}
