package file

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// watcher has the kernel report changes in the folders of files.
type watcher struct {
	logger  *slog.Logger
	changed func(paths map[string]bool)
	fs      *fsnotify.Watcher // nil where the kernel has none to give

	mu   sync.Mutex
	dirs map[string]bool // whether a folder is watched; guarded by mu
}

func newWatcher(logger *slog.Logger, changed func(map[string]bool)) *watcher {
	w := &watcher{logger: logger, changed: changed, dirs: make(map[string]bool)}
	var err error
	if w.fs, err = fsnotify.NewBufferedWatcher(1024); err != nil {
		w.fs = nil
		logger.Warn("the kernel can't report changes of files, which are polled instead: raise fs.inotify.max_user_instances", "err", err)
	}
	return w
}

// add has changes of a file reported, if its folder is on a file system that
// knows of all of them.
func (w *watcher) add(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	dir := filepath.Dir(path)
	if w.fs == nil || w.dirs[dir] {
		return
	}
	if !tellsChanges(dir) {
		w.dirs[dir] = false
		return
	}
	err := w.fs.Add(dir)
	w.dirs[dir] = err == nil
	if errors.Is(err, unix.ENOSPC) {
		w.logger.Warn("the kernel watches no more folders, so that files are polled: raise fs.inotify.max_user_watches", "folder", dir)
	}
}

// watches reports whether changes of a file are reported.
func (w *watcher) watches(path string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dirs[filepath.Dir(path)]
}

// retry tries to watch what could not be watched before, and what has been
// removed and may exist again.
func (w *watcher) retry() {
	if w.fs == nil {
		return
	}
	now := w.fs.WatchList()
	w.mu.Lock()
	var missing []string
	for dir := range w.dirs {
		if !slices.Contains(now, dir) {
			w.dirs[dir] = false
			missing = append(missing, dir)
		}
	}
	w.mu.Unlock()
	for _, dir := range missing {
		w.add(filepath.Join(dir, "x"))
	}
}

// run passes the reports on until ctx ends.
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
			w.logger.Debug("the kernel's reports of changes failed", "err", err)
		}
	}
}

// collect puts an event together with those that wait behind it.
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

// tellsChanges reports whether a folder is on a file system on which only this
// machine writes, so that its kernel knows of all changes.
func tellsChanges(dir string) bool {
	var stat unix.Statfs_t
	return unix.Statfs(dir, &stat) == nil && isLocal(stat)
}

// isLocal reports whether only this machine writes to a file system.
func isLocal(stat unix.Statfs_t) bool {
	switch uint32(stat.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC,
		unix.F2FS_SUPER_MAGIC, unix.RAMFS_MAGIC, unix.REISERFS_SUPER_MAGIC, unix.BCACHEFS_SUPER_MAGIC, zfsMagic:
		return true
	}
	return false
}

const zfsMagic = 0x2fc12fc1
