// Package scrape is pyroscope.scrape: it gets profiles from programs that serve them
// in pprof's format, at regular times, and forwards them.
//
// Each kind of profile of a target is scraped on its own. Those that count since the
// start of the program are compared with the one before (package delta), so that each
// value is stored once.
package scrape

import (
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
	"collector/pkg/listen"
	"collector/pkg/mask"
	"collector/pkg/pipeline"
	"collector/pkg/profiles/delta"
	"collector/pkg/schedule"
	"collector/pkg/throttle"
)

const (
	// largest bounds a profile, as it comes and unpacked.
	largest = 64 << 20
	// shutdownGrace is how long receivers may take for the last profiles when the
	// component stops.
	shutdownGrace = 2 * time.Second
	// forwardPatience is how long receivers may take for a profile at least: a queue is
	// just being opened, or waits for a slow disk.
	forwardPatience = 5 * time.Second
	// copies is how often a profile is copied to be forwarded.
	copies = 2
)

// Scraper is a running pyroscope.scrape.
type Scraper struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	client  *http.Client
	agent   string
	budget  *listen.Budget
	limit   int64
	quiet   throttle.Log
	now     func() time.Time // time.Now
	running sync.WaitGroup
	trails  httpclient.Trails

	mu      sync.Mutex
	targets map[string]*target // guarded by mu; only the scheduler writes it
}

// target is a running endpoint.
type target struct {
	schedule.Place // belongs to the scheduler's goroutine

	cancel context.CancelCauseFunc
	ctx    context.Context
	delta  *delta.Computer // of the scrape that goes on; nil: none is needed

	// state guards what follows, which the UI reads during a scrape.
	state struct {
		sync.Mutex
		endpoint endpoint
		busy     bool
		health   string
		err      error
		at       time.Time
		took     time.Duration
		profiles int // forwarded by the last scrape
	}
}

// The healths of a target.
const (
	healthUnknown = "unknown"
	healthUp      = "up"
	healthDown    = "down"
)

//go:embed pyroscope.scrape.md
var page string

// Definition is the component pyroscope.scrape.
func Definition() component.Definition {
	return component.Define("pyroscope.scrape", New, component.Doc{Page: page})
}

// New makes a scraper, and starts nothing.
func New(cfg Config, o component.Options) (*Scraper, error) {
	o = o.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	client, err := cfg.HTTPClient.NewLater(o.ID, o.UserAgent)
	if err != nil {
		return nil, err
	}
	if cfg.HTTPClient.FollowRedirects {
		client.CheckRedirect = httpclient.FollowOwn
	}
	if cfg.Clustering.Enabled {
		o.Warn("clustering/enabled", "clustering is not supported: this collector scrapes all of its targets, and so does every other one with the same configuration")
	}
	if cfg.Targets == nil {
		cfg.Targets = discovery.NewSet()
	}
	s := &Scraper{
		cfg: cfg, log: o.Logger, client: client, agent: o.UserAgent, budget: o.Listeners.Budget(),
		limit: 2 * listen.WithinMemory(largest/2), now: time.Now, targets: make(map[string]*target),
	}
	s.metrics = newMetrics(o.Metrics)
	return s, nil
}

// Run scrapes until ctx ends. Then it gives what is being fetched a moment, and
// waits until what has been fetched is forwarded.
func (s *Scraper) Run(ctx context.Context) error {
	defer s.client.CloseIdleConnections()
	defer s.forget()
	var q schedule.Queue[*target]
	reported := make(map[string]bool)
	schedule.Loop[*target]{
		Targets: s.cfg.Targets, Now: s.now,
		Sync:  func(list []discovery.Target) { reported = s.sync(ctx, &q, list, reported) },
		Start: func() { s.start(&q) },
	}.Run(ctx, &q)
	return nil
}

// forget makes the scraper ready for another Run.
func (s *Scraper) forget() {
	s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.targets {
		t.cancel(nil)
	}
	clear(s.targets)
	s.metrics.targets.Set(0)
}

// start starts all scrapes that are due.
func (s *Scraper) start(q *schedule.Queue[*target]) {
	now := s.now()
	for q.Len() > 0 && !q.First().Due.After(now) {
		t := q.First()
		e, free := t.begin()
		t.Due = schedule.Next(now, e.interval, e.offset())
		q.Fix(t)
		if !free {
			s.metrics.missed.Inc()
			continue
		}
		s.running.Go(func() {
			defer t.finish()
			s.scrape(t, &e)
		})
	}
}

func (e *endpoint) offset() time.Duration { return schedule.Offset(e.interval, e.key) }

// sync applies a new list of targets. It returns what was wrong with the list, so
// that each complaint is made once.
func (s *Scraper) sync(ctx context.Context, q *schedule.Queue[*target], list []discovery.Target, reported map[string]bool) map[string]bool {
	now := s.now()
	wanted, complaints := s.endpoints(list, reported)
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, t := range s.targets {
		if _, ok := wanted[key]; !ok {
			delete(s.targets, key)
			q.Remove(t)
			t.cancel(schedule.ErrGone)
		}
	}
	for key, e := range wanted {
		t, ok := s.targets[key]
		if ok {
			t.state.Lock()
			t.state.endpoint = e // labels that begin with two underscores may be others
			t.state.Unlock()
			continue
		}
		t = &target{Place: schedule.Place{Due: schedule.First(now, e.interval, e.offset())}}
		t.ctx, t.cancel = context.WithCancelCause(ctx)
		t.state.endpoint, t.state.health = e, healthUnknown
		if e.compared != nil {
			t.delta = delta.New(e.compared...)
		}
		s.targets[key] = t
		q.Push(t)
	}
	s.metrics.targets.Set(float64(len(s.targets)))
	return complaints
}

// endpoints reads a list of targets. Of those with equal labels and URLs it keeps the
// first.
func (s *Scraper) endpoints(list []discovery.Target, reported map[string]bool) (map[string]endpoint, map[string]bool) {
	wanted, complaints := make(map[string]endpoint, len(list)), make(map[string]bool)
	for _, t := range list {
		made, err := s.cfg.endpoints(t)
		if err != nil && !errors.Is(err, errEnded) {
			id := t.String()
			if !reported[id] && !complaints[id] {
				s.log.Warn("a target cannot be scraped", "err", mask.WithoutPasswords(err.Error()), "target", mask.WithoutLabelSecrets(id))
			}
			complaints[id] = true
		}
		for _, e := range made {
			if _, twice := wanted[e.key]; !twice {
				wanted[e.key] = e
			}
		}
	}
	return wanted, complaints
}

// scrape scrapes a target once, and forwards its profile.
func (s *Scraper) scrape(t *target, e *endpoint) {
	start := s.now()
	claim := s.budget.Claim("scrape "+e.key, nil)
	defer claim.Release()
	profile, err := s.collect(t, e, claim)
	if errors.Is(err, errInterrupted) {
		return
	}
	forwarded := 0
	if err != nil {
		s.metrics.fail(err)
	} else if profile != nil {
		forwarded = s.forward(t.ctx, e, profile)
	}
	s.note(t, e, start, forwarded, err)
}

// errInterrupted says that the target or the component has ended before the profile
// was there.
var errInterrupted = errors.New("the scrape was interrupted")

// collect gets the profile that will be forwarded; nil: there is nothing yet to
// compare it with.
func (s *Scraper) collect(t *target, e *endpoint, claim *listen.Claim) ([]byte, error) {
	ctx, cancel := schedule.Fetching(t.ctx, e.timeout)
	profile, err := s.fetch(ctx, e, claim)
	late := errors.Is(ctx.Err(), context.DeadlineExceeded)
	cancel()
	switch {
	case err != nil && t.ctx.Err() != nil && !late:
		return nil, errInterrupted
	case err != nil:
		return nil, err
	case t.delta == nil:
		return profile, claim.Grow(copies * len(profile))
	}
	return s.compare(t.delta, profile, claim)
}

// compare is what a profile has in addition to the previous one.
func (s *Scraper) compare(with *delta.Computer, profile []byte, claim *listen.Claim) ([]byte, error) {
	plain, err := s.unpacked(profile, claim)
	if err != nil {
		return nil, err
	}
	cost, err := delta.Cost(plain)
	if err != nil {
		return nil, &notProfile{Err: err, Instead: "data in another format"}
	}
	// The memory for forwarding the result is claimed before it is known: once the
	// profile has replaced the previous one, the difference exists nowhere else.
	if err := claim.Grow(cost + copies*len(plain)); err != nil {
		return nil, err
	}
	more, err := with.Delta(plain)
	if err != nil {
		return nil, &notProfile{Err: err, Instead: "data in another format"}
	}
	if more == nil {
		return nil, nil
	}
	return packed(more)
}

// note keeps the outcome for the UI, and logs when scraping begins or stops to fail.
func (s *Scraper) note(t *target, e *endpoint, at time.Time, profiles int, err error) {
	t.state.Lock()
	before := t.state.health
	t.state.health, t.state.err = healthUp, err
	if err != nil {
		t.state.health = healthDown
	}
	t.state.at, t.state.took, t.state.profiles = at, s.now().Sub(at), profiles
	t.state.Unlock()
	switch url := mask.WithoutPasswords(e.url); {
	case err != nil && before != healthDown:
		why := e.causeOf(err)
		s.quiet.Warn(s.log, e.key, "scrape failed", "target", url, "cause", why.Text, "fix", why.Fix, "err", mask.WithoutPasswords(err.Error()))
	case err == nil && before == healthDown:
		s.quiet.Log(s.log, slog.LevelInfo, e.key, "scrape recovered", "target", url)
	}
}

// forward gives a profile to all receivers, each on its own, and returns 1 if one has
// accepted it. What a receiver has not accepted after half an interval is lost for it.
func (s *Scraper) forward(ctx context.Context, e *endpoint, profile []byte) int {
	p := pipeline.Profile{Route: pipeline.ProfilePush, Body: pushRequest(e, profile), Items: 1, Named: true}
	wctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(e.interval/2, forwardPatience))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(shutdownGrace, cancel) })
	defer stop()
	taken := 0
	errs := pipeline.Each(wctx, s.cfg.ForwardTo, func(ctx context.Context, to pipeline.ProfilesSink) error { return to.WriteProfile(ctx, p) })
	for i, err := range errs {
		if err == nil {
			taken = 1
			s.metrics.forwarded.Inc()
			continue
		}
		s.metrics.dropped.Inc()
		s.quiet.Warn(s.log, strconv.Itoa(i), "a receiver rejected a profile", "forward_to", i+1, "err", err)
	}
	return taken
}

func (t *target) endpoint() endpoint {
	t.state.Lock()
	defer t.state.Unlock()
	return t.state.endpoint
}

// begin claims the target for a scrape; it is false while one goes on.
func (t *target) begin() (endpoint, bool) {
	t.state.Lock()
	defer t.state.Unlock()
	if t.state.busy {
		return t.state.endpoint, false
	}
	t.state.busy = true
	return t.state.endpoint, true
}

func (t *target) finish() {
	t.state.Lock()
	defer t.state.Unlock()
	t.state.busy = false
}
