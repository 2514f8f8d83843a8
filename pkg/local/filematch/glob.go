package filematch

import (
	"fmt"
	"os"
	"path/filepath"
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

// Expand returns a copy of target for each file that its pattern matches, with the
// absolute path of the file in __path__. Folders, what the target excludes and what was
// last written before olderThan ago (0: no limit) make none. What can't be read is
// omitted too, and named in the error; the rest is returned.
func Expand(target discovery.Target, olderThan time.Duration) ([]discovery.Target, error) {
	pattern, exclude := target.Get(PathLabel), target.Get(ExcludeLabel)
	if pattern == "" {
		return nil, nil
	}
	matches, err := doublestar.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("find files of %q: %w", pattern, err)
	}
	var out []discovery.Target
	var failed error
	b := labels.NewBuilder(target)
	for _, match := range matches {
		if exclude != "" {
			excluded, err := doublestar.PathMatch(exclude, match)
			if err != nil {
				return nil, fmt.Errorf("exclude files by %q: %w", exclude, err)
			}
			if excluded {
				continue
			}
		}
		path, err := filepath.Abs(match)
		if err != nil {
			failed = err
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			if !os.IsNotExist(err) {
				failed = err
			}
			continue
		}
		if info.IsDir() || olderThan > 0 && time.Since(info.ModTime()) > olderThan {
			continue
		}
		b.Reset(target)
		b.Set(PathLabel, path)
		out = append(out, b.Labels())
	}
	return out, failed
}
