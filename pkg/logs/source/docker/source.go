package docker

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/common/model"

	"collector/pkg/backoff"
	"collector/pkg/clock"
	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/docker"
	"collector/pkg/httpclient"
	"collector/pkg/logs/source/lines"
	"collector/pkg/pipeline"
)

const (
	// defaultMaxLineSize is Loki's own default limit.
	defaultMaxLineSize = 256 * component.KiB
	minMaxLineSize     = 1 * component.KiB
	// openAtOnce bounds the connections that are opened at the same time, so
	// that a start with many containers doesn't hammer the Engine.
	openAtOnce = 8
	// syncEvery bounds what a power cut can take from the cursors.
	syncEvery = time.Second
	// watchEvery is how often silent connections are looked for.
	watchEvery = 10 * time.Second
	// sweepEvery is how often cursors of removed containers are looked for.
	sweepEvery = time.Hour
)

// Config is the configuration of loki.source.docker.
type Config struct {
	Host            string              `alloy:"host,attr"`
	Targets         *discovery.Set      `alloy:"targets,attr"`
	ForwardTo       []pipeline.LogsSink `alloy:"forward_to,attr"`
	Labels          map[string]string   `alloy:"labels,attr,optional"`
	RelabelRules    *discovery.Rules    `alloy:"relabel_rules,attr,optional"`
	RefreshInterval time.Duration       `alloy:"refresh_interval,attr,optional"`
	// MaxLineSize is not Alloy's: longer lines are cut, marked and counted.
	MaxLineSize component.Bytes `alloy:"max_line_size,attr,optional"`
	// LegacyPositionsFile is not Alloy's, whose loki.source.file alone has it.
	LegacyPositionsFile string `alloy:"legacy_positions_file,attr,optional"`
	// The block has one name in Alloy's documentation and another in its code.
	Client           *Client `alloy:"client,block,optional"`
	HTTPClientConfig *Client `alloy:"http_client_config,block,optional"`
}

// Client configures the connection to an Engine at a URL.
type Client struct {
	HTTP httpclient.Config `alloy:",squash"`
}

// SetToDefault sets what Alloy starts from.
func (c *Client) SetToDefault() { c.HTTP = httpclient.Default() }

// Validate reports settings that can't work.
func (c *Client) Validate() error { return c.HTTP.Validate() }

// SetToDefault sets what Alloy starts from.
func (c *Config) SetToDefault() {
	*c = Config{RefreshInterval: time.Minute, MaxLineSize: defaultMaxLineSize}
}

// Validate reports settings that can't work.
func (c *Config) Validate() error {
	u, err := url.Parse(cmp.Or(c.Host, docker.DefaultHost))
	switch {
	case err != nil:
		return component.At("host", fmt.Errorf("%q: %w", c.Host, err))
	case !slices.Contains([]string{"unix", "tcp", "http", "https"}, u.Scheme):
		return component.At("host", fmt.Errorf("%q: use unix://, tcp://, http:// or https://, such as \"unix:///var/run/docker.sock\"", c.Host))
	case c.RefreshInterval <= 0:
		return component.At("refresh_interval", fmt.Errorf("%s must be positive", c.RefreshInterval))
	case c.MaxLineSize < minMaxLineSize:
		return component.At("max_line_size", fmt.Errorf("%s must be at least %s", c.MaxLineSize, minMaxLineSize))
	case c.Client != nil && c.HTTPClientConfig != nil:
		return component.At("client", errors.New("http_client_config is another name for it: use only one of them"))
	}
	return nil
}

// engine is what a tail needs of docker.Engine.
type engine interface {
	Inspect(ctx context.Context, id string) (docker.Container, error)
	Known(id string) (docker.Container, bool)
	Logs(ctx context.Context, id string, o docker.LogOptions) (*docker.LogReader, error)
}

// Source is loki.source.docker: it follows the output of the containers
// of its targets.
type Source struct {
	cfg     Config
	opts    component.Options
	limit   int
	engine  engine
	names   *discovery.LabelNames
	metrics *metrics
	batches sync.Pool     // of *batch
	opening chan struct{} // has room for openAtOnce

	store *cursorStore // set by Run before the first tail

	mu    sync.Mutex
	tails map[string]*tail // by container id; guarded by mu
}

//go:embed loki.source.docker.md
var page string

// Definition is the component loki.source.docker.
func Definition() component.Definition {
	return component.Define("loki.source.docker", New, component.Doc{Page: page})
}

// New checks cfg.
func New(cfg Config, o component.Options) (*Source, error) {
	o = o.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.Host = docker.HostOrDefault(cfg.Host, o.Warn)
	s := &Source{
		cfg: cfg, opts: o, names: discovery.NewLabelNames(model.LegacyValidation, o.Logger),
		limit:   int(cfg.MaxLineSize),
		opening: make(chan struct{}, openAtOnce),
		tails:   make(map[string]*tail),
	}
	s.batches.New = func() any { return new(batch) }
	if cfg.Targets == nil {
		s.cfg.Targets = discovery.NewSet()
	}
	var err error
	if s.engine, err = openEngine(cfg, o); err != nil {
		return nil, err
	}
	if e, ok := s.engine.(*docker.Engine); ok {
		o.Metrics.MustRegister(discovery.EngineMetrics(e))
	}
	s.metrics = newMetrics(o.Metrics, s.count, s.lag)
	return s, nil
}

// openEngine takes the Engine from the pool; it connects to nothing yet.
func openEngine(cfg Config, o component.Options) (*docker.Engine, error) {
	block, name := cfg.Client, "client"
	if cfg.HTTPClientConfig != nil {
		block, name = cfg.HTTPClientConfig, "http_client_config"
	}
	c := docker.Config{Host: cfg.Host}
	u, _ := url.Parse(cfg.Host)
	switch {
	case u.Scheme == "unix" && block != nil:
		o.Warn(name, "HTTP client settings have no effect, because the host is a socket")
	case u.Scheme == "http" || u.Scheme == "https" || u.Scheme == "tcp" && block != nil && block.HTTP.TLS != nil:
		settings := httpclient.Default()
		if block != nil {
			settings = block.HTTP
		}
		client, err := settings.New("loki.source.docker", o.UserAgent)
		if err != nil && block != nil {
			return nil, component.At(name, err)
		}
		if err != nil {
			return nil, err
		}
		c.Client = client
		if block != nil {
			c.Key = o.ID // the secrets in the block distinguish clients, and must not be compared
		}
	case block != nil:
		o.Warn(name, "without tls_config, a tcp:// host takes no HTTP client settings; write http:// or https://")
	}
	engine, err := o.Docker.Engine(c)
	if err != nil {
		return nil, component.At("host", fmt.Errorf("%q: %w", cfg.Host, err))
	}
	return engine, nil
}

// Run follows the containers until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	store, err := openCursorStore(s.opts.Dir, s.cfg.LegacyPositionsFile, s.opts.Left, s.opts.Logger, s.metrics, clock.Steady())
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.store = store
	clear(s.tails)
	s.mu.Unlock()
	defer s.store.close()
	var tails sync.WaitGroup
	defer tails.Wait()
	tails.Go(func() {
		for backoff.Sleep(ctx, sweepEvery, nil) == nil {
			s.sweep(ctx)
		}
	})

	watch := time.NewTicker(watchEvery)
	defer watch.Stop()
	sync := time.NewTimer(syncEvery)
	defer sync.Stop()
	dirty := s.store.dirty
	targets, changed := s.cfg.Targets.Targets()
	s.follow(ctx, &tails, targets)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			targets, changed = s.cfg.Targets.Targets()
			s.follow(ctx, &tails, targets)
		case <-dirty: // a second after the first change, however many follow
			dirty = nil
			sync.Reset(syncEvery)
		case <-sync.C:
			dirty = s.store.dirty
			s.store.sync()
		case <-watch.C:
			s.watch()
		}
	}
}

// follow makes the tails follow what targets says.
func (s *Source) follow(ctx context.Context, tails *sync.WaitGroup, targets []discovery.Target) {
	picked := pickTargets(targets)
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, t := range s.tails {
		if _, ok := picked[id]; !ok {
			t.leave()
		}
	}
	for id, target := range picked {
		t := s.tails[id]
		if t != nil {
			t.setTarget(target)
			continue
		}
		t = newTail(s, id)
		t.setTarget(target)
		s.tails[id] = t
		tails.Go(func() { t.run(ctx) })
	}
}

// retire removes a tail that has nothing left to do, unless its target has
// come back.
func (s *Source) retire(t *tail) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.present.Load() {
		return false
	}
	delete(s.tails, t.id)
	return true
}

// write gives a batch to every sink, to each until it accepts it. It fails only when ctx
// ends.
func (s *Source) write(ctx context.Context, t *tail, b *batch) error {
	if err := lines.Deliver(ctx, s.cfg.ForwardTo, b.Logs(), s.metrics.dropped.WithLabelValues(reasonRejected), t.warn); err != nil {
		return err
	}
	s.metrics.entries.Add(float64(b.Len()))
	return nil
}

// snapshot returns the tails in the order of their ids.
func (s *Source) snapshot() []*tail {
	s.mu.Lock()
	defer s.mu.Unlock()
	tails := make([]*tail, 0, len(s.tails))
	for _, id := range slices.Sorted(maps.Keys(s.tails)) {
		tails = append(tails, s.tails[id])
	}
	return tails
}

func (s *Source) count() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return float64(len(s.tails))
}

func (s *Source) lag() float64 {
	now, lag := time.Now(), time.Duration(0)
	for _, t := range s.snapshot() {
		lag = max(lag, t.lag(now))
	}
	return lag.Seconds()
}

// watch reconnects tails that have been silent for long: the Engine may have
// stopped following a file that was rotated or truncated, without a word.
func (s *Source) watch() {
	now := time.Now()
	for _, t := range s.snapshot() {
		t.checkSilence(now)
	}
}

// inspect asks the Engine about a container, within a time of its own.
func (s *Source) inspect(ctx context.Context, id string) (docker.Container, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return s.engine.Inspect(ctx, id)
}

// sweep finds out which of the containers that have a cursor and no tail don't
// exist any more, and forgets those that are long gone.
func (s *Source) sweep(ctx context.Context) {
	defer s.store.refresh()
	for _, id := range s.store.existing() {
		s.mu.Lock()
		_, tailed := s.tails[id]
		s.mu.Unlock()
		if tailed {
			continue
		}
		if _, err := s.inspect(ctx, id); docker.IsNotFound(err) {
			s.store.markGone(id)
		} else if err != nil {
			return
		}
	}
}
