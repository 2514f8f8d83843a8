package filewatch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// Pool gives all watches one instance of the kernel's inotify, of which a user has
// few (fs.inotify.max_user_instances is often 128). It has it while there are
// watches. Of a folder that is mounted twice, only the path that was watched first
// has events; the other is polled.
//
// loki.source.file has an instance of its own: each line of a log is an event there,
// and a burst of them must not make the kernel drop those of other files.
type Pool struct {
	setting sync.Mutex        // held while what the kernel watches changes; taken before mu
	fs      *fsnotify.Watcher // guarded by setting; nil: there is no watch
	reading sync.WaitGroup    // of fs

	mu      sync.Mutex
	watches map[*watch]bool            // guarded by mu
	folders map[string]map[*watch]bool // who hears of a folder, by its real path; guarded by mu
}

// NewPool makes a pool without watches.
func NewPool() *Pool {
	return &Pool{watches: make(map[*watch]bool), folders: make(map[string]map[*watch]bool)}
}

// watch is one call of Watch. Its channels have room for one token.
type watch struct {
	changed chan struct{}
	missed  chan struct{} // events are missing

	wants map[string][]string // patterns of names, by folder; guarded by Pool.mu
}

func newWatch() *watch {
	return &watch{changed: make(chan struct{}, 1), missed: make(chan struct{}, 1)}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// follow makes w hear of the paths, where links lead to now.
func (p *Pool) follow(w *watch, paths []string) error {
	wants := wantsOf(paths)
	p.setting.Lock()
	defer p.setting.Unlock()
	if p.fs == nil {
		fs, err := fsnotify.NewWatcher()
		if err != nil {
			return err
		}
		p.fs = fs
		p.reading.Go(func() { p.read(fs) })
	}
	p.mu.Lock()
	p.watches[w] = true
	unused := p.subscribe(w, wants)
	p.mu.Unlock()
	for folder := range wants {
		_ = p.fs.Add(folder) // what cannot be watched is polled
	}
	p.forget(unused)
	return nil
}

// leave is the inverse of follow.
func (p *Pool) leave(w *watch) {
	p.setting.Lock()
	defer p.setting.Unlock()
	p.mu.Lock()
	delete(p.watches, w)
	left := len(p.watches)
	unused := p.subscribe(w, nil)
	p.mu.Unlock()
	switch {
	case p.fs == nil:
	case left > 0:
		p.forget(unused)
	default:
		_ = p.fs.Close() // nothing is lost by it
		p.reading.Wait()
		p.fs = nil
	}
}

// forget ends what the kernel watches for nobody; p.setting is held.
func (p *Pool) forget(folders []string) {
	for _, folder := range folders {
		_ = p.fs.Remove(folder) // an error says that the kernel has done it
	}
}

// subscribe replaces what w wants, and returns folders that nobody wants any more;
// p.mu is held.
func (p *Pool) subscribe(w *watch, wants map[string][]string) (unused []string) {
	for folder := range w.wants {
		if _, still := wants[folder]; still {
			continue
		}
		delete(p.folders[folder], w)
		if len(p.folders[folder]) == 0 {
			delete(p.folders, folder)
			unused = append(unused, folder)
		}
	}
	for folder := range wants {
		if p.folders[folder] == nil {
			p.folders[folder] = make(map[*watch]bool)
		}
		p.folders[folder][w] = true
	}
	w.wants = wants
	return unused
}

// read passes events to the watches until fs is closed.
func (p *Pool) read(fs *fsnotify.Watcher) {
	for {
		select {
		case e, ok := <-fs.Events:
			if !ok {
				return
			}
			p.tell(e.Name)
		case _, ok := <-fs.Errors: // an overflow, for instance
			if !ok {
				return
			}
			p.tellMissed()
		}
	}
}

// tell wakes the watches that want to know of a file or folder.
func (p *Pool) tell(name string) {
	folder, base := filepath.Dir(name), filepath.Base(name)
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.folders[folder] {
		if concerns(w.wants[folder], base) {
			wake(w.changed)
		}
	}
	for w := range p.folders[name] {
		wake(w.changed)
	}
}

func (p *Pool) tellMissed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.watches {
		wake(w.missed)
	}
}

// wantsOf are the folders in which something may happen to the paths, by their real
// paths, and the names there: those of the paths themselves, as a file that is
// replaced has no events of its own, of what links lead to, and everything in a
// path that is a folder.
func wantsOf(paths []string) map[string][]string {
	wants := make(map[string][]string)
	add := func(folder, pattern string) {
		folder, err := filepath.Abs(folder)
		if err == nil {
			folder, err = filepath.EvalSymlinks(folder)
		}
		if err == nil && !slices.Contains(wants[folder], pattern) {
			wants[folder] = append(wants[folder], pattern)
		}
	}
	for _, path := range paths {
		add(filepath.Dir(path), filepath.Base(path))
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			continue
		}
		add(filepath.Dir(real), filepath.Base(real))
		if info, err := os.Stat(real); err == nil && info.IsDir() {
			add(real, "*")
		}
	}
	return wants
}

// concerns reports whether a name is one of those that are wanted, or that of a link
// as orchestrators replace them.
func concerns(patterns []string, name string) bool {
	if strings.HasPrefix(name, "..") {
		return true
	}
	for _, pattern := range patterns {
		if pattern == name {
			return true
		}
		if matches, _ := filepath.Match(pattern, name); matches {
			return true
		}
	}
	return false
}
