package filematch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
)

// The labels of a target that say which files it represents.
const (
	PathLabel    = "__path__"
	ExcludeLabel = "__path_exclude__"
)

// Finder finds the files that the patterns of targets match, again and again. What it
// has found stays true until one of the folders changes in which it has looked: only
// then are they read again. It is not safe for concurrent use.
type Finder struct {
	found   map[string]*found // by target
	now     func() time.Time
	folders int // that may be looked at for one pattern
	files   int // that were found last
}

// NewFinder makes a Finder.
func NewFinder() *Finder { return &Finder{now: time.Now, folders: maxFolders} }

// Find returns a copy of each target for each file that its pattern matches, with the
// absolute path of the file in __path__. Folders, what the target excludes and what
// was last written before olderThan ago (0: no limit) make none. What can't be
// looked at is omitted, and failed is called with it.
func (f *Finder) Find(targets []discovery.Target, olderThan time.Duration, failed func(discovery.Target, error)) []discovery.Target {
	out := make([]discovery.Target, 0, f.files)
	now := make(map[string]*found, len(targets))
	for _, t := range targets {
		if t.Get(PathLabel) == "" {
			continue
		}
		key := string(t.Bytes(nil))
		last := f.found[key]
		if last == nil || !last.holds() {
			var err error
			if last, err = f.look(t); err != nil {
				failed(t, err)
			}
		}
		now[key] = last
		var err error
		if out, err = last.files(out, f.now(), olderThan); err != nil {
			failed(t, err)
		}
	}
	f.found, f.files = now, len(out)
	return out
}

// found is what a target was found to represent.
type found struct {
	matches []match
	seen    []sight // by which it was found; nil: it has to be looked for again
}

// match is a path that a pattern matches.
type match struct {
	target  discovery.Target // with the path
	regular bool             // it is a file, as long as its folder doesn't change
	written time.Time        // when it was last seen to have been written, if it is regular
}

// look finds what a target represents.
func (f *Finder) look(t discovery.Target) (*found, error) {
	pattern, exclude := t.Get(PathLabel), t.Get(ExcludeLabel)
	w := newWitness(f.now(), f.folders)
	paths, err := w.glob(pattern)
	if err != nil {
		return new(found), fmt.Errorf("find files of %q: %w", pattern, err)
	}
	out := new(found)
	b := labels.NewBuilder(t)
	for _, path := range paths {
		if exclude != "" {
			excluded, err := doublestar.PathMatch(exclude, path)
			if err != nil {
				return new(found), fmt.Errorf("exclude files by %q: %w", exclude, err)
			}
			if excluded {
				continue
			}
		}
		abs, failed := filepath.Abs(path)
		if failed != nil {
			err = failed
			continue
		}
		b.Reset(t)
		b.Set(PathLabel, abs)
		out.matches = append(out.matches, match{target: b.Labels()})
	}
	if out.seen = w.remembered(); out.seen != nil {
		for i := range out.matches {
			info, err := os.Lstat(out.matches[i].target.Get(PathLabel))
			out.matches[i].regular = err == nil && info.Mode().IsRegular()
		}
	}
	return out, errors.Join(err, w.err)
}

// holds reports whether everything is still as it was seen.
func (f *found) holds() bool {
	if f.seen == nil {
		return false
	}
	for i := range f.seen {
		if !f.seen[i].holds() {
			return false
		}
	}
	return true
}

// files adds those of the matches to out that are files, and not too old.
func (f *found) files(out []discovery.Target, now time.Time, olderThan time.Duration) ([]discovery.Target, error) {
	var failed error
	for i := range f.matches {
		m := &f.matches[i]
		young := func() bool { return olderThan <= 0 || now.Sub(m.written) <= olderThan }
		if m.regular && young() {
			out = append(out, m.target)
			continue
		}
		info, err := os.Stat(m.target.Get(PathLabel))
		if err != nil {
			if !os.IsNotExist(err) {
				failed = err
			}
			continue
		}
		if m.written = info.ModTime(); !info.IsDir() && young() {
			out = append(out, m.target)
		}
	}
	return out, failed
}

// glob finds what a pattern matches. A path that is no pattern is not looked for in
// its folder.
func (w *witness) glob(pattern string) ([]string, error) {
	if strings.ContainsAny(pattern, `*?[{\`) {
		return doublestar.GlobOS(w, pattern)
	}
	path := filepath.Clean(pattern)
	if _, err := w.Lstat(path); err != nil {
		return nil, nil
	}
	return []string{path}, nil
}
