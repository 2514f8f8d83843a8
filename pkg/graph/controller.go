package graph

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/deliver"
	"collector/pkg/docker"
	"collector/pkg/filewatch"
	"collector/pkg/listen"
	"collector/pkg/live"
	"collector/pkg/pipeline"
	"collector/pkg/spans"
)

const (
	// defaultStopTimeout is below the 10 s that Docker gives a container.
	defaultStopTimeout = 4 * time.Second
	// reloadTimeout is how long a reload waits for components to end. Those that take
	// longer are waited for only by their successors.
	reloadTimeout = 10 * time.Second
)

// Options is what the program gives to a Controller.
type Options struct {
	Definitions []component.Definition
	// LeftOut are the components that this build of the program lacks: the tag with
	// which it was built, by their names.
	LeftOut map[string]string
	// Kinds are the kinds of values that components export; nil: receivers only.
	Kinds       kinds
	StoragePath string // below which each component has a directory of its own
	Version     string // constants.version
	UserAgent   string
	Logger      *slog.Logger
	// Registry is the program's own. The controller registers its metrics
	// there, and Gather includes it.
	Registry *prometheus.Registry
	// Orphans looks for queues that no component has; it may be nil.
	Orphans   *deliver.Orphans
	Spans     *spans.Provider // of what the collector does; nil for none
	Docker    *docker.Pool
	Files     *filewatch.Pool
	Listeners *listen.Pool
	// AllowEmpty lets a configuration without components follow one that has some.
	AllowEmpty bool
	// Strict makes Check report what this machine lacks, such as files and
	// environment variables, as errors instead of warnings.
	Strict bool
	// Live is where what flows between components is observed.
	Live *live.Hub

	// InForce is called whenever other components are in force than before; it may be
	// nil.
	InForce func()

	purpose purpose
	making  context.Context                                   // of constructors
	wake    func()                                            // says that something has changed that the graph is made of
	left    func(n *node, f func(dirs []string, load string)) // see Controller.left
	module  string                                            // that the configuration runs in; "" for the user's own
	folder  func() string                                     // module_path; nil: that of the first file
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Docker == nil {
		o.Docker = docker.NewPool(o.Logger)
	}
	if o.Files == nil {
		o.Files = filewatch.NewPool()
	}
	if o.Listeners == nil {
		o.Listeners = listen.NewPool()
	}
	if o.Kinds == nil {
		o.Kinds = pipeline.Kinds()
	}
	if o.Live == nil {
		o.Live = &live.Hub{}
	}
	if o.making == nil {
		o.making = context.Background()
	}
	if o.wake == nil {
		o.wake = func() {}
	}
	if o.left == nil {
		o.left = func(*node, func([]string, string)) {}
	}
	if o.InForce == nil {
		o.InForce = func() {}
	}
	if o.Version == "" {
		o.Version = "v0.0.0"
	}
	return o
}

// Check builds the graph of a configuration and throws it away. It reports
// everything that Load would, but for ports that others use: the errors and
// then the warnings, each in the order of the source. What this machine lacks is a
// warning unless o is Strict, as the configuration may be for another one.
func Check(o Options, sources []config.Source) config.Diagnostics {
	o = o.withDefaults()
	o.purpose = toCheck
	if o.Strict {
		o.purpose = toCheckHere
	}
	o.Listeners = listen.NewDryPool()
	g, ds := build(o, newMetrics(""), sources, nil)
	if ds.Err() == nil {
		ds = append(ds, bindAll(o.Listeners, g, nil, nil)...)
	}
	for _, n := range g.nodes {
		n.close()
	}
	return append(ds.Errors(), ds.Warnings()...)
}

// Make builds the graph of a configuration and returns one of its components,
// which runs nothing and listens to nothing.
func Make(o Options, sources []config.Source, id string) (any, error) {
	o = o.withDefaults()
	o.Listeners = listen.NewDryPool()
	g, ds := build(o, newMetrics(""), sources, nil)
	if err := ds.Err(); err != nil {
		return nil, err
	}
	for _, n := range g.nodes {
		if n.id == id {
			return n.component, nil
		}
	}
	return nil, fmt.Errorf("the configuration has no component %q", id)
}

// Controller runs the components of a configuration.
type Controller struct {
	options   Options
	metrics   *metrics
	conflicts onceLog

	ctx    context.Context // of every component
	cancel context.CancelFunc
	// stopping ends when Stop is called, for a Load in progress to hurry.
	stopping context.Context
	halt     context.CancelFunc

	beside   atomic.Pointer[Controller] // what a host of the configuration loads; nil if there never was one
	other    func() *graph              // of the controller beside which this one is, or that is beside it
	swapping chan struct{}              // of both; holds one while one of them puts a graph in force

	looking *sync.Mutex // of both; held by left
	loading sync.Mutex  // held by Load and Stop
	leaving []*node     // guarded by loading: stopped, but may not have ended yet
	current atomic.Pointer[graph]
	ready   atomic.Bool
	failure atomic.Pointer[Attempt] // the last load, if it failed
	history *history

	unwatch   func()        // guarded by loading: ends the watch over what the graph is made of
	woken     chan struct{} // holds one when something has changed that the graph is made of
	following sync.WaitGroup
	follow    sync.Once // starts the goroutine that evaluates again
}

// New makes a controller that runs nothing yet.
func New(o Options) *Controller {
	c := newController(o.withDefaults())
	c.swapping, c.looking, c.other = make(chan struct{}, 1), &sync.Mutex{}, c.graphBeside
	c.options.Registry.MustRegister(slices.Concat(c.metrics.ofEvaluation(), c.metrics.ofLoading())...)
	c.options.Registry.MustRegister(newRunningComponents(c))
	return c
}

func newController(o Options) *Controller {
	c := &Controller{options: o, metrics: newMetrics(o.module), woken: make(chan struct{}, 1), history: &history{}}
	c.options.wake, c.options.left = c.wake, c.left
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.stopping, c.halt = context.WithCancel(context.Background())
	c.current.Store(newGraph())
	return c
}

func (c *Controller) graph() *graph { return c.current.Load() }

// Ready reports whether a configuration has been loaded with success; from then
// on it stays true.
func (c *Controller) Ready() bool { return c.ready.Load() }

// NotRunning gives the ids of the components that should run and do not, or have only
// just been started again after they failed. Other problems of components are no reason
// to end the program.
func (c *Controller) NotRunning() []string {
	var ids []string
	for _, n := range c.nodes() {
		if s := n.state(); !s.since.IsZero() && !s.exited && !s.runs(time.Now()) {
			ids = append(ids, n.id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Observe records the health of all components in their history.
func (c *Controller) Observe() {
	for _, n := range c.nodes() {
		n.health()
	}
}

// LoadFailed records that a configuration could not even be read; sources are what can be
// shown of it.
func (c *Controller) LoadFailed(ctx context.Context, err error, sources ...config.Source) {
	c.noteLoad(c.trigger(ctx), c.graph(), nil, sources, err)
	c.loadFailed(sources, err)
}

func (c *Controller) loadFailed(sources []config.Source, err error) {
	c.failure.Store(newAttempt(sources, err))
	c.metrics.loadFailed()
}

func newAttempt(sources []config.Source, err error) *Attempt {
	failed := &Attempt{At: time.Now(), Sources: sources, Error: err.Error()}
	errors.As(err, &failed.Diagnostics)
	return failed
}

// Load replaces the configuration in force by the one in sources. Everything is read,
// evaluated and checked, and everything that listens has its port, before anything that
// runs is touched: after an error, which is config.Diagnostics where it is about the
// configuration, everything keeps running as before. Components that are not affected by
// a change run on in any case.
func (c *Controller) Load(ctx context.Context, sources []config.Source) error {
	c.loading.Lock()
	defer c.loading.Unlock()
	c.metrics.evaluating.Set(1)
	defer c.metrics.evaluating.Set(0)
	began, by := time.Now(), c.trigger(ctx)
	old := c.graph()
	seen := old.pending()
	o, cancel := c.options.until(ctx, c.stopping)
	defer cancel()
	next, ds := build(o, c.metrics, sources, old)
	err := errors.Join(ctx.Err(), c.stopping.Err()) // constructors fail then
	if err == nil {
		err = ds.Err()
	}
	if err == nil && !c.options.AllowEmpty {
		err = emptied(old, next, sources).Err()
	}
	if err == nil {
		err = c.replace(o.making, old, next, sources, ds.Warnings())
	}
	if err != nil {
		for _, n := range seen { // what has changed is not in force yet
			n.pending.Store(true)
		}
	}
	c.noteLoad(by, old, next, sources, err)
	c.reportEvaluation("GraphEvaluate", began, next, err)
	if err != nil {
		c.loadFailed(sources, err)
		return err
	}
	for _, d := range ds.Warnings() {
		c.options.Logger.Warn("warning about the configuration", "position", d.At.String(), "warning", d.Message)
	}
	c.failure.Store(nil)
	c.metrics.loadedConfig(next.hash, next.loaded)
	c.ready.Store(true)
	c.refresh(old, next)
	c.follow.Do(func() { c.following.Go(c.reevaluateWhenWoken) })
	return nil
}

// until is o with constructors that wait for nothing once one of the contexts has
// ended.
func (o Options) until(ctx, stopping context.Context) (Options, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	release := context.AfterFunc(stopping, cancel)
	o.making = ctx
	return o, func() { release(); cancel() }
}

// bindAll has the components of next that old does not have take their
// listeners from pool, or views of it. beside is what runs beside next; it may be nil.
// After an error, none holds any.
func bindAll(pool *listen.Pool, next, old, beside *graph) config.Diagnostics {
	var bound []*node
	var ds config.Diagnostics
	for _, n := range next.nodes {
		if old.has(n) {
			continue
		}
		if err := n.bind(); err != nil {
			ds = append(ds, next.blocks[n.id].Place(err)...)
			continue
		}
		bound = append(bound, n)
	}
	if ds == nil {
		views := []*listen.Pool{pool}
		if beside != nil {
			for _, n := range beside.nodes {
				views = append(views, n.listeners)
			}
		}
		for _, n := range next.nodes {
			views = append(views, n.listeners)
			if err := listen.Conflict(views...); err != nil {
				ds = append(ds, next.blocks[n.id].Place(err)...)
				break
			}
		}
	}
	if ds == nil {
		return nil
	}
	for _, n := range bound {
		n.close()
	}
	return ds
}

// swap stops what is in old alone and starts what is in next alone.
func (c *Controller) swap(old, next *graph) {
	next.loaded = time.Now()
	for _, n := range next.nodes {
		n.mu.Lock()
		n.loaded = true
		if n.began.IsZero() {
			n.began = next.loaded
		}
		n.mu.Unlock()
	}
	c.introduce(old, next)
	c.current.Store(next)
	c.watch(next)
	var gone []*node
	for _, n := range old.nodes {
		if !next.has(n) {
			gone = append(gone, n)
		}
	}
	for _, n := range stopAll(c.stopping, gone, reloadTimeout) {
		c.options.Logger.Warn("component does not stop; its replacement is waiting for it", "component_id", n.id)
	}
	c.leaving = slices.DeleteFunc(append(c.leaving, gone...), (*node).ended)
	c.settle()
	for _, n := range next.nodes {
		if old.has(n) {
			continue
		}
		var before <-chan struct{}
		for _, l := range c.leaving {
			if l.id == n.id {
				before = l.done // the last one has waited for those before it
			}
		}
		n.start(c.ctx, before)
	}
}

// settle tells the inventory of queues which of them belong to the components in force,
// when the other components have stopped and these have not started.
func (c *Controller) settle() {
	if c.options.Orphans == nil {
		return
	}
	uses := c.expected()
	for _, n := range slices.Concat(c.graph().nodes, c.other().nodes) {
		if w, ok := n.component.(queueUser); ok {
			uses = append(uses, w.QueueUse())
		}
	}
	c.options.Orphans.Settle(uses)
}

// queueUser is a component that has queues on disk.
type queueUser interface{ QueueUse() deliver.Use }

func (n *node) ended() bool {
	select {
	case <-n.done:
		return true
	default:
		return false
	}
}

// Stop ends all components, those that read before those that they send to,
// and returns the ids of those that have not ended within timeout; 0 is 4 s.
// There is no Load after it.
func (c *Controller) Stop(timeout time.Duration) []string {
	if timeout == 0 {
		timeout = defaultStopTimeout
	}
	deadline := time.Now().Add(timeout)
	c.halt()
	c.loading.Lock()   // a load in progress may start what is waited for; none after it does
	c.loading.Unlock() //lint:ignore SA2001 the lock is waited for, not held
	var late []string
	var beside sync.WaitGroup
	if b := c.beside.Load(); b != nil {
		beside.Go(func() { late = b.Stop(time.Until(deadline)) })
	}
	c.following.Wait()
	c.loading.Lock()
	defer c.loading.Unlock()
	hung := map[string]bool{}
	all := append(slices.Clone(c.leaving), c.graph().nodes...)
	for _, n := range stopAll(context.Background(), all, time.Until(deadline)) {
		hung[n.id] = true
	}
	c.cancel()
	beside.Wait()
	return slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(hung)), late...)))
}

// onceLog logs each message once.
type onceLog struct {
	mu   sync.Mutex
	seen map[string]bool // guarded by mu
}

// maxOnce bounds what onceLog remembers.
const maxOnce = 1000

func (o *onceLog) warn(logger *slog.Logger, message, id, detail string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := fmt.Sprintf("%s\x00%s\x00%s", message, id, detail)
	if o.seen[key] || len(o.seen) >= maxOnce {
		return
	}
	if o.seen == nil {
		o.seen = map[string]bool{}
	}
	o.seen[key] = true
	logger.Warn(message, "component_id", id, "err", detail)
}
