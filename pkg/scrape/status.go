package scrape

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
	"collector/pkg/inspect"
)

// TargetStatus is the state of a target for the debug UI.
type TargetStatus struct {
	ID               string        `json:"id"` // the same as long as the labels are
	Job              string        `json:"job"`
	URL              string        `json:"url"`
	Health           string        `json:"health"`
	Labels           labels.Labels `json:"labels"`
	DiscoveredLabels labels.Labels `json:"discovered_labels"`
	LastError        string        `json:"last_error,omitempty"`
	Cause            string        `json:"cause,omitempty"` // of the error, in words
	Fix              string        `json:"fix,omitempty"`
	LastScrape       time.Time     `json:"last_scrape,omitzero"`
	LastDuration     string        `json:"last_scrape_duration,omitempty"`
	Samples          int           `json:"samples"`
	Interval         string        `json:"scrape_interval"`

	Took time.Duration `json:"-"` // the last scrape
	Err  error         `json:"-"` // its error
}

// Status is a snapshot of all targets, ordered by their addresses.
func (s *Scraper) Status() any {
	return struct {
		Targets []TargetStatus `json:"targets"`
	}{s.TargetStatus()}
}

// TargetStatus is a snapshot of all targets, ordered by their addresses. It
// takes each target's lock for the time of copying its state.
func (s *Scraper) TargetStatus() []TargetStatus {
	s.mu.Lock()
	targets := make([]*target, 0, len(s.targets))
	for _, t := range s.targets {
		targets = append(targets, t)
	}
	s.mu.Unlock()
	out := make([]TargetStatus, 0, len(targets))
	for _, t := range targets {
		out = append(out, t.status())
	}
	slices.SortFunc(out, func(a, b TargetStatus) int {
		return cmp.Or(strings.Compare(a.URL, b.URL), strings.Compare(a.ID, b.ID))
	})
	return out
}

func (t *target) status() TargetStatus {
	t.state.Lock()
	e, state, err, at, took, samples := t.state.endpoint, t.state.health, t.state.err, t.state.at, t.state.took, t.state.samples
	t.state.Unlock()
	st := TargetStatus{
		ID: e.id(), Job: e.labels.Get(model.JobLabel), URL: e.url, Health: string(state),
		Labels: e.labels, DiscoveredLabels: e.discovered,
		LastScrape: at, Samples: samples, Interval: e.interval.String(), Took: took,
	}
	if err != nil {
		why := e.causeOf(err)
		st.LastError, st.Err, st.Cause, st.Fix = err.Error(), err, why.Text, why.Fix
	}
	if !at.IsZero() {
		st.LastDuration = took.String()
	}
	return st
}

// id names the target in the UI.
func (e *endpoint) id() string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(e.key)) // never fails
	return fmt.Sprintf("%016x", h.Sum64())
}

// find looks a target up by its id; nil if there is none.
func (s *Scraper) find(id string) *target {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.targets {
		e := t.endpoint()
		if e.id() == id {
			return t
		}
	}
	return nil
}

// explain says what happens to a target in the list that the component is given: the id
// of the one that is scraped for it, or why none is.
func (s *Scraper) explain(t discovery.Target) (id string, err error) {
	e, err := s.endpoint(t)
	if errors.Is(err, errEnded) {
		return "", errors.New("its container has exited")
	}
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	running := s.targets[e.key]
	refused := s.refused
	s.mu.Unlock()
	switch {
	case running == nil:
		return "", errors.New("the component has not picked it up yet")
	case refused != nil:
		return e.id(), refused
	case running.endpoint().url != e.url:
		return e.id(), fmt.Errorf("another target has the same labels, and of the two only %s is scraped, as their series would be the same", running.endpoint().url)
	}
	return e.id(), nil
}

// ScrapeTargets is part of inspect.Scraper.
func (s *Scraper) ScrapeTargets() []inspect.ScrapeTarget {
	var out []inspect.ScrapeTarget
	for _, t := range s.TargetStatus() {
		out = append(out, inspect.ScrapeTarget{
			ID: t.ID, Job: t.Job, URL: t.URL, State: t.Health, Labels: t.Labels, Discovered: t.DiscoveredLabels,
			LastScrape: t.LastScrape, Took: t.Took, Interval: t.Interval, Samples: t.Samples, Error: t.LastError, Err: t.Err,
		})
	}
	return out
}

// Failing is part of inspect.Counter.
func (s *Scraper) Failing() (failing, all int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.targets {
		t.state.Lock()
		if t.state.health == healthDown {
			failing++
		}
		t.state.Unlock()
	}
	return failing, len(s.targets)
}

// Consume is part of inspect.TargetConsumer.
func (s *Scraper) Consume(t discovery.Target) (o inspect.Onward, listed bool) {
	if !s.cfg.Targets.Has(t) {
		return o, false
	}
	id, err := s.explain(t)
	if o = (inspect.Onward{Target: id, Taken: err == nil}); err != nil {
		o.Why = err.Error()
	}
	return o, true
}
