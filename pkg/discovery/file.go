package discovery

import (
	"context"
	_ "embed"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"collector/pkg/component"
	"collector/pkg/filewatch"
	"collector/pkg/inspect"
	"collector/pkg/throttle"
)

//go:embed discovery.file.md
var filePage string

func fileDefinition() component.Definition {
	return component.Define("discovery.file", NewFile, component.Doc{
		Page:    filePage,
		Exports: []component.Export{{Name: "targets", Type: "list(map(string))", Note: "live: follows the files"}},
	})
}

// FileConfig configures discovery.file.
type FileConfig struct {
	Files           []string      `alloy:"files,attr"`
	RefreshInterval time.Duration `alloy:"refresh_interval,attr,optional"`
}

// SetToDefault sets what Alloy starts from.
func (c *FileConfig) SetToDefault() { *c = FileConfig{RefreshInterval: 5 * time.Minute} }

// Validate reports what cannot work.
func (c *FileConfig) Validate() error {
	for i, pattern := range c.Files {
		if _, err := filepath.Match(pattern, ""); err != nil {
			return component.At(fmt.Sprintf("files[%d]", i), fmt.Errorf("%q is not a valid pattern: %w", pattern, err))
		}
	}
	if c.RefreshInterval <= 0 {
		return component.At("refresh_interval", fmt.Errorf("%v is not positive: use a time such as \"5m\"", c.RefreshInterval))
	}
	return nil
}

// File is the component discovery.file: the targets that files list. A file that
// cannot be read keeps the targets that it had.
type File struct {
	config  FileConfig
	options component.Options
	out     *Set
	metrics *fileMetrics
	quiet   throttle.Log

	mu    sync.Mutex
	files []listed // guarded by mu: as of the last look, in the order of the patterns
}

// listed is one file that a pattern matches.
type listed struct {
	path     string
	targets  []Target // of the last time that it could be read
	modified time.Time
	err      error // why it cannot be read now
}

// NewFile makes the component. Its targets are current when it returns, so that
// what uses them loses none when a reload replaces it.
func NewFile(c FileConfig, o component.Options) (*File, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	f := &File{config: c, options: o.WithDefaults(), out: NewSet()}
	f.metrics = newFileMetrics(f)
	f.metrics.register(f.options.Metrics)
	f.read()
	return f, nil
}

// Exports returns the targets, as a live list.
func (f *File) Exports() map[string]any { return map[string]any{"targets": f.out} }

// Run follows the files until ctx ends.
func (f *File) Run(ctx context.Context) error {
	o := filewatch.Options{
		Paths: f.config.Files, Detector: filewatch.Notify, Every: f.config.RefreshInterval, Logger: f.options.Logger,
		Failed: f.metrics.watchErrors.Inc,
	}
	f.options.Files.Watch(ctx, o, f.look)
	return nil
}

func (f *File) look() {
	start := time.Now()
	for _, file := range f.read() {
		if file.err != nil {
			f.metrics.readErrors.Inc()
			f.quiet.Warn(f.options.Logger, file.path, "cannot read a target file; keeping its last targets", "path", file.path, "err", file.err)
		}
	}
	f.metrics.scan.Observe(time.Since(start).Seconds())
}

// read reads all files and exports what they list.
func (f *File) read() []listed {
	f.mu.Lock()
	before := f.files
	f.mu.Unlock()
	var now []listed
	var all []Target
	for _, path := range f.matches() {
		file := listed{path: path}
		file.targets, file.modified, file.err = readTargets(path)
		if i := slices.IndexFunc(before, func(l listed) bool { return l.path == path }); file.err != nil && i >= 0 {
			file.targets, file.modified = before[i].targets, before[i].modified
		}
		now = append(now, file)
		all = append(all, file.targets...)
	}
	f.mu.Lock()
	f.files = now
	f.mu.Unlock()
	f.out.Replace(all)
	return now
}

// matches are the files that the patterns match, each once.
func (f *File) matches() []string {
	var out []string
	seen := map[string]bool{}
	for _, pattern := range f.config.Files {
		found, _ := filepath.Glob(pattern) // Validate has checked the pattern
		for _, path := range found {
			if !seen[path] {
				seen[path] = true
				out = append(out, path)
			}
		}
	}
	return out
}

// Health says which files cannot be read: nothing else is the component's to read.
func (f *File) Health() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var first error
	failed := 0
	for _, file := range f.files {
		if file.err == nil {
			continue
		}
		failed++
		if first == nil {
			first = fmt.Errorf("%s: %w", file.path, file.err)
		}
	}
	if failed == 0 {
		return nil
	}
	err := fmt.Errorf("%d of %d files cannot be read, and their last targets are kept; the first is %w", failed, len(f.files), first)
	if failed < len(f.files) {
		return inspect.Partial{Err: err}
	}
	return err
}

// FileStatus is what the debug UI shows.
type FileStatus struct {
	Files   []FileState `json:"files"`
	Targets int         `json:"targets"`
}

// FileState is how one file is.
type FileState struct {
	Path    string `json:"path"`
	Targets int    `json:"targets"`
	Error   string `json:"error,omitempty"`
}

// Status returns a snapshot for the debug UI.
func (f *File) Status() any {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := FileStatus{Files: []FileState{}}
	for _, file := range f.files {
		state := FileState{Path: file.path, Targets: len(file.targets)}
		if file.err != nil {
			state.Error = file.err.Error()
		}
		s.Files = append(s.Files, state)
		s.Targets += state.Targets
	}
	return s
}
