package journal

import (
	"context"
	"os"
	"strings"
	"sync"
	"time"

	"collector/pkg/component"
	"collector/pkg/filewatch"
	"collector/pkg/logs/source/journal/journalfile"
	"collector/pkg/logs/source/positions"
	"collector/pkg/throttle"
)

const (
	// lookEvery is how often folders and files are looked at, in case that the
	// kernel has not reported a change.
	lookEvery = 5 * time.Second
	// retryEvery is how often what could not be read is retried.
	retryEvery = time.Second
	// syncEvery bounds what a power cut can take from the positions.
	syncEvery = time.Second
	// defaultPatience is how long a file that is being written may be inconsistent
	// before it is taken as damaged.
	defaultPatience = 5 * time.Second
)

// root is a folder that has journal files, and folders of machines.
type root struct {
	path     string
	local    bool // only this machine's are read
	volatile bool // it is in memory, and journald may copy it to disk
}

// Source is loki.source.journal.
type Source struct {
	cfg      Config
	opts     component.Options
	matches  matches
	labels   *labeler
	metrics  *metrics
	quiet    throttle.Log
	roots    []root
	machine  string // this machine's identifier; empty where there is none
	patience time.Duration
	now      func() time.Time // for what is shown

	wake  chan struct{} // has a token when there may be something to read
	paths chan []string // folders to be watched

	mu    sync.Mutex
	tails map[string]*tailState // by the path of the folder; guarded by mu
	open  int                   // files; guarded by mu
}

// New checks cfg.
func New(cfg Config, o component.Options) (*Source, error) {
	o = o.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := parseMatches(cfg.Matches)
	if err != nil {
		return nil, component.At("matches", err)
	}
	s := &Source{
		cfg: cfg, opts: o, matches: m, labels: newLabeler(&cfg, o), patience: defaultPatience, now: time.Now,
		wake: make(chan struct{}, 1), paths: make(chan []string, 1), tails: make(map[string]*tailState),
	}
	s.metrics = newMetrics(o.Metrics, s.files)
	s.roots = []root{{path: cfg.Path}}
	if cfg.Path == "" {
		s.roots = []root{{path: "/var/log/journal", local: true}, {path: "/run/log/journal", local: true, volatile: true}}
		s.machine = machineID("/etc/machine-id")
	}
	return s, nil
}

// machineID reads the identifier of this machine. In an image without one, the
// journals of all machines are read.
func machineID(path string) string {
	text, err := os.ReadFile(path)
	id := strings.TrimSpace(string(text))
	if err != nil {
		return ""
	}
	if _, err := journalfile.ParseID(id); err != nil {
		return ""
	}
	return id
}

// Run reads the journal until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	store, err := positions.Open(s.opts.Dir, positions.Options{Logger: s.opts.Logger, Damaged: s.metrics.damaged, Failed: s.metrics.failed, Left: s.opts.Left, Other: alloyFile})
	if err != nil {
		return err
	}
	defer store.Close()
	s.mu.Lock()
	clear(s.tails)
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { s.watch(ctx) })
	running.Go(func() { s.sync(ctx, store) })
	r := newReader(s, store)
	defer r.close()
	r.run(ctx)
	return nil
}

// sync brings positions to disk.
func (s *Source) sync(ctx context.Context, store *positions.Store) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case <-store.Dirty():
			store.Sync()
		default:
		}
	}
}

// watch has the reader woken when something changes in the folders that it reads.
func (s *Source) watch(ctx context.Context) {
	stop := func() {}
	defer func() { stop() }()
	for {
		select {
		case <-ctx.Done():
			return
		case paths := <-s.paths:
			stop()
			watching, cancel := context.WithCancel(ctx)
			var done sync.WaitGroup
			done.Go(func() {
				s.opts.Files.Watch(watching, filewatch.Options{
					Paths: paths, Detector: filewatch.Notify, Every: lookEvery, Logger: s.opts.Logger,
				}, s.look)
			})
			stop = func() { cancel(); done.Wait() }
		}
	}
}

// look wakes the reader.
func (s *Source) look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// watchPaths replaces the folders that are watched.
func (s *Source) watchPaths(paths []string) {
	select {
	case <-s.paths: // they have not been seen yet
	default:
	}
	s.paths <- paths
}

func (s *Source) files() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return float64(s.open)
}
