package scrape

import (
	"context"
	"errors"
	"fmt"

	"collector/pkg/discovery"
	"collector/pkg/mask"
	"collector/pkg/schedule"
)

// Run scrapes until ctx ends. Then it gives what is being fetched a moment, and
// waits until what has been fetched is forwarded.
func (s *Scraper) Run(ctx context.Context) error {
	defer s.failures.close()
	defer s.fetcher.client.CloseIdleConnections()
	defer s.running.Wait()
	defer s.forget()

	var q schedule.Queue[*target]
	reported := make(map[string]bool)
	schedule.Loop[*target]{
		Targets: s.cfg.Targets, Now: s.now,
		Sync:  func(list []discovery.Target) { reported = s.sync(ctx, &q, list, reported) },
		Start: func() { s.start(&q) },
		Woken: s.crowded, Wake: func() { s.startOver(&q) },
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
		t.claim.settle(0)
	}
	clear(s.targets)
	s.remembered.Store(0)
	s.metrics.targets.Set(0)
}

// start starts all scrapes that are due.
func (s *Scraper) start(q *schedule.Queue[*target]) {
	now := s.now()
	for q.Len() > 0 && !q.First().Due.After(now) {
		t := q.First()
		due := t.Due
		e, free := t.begin()
		t.Due = e.nextScrape(now)
		q.Fix(t)
		if !free {
			s.metrics.missed.Inc()
			continue
		}
		refused := s.refused
		s.running.Go(func() {
			defer t.finish()
			s.scrape(t, e, due, refused)
		})
	}
}

// shed makes a target that takes too much memory give it up at once.
func (s *Scraper) shed() {
	select {
	case s.crowded <- struct{}{}:
	default:
	}
}

// startOver makes the targets due that have to give up their memory: being
// scraped, they will find that out.
func (s *Scraper) startOver(q *schedule.Queue[*target]) {
	now := s.now()
	q.Each(func(t *target) {
		if t.claim.crowding() {
			t.Due = now
		}
	})
	s.start(q)
}

// sync applies a new list of targets. It returns what was wrong with the
// list, so that each complaint is made once.
func (s *Scraper) sync(ctx context.Context, q *schedule.Queue[*target], list []discovery.Target, reported map[string]bool) map[string]bool {
	s.metrics.syncs.Inc()
	now := s.now()
	wanted, complaints := s.endpoints(list, reported)
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, t := range s.targets {
		if _, ok := wanted[key]; ok {
			continue
		}
		delete(s.targets, key)
		q.Remove(t)
		t.cancel(schedule.ErrGone)
		s.running.Go(func() { s.end(ctx, t, now) })
	}
	for key, e := range wanted {
		t, ok := s.targets[key]
		if !ok {
			t = &target{Place: schedule.Place{Due: e.firstScrape(now)}, claim: s.budget.claim(s.shed)}
			t.ctx, t.cancel = context.WithCancelCause(ctx)
			t.state.endpoint, t.state.health = e, healthUnknown
			s.targets[key] = t
			q.Push(t)
			continue
		}
		if t.replace(e) {
			t.Due = e.firstScrape(now)
			q.Fix(t)
		}
	}
	s.metrics.targets.Set(float64(len(s.targets)))
	s.refused = nil
	if limit := int(s.cfg.TargetLimit); limit > 0 && len(s.targets) > limit {
		s.metrics.targetLimit.Inc()
		s.refused = exceeds("target_limit", limit, fmt.Errorf("%w: there are %d targets, the limit is %d", errTargetLimit, len(s.targets), limit))
	}
	return complaints
}

// replace gives a running target another address or timing; its series continue. It
// reports whether anything but meta labels has changed.
func (t *target) replace(e endpoint) bool {
	t.state.Lock()
	defer t.state.Unlock()
	old := &t.state.endpoint
	changed := old.url != e.url || old.interval != e.interval || old.timeout != e.timeout
	*old = e
	return changed
}

// endpoint reads a target. Names of labels that the component's validation scheme rejects
// are made valid, as they would fail every scrape.
func (s *Scraper) endpoint(t discovery.Target) (endpoint, error) {
	e, err := newEndpoint(&s.cfg, s.job, t)
	if err == nil {
		e.setLabels(s.names.Valid(e.labels))
	}
	return e, err
}

// endpoints reads a list of targets. Of those with equal labels it keeps the
// one that is being scraped already, or else the first.
func (s *Scraper) endpoints(list []discovery.Target, reported map[string]bool) (map[string]endpoint, map[string]bool) {
	wanted := make(map[string]endpoint, len(list))
	complaints := make(map[string]bool)
	complain := func(id, message string, args ...any) {
		if !reported[id] && !complaints[id] {
			s.log.Warn(message, args...)
		}
		complaints[id] = true
	}
	for _, t := range list {
		e, err := s.endpoint(t)
		if errors.Is(err, errEnded) {
			continue
		}
		if err != nil {
			s.metrics.syncFailed.Inc()
			complain("bad "+t.String(), "a target cannot be scraped",
				"err", mask.WithoutPasswords(err.Error()), "target", beginning(mask.WithoutLabelSecrets(t.String())))
			continue
		}
		other, twice := wanted[e.key]
		if !twice {
			wanted[e.key] = e
			continue
		}
		if other.url != e.url {
			s.metrics.duplicates.Inc()
			complain("twice "+e.key, "two targets have the same labels: only one is scraped, as their series would be the same",
				"labels", mask.WithoutLabelSecrets(e.labels.String()), "address", mask.WithoutPasswords(other.url), "other", mask.WithoutPasswords(e.url))
			if running, ok := s.targets[e.key]; ok && running.endpoint().url == e.url {
				wanted[e.key] = e
			}
		}
	}
	return wanted, complaints
}
