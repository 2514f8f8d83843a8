package file

import (
	"cmp"
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/local/filematch"
	"collector/pkg/logs/source/positions"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

const (
	// gather is how long a change waits for others, so that files that are written
	// line by line don't make a batch of each line.
	gather = 100 * time.Millisecond
	// syncEvery bounds what a power cut can take from the positions.
	syncEvery = time.Second
	// sweepEvery is how often all files are looked at, in case that the kernel has
	// not reported a change.
	sweepEvery = 10 * time.Second
	// keptEvery is how often quiet files that were rotated away are looked at.
	keptEvery = time.Second
	// forgetEvery is how often positions of files that don't exist are removed.
	forgetEvery = time.Hour
)

const filenameLabel = "filename"

// Source is loki.source.file.
type Source struct {
	cfg     Config
	opts    component.Options
	text    text
	textErr error // the encoding can't be read
	names   *discovery.LabelNames
	metrics *metrics
	quiet   throttle.Log
	now     func() time.Time // the machine's clock

	patience patience
	writers  func(*os.File) writers

	wake chan struct{} // has a token when ready may hold something

	find    *filematch.Finder  // of follow
	targets []discovery.Target // as follow has set them; nil: it has not yet

	// Set by Run before anything else.
	store *positions.Store
	watch *watcher

	mu     sync.Mutex
	tails  map[string]*tail   // by key; guarded by mu
	paths  map[string][]*tail // by the paths whose changes concern them; guarded by mu
	ready  []*tail            // in the order in which they are read; guarded by mu
	uneasy int                // tails that are restless or keep quiet files; guarded by mu

	forgotten []string // keys of positions that have been removed; guarded by mu
}

// Definition is the component loki.source.file.
func Definition() component.Definition {
	return component.Define("loki.source.file", New, component.Doc{Page: page})
}

// New checks cfg. An encoding that is unknown leaves the files unread, as in
// Alloy, and warns.
func New(cfg Config, o component.Options) (*Source, error) {
	o = o.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Targets == nil {
		cfg.Targets = discovery.NewSet()
	}
	s := &Source{
		cfg: cfg, opts: o, names: discovery.NewLabelNames(model.LegacyValidation, o.Logger),
		now: time.Now, patience: defaultPatience(), writers: writersOf, find: filematch.NewFinder(),
		wake: make(chan struct{}, 1), tails: make(map[string]*tail), paths: make(map[string][]*tail),
	}
	if s.text, s.textErr = newText(cfg.Encoding); s.textErr != nil {
		o.Warn("encoding", s.textErr.Error()+"; no file is read")
	}
	if w := cfg.FileWatch; w.MinPollFrequency <= 0 || w.MaxPollFrequency < w.MinPollFrequency {
		o.Warn("file_watch", "min_poll_frequency must be positive and at most max_poll_frequency: using 250ms for both")
		s.cfg.FileWatch.SetToDefault()
	}
	s.metrics = newMetrics(o.Metrics, s.active)
	return s, nil
}

// Run reads the files until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	store, err := positions.Open(s.opts.Dir, positions.Options{Logger: s.opts.Logger, Damaged: s.metrics.damaged, Failed: s.metrics.failed, Left: s.opts.Left, Other: alloyFile})
	if err != nil {
		return err
	}
	defer store.Close()
	r := newReader(s, store)
	s.mu.Lock()
	s.store = store
	s.watch = newWatcher(s.opts.Logger, s.changed)
	clear(s.tails)
	clear(s.paths)
	s.ready, s.targets, s.uneasy = nil, nil, 0
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { s.watch.run(ctx) })
	running.Go(func() { s.poll(ctx) })
	running.Go(func() { r.run(ctx) })
	s.follow(ctx)
	return nil
}

// follow makes the tails follow the targets until ctx ends.
func (s *Source) follow(ctx context.Context) {
	var match <-chan time.Time
	if s.cfg.FileMatch.Enabled {
		tick := time.NewTicker(s.cfg.FileMatch.SyncPeriod)
		defer tick.Stop()
		match = tick.C
	}
	sync := time.NewTicker(syncEvery)
	defer sync.Stop()
	forget := time.NewTicker(forgetEvery)
	defer forget.Stop()
	for {
		targets, changed := s.cfg.Targets.Targets()
		s.setTargets(targets)
	wait:
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
				break wait
			case <-match:
				break wait
			case <-sync.C:
				select {
				case <-s.store.Dirty():
					s.store.Sync()
				default:
				}
			case <-forget.C:
				s.forget()
			}
		}
	}
}

// setTargets starts tails for new targets, and lets those of others end.
func (s *Source) setTargets(targets []discovery.Target) {
	if s.cfg.FileMatch.Enabled {
		targets = s.expand(targets)
	}
	if s.targets != nil && slices.EqualFunc(targets, s.targets, labels.Equal) {
		return
	}
	s.targets = targets
	type want struct {
		path string
		base labels.Labels
	}
	wanted := make(map[string]want, len(targets))
	for _, target := range targets {
		path := target.Get(filematch.PathLabel)
		if path == "" {
			s.quiet.Warn(s.opts.Logger, "", "a target has no path: give it the label __path__", "target", target.String())
			continue
		}
		base := public(target)
		wanted[keyOf(path, base.String())] = want{path, base}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, t := range s.tails {
		_, stays := wanted[key]
		if t.left == stays {
			t.left = !stays
			s.enqueue(t)
		}
		delete(wanted, key)
	}
	var fresh []*tail
	for key, w := range wanted {
		fresh = append(fresh, s.newTail(key, w.path, w.base))
	}
	s.inOrder(fresh)
	for _, t := range fresh {
		s.tails[t.key] = t
		s.index(t, filepath.Clean(t.path))
		s.enqueue(t)
	}
}

// inOrder sorts tails that are new. First come those of which lines may have been sent:
// these are read again under this key, and not under one to which the file has been
// renamed since.
func (s *Source) inOrder(fresh []*tail) {
	rank := func(t *tail) int {
		if value, _ := s.store.Get(t.key); strings.Contains(value, `"Sent":`) {
			return 0
		}
		return 1
	}
	slices.SortFunc(fresh, func(a, b *tail) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.key, b.key))
	})
}

// expand replaces patterns by the files that they match. As in Alloy, a file that
// is read already goes on however old it gets.
func (s *Source) expand(targets []discovery.Target) []discovery.Target {
	found := s.find.Find(targets, 0, func(t discovery.Target, err error) {
		s.quiet.Warn(s.opts.Logger, t.Get(filematch.PathLabel), "cannot check some files", "path", t.Get(filematch.PathLabel), "err", err)
	})
	limit := s.cfg.FileMatch.IgnoreOlderThan
	if limit == 0 {
		return found
	}
	return slices.DeleteFunc(found, func(f discovery.Target) bool {
		path := f.Get(filematch.PathLabel)
		if s.has(keyOf(path, public(f).String())) {
			return false
		}
		info, err := os.Stat(path)
		return err != nil || time.Since(info.ModTime()) > limit
	})
}

func (s *Source) has(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tails[key] != nil
}

// public is a target's labels without those that begin with "__".
func public(target discovery.Target) labels.Labels { return pipeline.Public(target) }

func (s *Source) newTail(key, path string, base labels.Labels) *tail {
	b := labels.NewBuilder(s.names.Valid(base))
	b.Set(filenameLabel, path)
	return &tail{
		key: key, path: path, base: base.String(), labels: b.Labels(), stream: -1,
		since: time.Now(), status: tailState{state: stateWaiting},
	}
}

// enqueue says that a tail may have something to read. It holds mu.
func (s *Source) enqueue(t *tail) {
	if t.queued {
		return
	}
	t.queued = true
	s.ready = append(s.ready, t)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// next takes the tail that has waited longest.
func (s *Source) next() *tail {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ready) == 0 {
		s.ready = nil
		return nil
	}
	t := s.ready[0]
	s.ready[0] = nil
	s.ready = s.ready[1:]
	t.queued = false
	return t
}

// index makes changes of a path wake a tail. It holds mu.
func (s *Source) index(t *tail, path string) {
	if !slices.Contains(s.paths[path], t) {
		s.watch.add(path)
		s.paths[path] = append(s.paths[path], t)
	}
}

// unindex is the inverse of index. It holds mu.
func (s *Source) unindex(t *tail, path string) {
	i := slices.Index(s.paths[path], t)
	if i < 0 {
		return
	}
	s.watch.remove(path)
	if s.paths[path] = slices.Delete(s.paths[path], i, i+1); len(s.paths[path]) == 0 {
		delete(s.paths, path)
	}
}

// changed says that the kernel has reported changes of files; nil: of any.
func (s *Source) changed(paths map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if paths == nil {
		for _, t := range s.tails {
			s.enqueue(t)
		}
	}
	for path := range paths {
		for _, t := range s.paths[path] {
			s.enqueue(t)
		}
	}
}

// poll looks at the files for which the kernel reports no changes, and from time to time
// at all files.
func (s *Source) poll(ctx context.Context) {
	pause := s.cfg.FileWatch.MinPollFrequency
	timer := time.NewTimer(pause)
	defer timer.Stop()
	swept, looked := time.Now(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		all := time.Since(swept) >= sweepEvery
		if all {
			swept = time.Now()
			s.watch.retry()
		}
		kept := time.Since(looked) >= keptEvery
		if kept {
			looked = time.Now()
		}
		pause = min(2*pause, s.cfg.FileWatch.MaxPollFrequency)
		polled, often := s.polled(all, kept)
		if s.look(polled) {
			pause = s.cfg.FileWatch.MinPollFrequency
		}
		next := pause
		if !often {
			next = keptEvery
		}
		timer.Reset(next)
	}
}

// polled returns the tails that are polled, with those that keep quiet files, or all,
// and whether there are any that are polled often.
func (s *Source) polled(all, kept bool) (out []*tail, often bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !all && s.uneasy == 0 && s.watch.watchesAll() {
		return nil, false
	}
	for _, t := range s.tails {
		now := t.restless || !s.watch.watches(t.path) || t.real != "" && !s.watch.watches(t.real)
		often = often || now
		if all || now || kept && t.keeps {
			out = append(out, t)
		}
	}
	return out, often
}

// look enqueues the tails whose files differ from what was seen of them, and
// reports whether there are any. Those that keep quiet files are enqueued, too.
func (s *Source) look(tails []*tail) (any bool) {
	for _, t := range tails {
		now := look(t.path)
		s.mu.Lock()
		changed := t.restless || now != t.seen
		any = any || changed
		if changed || t.keeps {
			s.enqueue(t)
		}
		s.mu.Unlock()
	}
	return any
}

// sight is what is seen of a file without opening it.
type sight struct {
	id      fileID
	size    int64
	changed int64
}

func look(path string) sight {
	info, err := os.Stat(path)
	if err != nil {
		return sight{}
	}
	return sightOf(info)
}

func sightOf(info fs.FileInfo) sight {
	return sight{id: identify(info), size: info.Size(), changed: info.ModTime().UnixNano()}
}

// forget removes the positions of files that are not read and don't exist.
func (s *Source) forget() {
	var gone []string
	for key := range s.store.All() {
		path, _ := splitKey(key)
		if s.has(key) {
			continue
		}
		if _, err := os.Lstat(path); os.IsNotExist(err) {
			gone = append(gone, key)
		}
	}
	s.store.Delete(gone...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten = append(s.forgotten, gone...)
}

// takeForgotten returns what has been forgotten since the last call.
func (s *Source) takeForgotten() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := s.forgotten
	s.forgotten = nil
	return gone
}

// snapshot returns the tails in the order of their keys.
func (s *Source) snapshot() []*tail {
	s.mu.Lock()
	defer s.mu.Unlock()
	tails := slices.Collect(maps.Values(s.tails))
	slices.SortFunc(tails, func(a, b *tail) int { return strings.Compare(a.key, b.key) })
	return tails
}

// active is how many files are read.
func (s *Source) active() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, t := range s.tails {
		if t.status.open {
			n++
		}
	}
	return float64(n)
}
