package file

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"collector/pkg/filewatch"
	"collector/pkg/throttle"
)

// watcher makes the kernel report changes in the folders of files.
type watcher struct {
	logger  *slog.Logger
	changed func(paths map[string]bool)
	fs      *fsnotify.Watcher // nil if the kernel has none left

	quiet throttle.Log

	mu      sync.Mutex
	folders map[string]*folder // by path; guarded by mu
}

// folder is a folder of files whose changes are wanted.
type folder struct {
	paths   int // that are wanted
	watched bool
}

func newWatcher(logger *slog.Logger, changed func(map[string]bool)) *watcher {
	w := &watcher{logger: logger, changed: changed, folders: make(map[string]*folder)}
	var err error
	if w.fs, err = fsnotify.NewBufferedWatcher(1024); err != nil {
		w.fs = nil
		logger.Warn("inotify is not available, so files are polled: raise fs.inotify.max_user_instances", "err", err)
	}
	return w
}

// add requests reports of changes of a file until remove has been called as often, if its
// folder is on a file system that knows of all of them.
func (w *watcher) add(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	dir := filepath.Dir(path)
	f := w.folders[dir]
	if f == nil {
		f = new(folder)
		w.folders[dir] = f
	}
	if f.paths++; !f.watched {
		f.watched = w.watch(dir)
	}
}

// remove is the inverse of add. It gives the watch of a folder back with the last
// file.
func (w *watcher) remove(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	dir := filepath.Dir(path)
	f := w.folders[dir]
	if f == nil {
		return
	}
	if f.paths--; f.paths > 0 {
		return
	}
	delete(w.folders, dir)
	if f.watched {
		_ = w.fs.Remove(dir) // an error says that the kernel has done it
	}
}

// watch requests reports of changes in a folder, and returns whether there will be any.
func (w *watcher) watch(dir string) bool {
	if w.fs == nil || !filewatch.KnowsChanges(dir) {
		return false
	}
	err := w.fs.Add(dir)
	if errors.Is(err, unix.ENOSPC) {
		w.quiet.Warn(w.logger, "", "the inotify watch limit is reached, so files are polled: raise fs.inotify.max_user_watches", "folder", dir)
	}
	return err == nil
}

// watches reports whether changes of a file are reported.
func (w *watcher) watches(path string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.folders[filepath.Dir(path)]
	return f != nil && f.watched
}

// watchesAll reports whether the changes of all files are reported.
func (w *watcher) watchesAll() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.folders {
		if !f.watched {
			return false
		}
	}
	return true
}

// retry tries to watch what could not be watched before, and what has been
// removed and may exist again.
func (w *watcher) retry() {
	if w.fs == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := make(map[string]bool)
	for _, dir := range w.fs.WatchList() {
		now[dir] = true
	}
	for dir, f := range w.folders {
		if !now[dir] {
			f.watched = w.watch(dir)
		}
	}
}

// run forwards the reports until ctx ends.
func (w *watcher) run(ctx context.Context) {
	if w.fs == nil {
		return
	}
	defer func() { _ = w.fs.Close() }()
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-w.fs.Events:
			if paths := w.collect(event); len(paths) > 0 {
				w.changed(paths)
			}
		case err := <-w.fs.Errors:
			if errors.Is(err, fsnotify.ErrEventOverflow) {
				w.changed(nil)
				continue
			}
			w.logger.Debug("reading inotify events failed", "err", err)
		}
	}
}

// collect combines an event with those waiting behind it.
func (w *watcher) collect(event fsnotify.Event) map[string]bool {
	paths := make(map[string]bool)
	for {
		if event.Op != fsnotify.Chmod || event.Has(fsnotify.Remove) {
			paths[filepath.Clean(event.Name)] = true
		}
		select {
		case event = <-w.fs.Events:
		default:
			return paths
		}
	}
}
