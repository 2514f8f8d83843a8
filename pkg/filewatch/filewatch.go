// Package filewatch says when a file or a folder may have changed, by the kernel's
// events, by polling, or both.
package filewatch

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Detector is how a change is noticed.
type Detector string

// The detectors. Notify polls too, in case the file system has no events.
const (
	Notify Detector = "fsnotify"
	Poll   Detector = "poll"
)

// UnmarshalText reads the name of a detector; an empty one is Notify.
func (d *Detector) UnmarshalText(text []byte) error {
	switch name := Detector(text); name {
	case Notify, Poll:
		*d = name
	case "":
		*d = Notify
	default:
		return fmt.Errorf("detector %q is unknown: use \"fsnotify\" or \"poll\"", text)
	}
	return nil
}

// MarshalText writes the name.
func (d Detector) MarshalText() ([]byte, error) { return []byte(d), nil }

// Options is what Watch looks at, and how.
type Options struct {
	// Paths are those of files and folders, or patterns of the last element of such
	// paths.
	Paths    []string
	Detector Detector
	Every    time.Duration // between two polls
	Logger   *slog.Logger
	// Failed is called when events cannot be had or are missing; it may be nil.
	Failed func()
}

func (o Options) failed() {
	if o.Failed != nil {
		o.Failed()
	}
}

// quiet is how long Watch waits after an event: who writes a file makes several.
const quiet = 30 * time.Millisecond

// Watch calls look now and whenever what is at the paths may have changed, until
// ctx ends. A path need not exist, and may be replaced by rename or through
// symbolic links.
func Watch(ctx context.Context, o Options, look func()) {
	var events chan fsnotify.Event
	var failures chan error
	watcher := newWatcher(o)
	if watcher != nil {
		defer watcher.Close()
		events, failures = watcher.Events, watcher.Errors
	}
	poll := time.NewTicker(o.Every)
	defer poll.Stop()
	var settled <-chan time.Time
	look()
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
			add(watcher, o)
			look()
		case <-failures: // an overflow, for instance: events are missing
			o.failed()
			look()
		case e, ok := <-events:
			if ok && settled == nil && o.concerns(e.Name) {
				settled = time.After(quiet)
			}
		case <-settled:
			settled = nil
			add(watcher, o)
			look()
		}
	}
}

func newWatcher(o Options) *fsnotify.Watcher {
	if o.Detector != Notify {
		return nil
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		o.failed()
		o.Logger.Warn("the file system's events cannot be had, so files are polled only", "paths", o.Paths, "err", err)
		return nil
	}
	add(watcher, o)
	return watcher
}

// add watches the folder of each path, as a file that is replaced has no events of
// its own, and the path itself if it is a folder. What cannot be watched is polled.
func add(w *fsnotify.Watcher, o Options) {
	if w == nil {
		return
	}
	for _, path := range o.Paths {
		_ = w.Add(filepath.Dir(path))
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			_ = w.Add(path)
		}
		if real, err := filepath.EvalSymlinks(path); err == nil && filepath.Dir(real) != filepath.Dir(path) {
			_ = w.Add(filepath.Dir(real))
		}
	}
}

// concerns reports whether an event of a file called name may be about one of the
// paths.
func (o Options) concerns(name string) bool {
	return slices.ContainsFunc(o.Paths, func(path string) bool { return concerns(path, name) })
}

// concerns reports whether an event of a file called name may be about path: a name
// that it matches, a file in it, or a link on the way, as orchestrators replace them.
func concerns(path, name string) bool {
	base := filepath.Base(name)
	if base == filepath.Base(path) || strings.HasPrefix(base, "..") || strings.HasPrefix(filepath.Clean(name), filepath.Clean(path)+string(filepath.Separator)) {
		return true
	}
	if matches, _ := filepath.Match(filepath.Base(path), base); matches {
		return true
	}
	real, err := filepath.EvalSymlinks(path)
	return err == nil && filepath.Base(real) == base
}

// Read reads a file of at most limit bytes. It waits for no pipe.
func Read(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0 {
		return nil, fmt.Errorf("read %s: it is a pipe or a socket, and a regular file is needed", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("read %s: it is larger than %d MiB", path, limit>>20)
	}
	return text, nil
}
