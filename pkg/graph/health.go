package graph

import (
	"fmt"
	"slices"
	"time"

	"collector/pkg/health"
	"collector/pkg/mask"
)

// HealthState is the state of a component.
type HealthState string

// The states of a component.
const (
	Unknown   HealthState = "unknown"   // not started yet
	Healthy   HealthState = "healthy"   // running
	Degraded  HealthState = "degraded"  // running, but a part of what it depends on fails
	Unhealthy HealthState = "unhealthy" // not running, or everything that it depends on fails
	Exited    HealthState = "exited"    // has nothing more to do
)

// Health is the state of a component, with the reason and its start.
type Health struct {
	State       HealthState `json:"state"`
	Message     string      `json:"message"`
	UpdatedTime time.Time   `json:"updatedTime"`
	// Derived says that the component runs, and that the problem is with what it depends
	// on: its destinations, targets and so on.
	Derived bool `json:"-"`
	// Alloy is the state for what was made for Alloy, which knows no degraded
	// component: unhealthy only if it does not run or none of its destinations accepts
	// data, so that no alert fires over a dead target or a file that cannot be read.
	Alloy HealthState `json:"-"`
}

// health says how n is now.
func (n *node) health() Health {
	now := time.Now()
	problem := n.problem()
	var found health.Finding
	if err := guard(func() error { found = health.Of(n.component, now); return nil }); err != nil {
		found = health.Finding{Extent: health.All, Failed: true, Own: true, Message: err.Error()}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.run.health(now, problem, found)
	h.Message = mask.WithoutPasswords(h.Message)
	switch before := n.healthy; {
	case h.State == before.State:
		h.UpdatedTime = before.UpdatedTime
	case h.UpdatedTime.Before(before.UpdatedTime):
		h.UpdatedTime = now // it has run all the time, and has recovered
	}
	if h.State != n.healthy.State || h.Message != n.healthy.Message {
		n.remember(h)
	}
	n.healthy = h
	return h
}

// maxHistory is how many changes of a component's health are kept.
const maxHistory = 20

// remember records a change. While something keeps failing, its message may differ each
// time; only the last one is kept. The caller holds n.mu.
func (n *node) remember(h Health) {
	if last := len(n.history) - 1; last >= 0 && n.history[last].State == h.State {
		n.history[last].Message = h.Message
		return
	}
	n.history = append(n.history, h)
	if len(n.history) > maxHistory {
		n.history = slices.Delete(n.history, 0, 1)
	}
}

func (n *node) healthHistory() []Health {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.history)
}

// problem is what is wrong with the values that n was given.
func (n *node) problem() error {
	for _, d := range n.derived {
		if err := d.health(); err != nil {
			return err
		}
	}
	if err := n.staleness(); err != nil {
		return fmt.Errorf("a value changed and the configuration cannot be evaluated with it; the previous value stays in use: %w", err)
	}
	return nil
}

// health is how a component is with this run: problem is what is wrong with the values
// that it was given, found is what its parts add up to.
func (s runState) health(now time.Time, problem error, found health.Finding) Health {
	of := func(state HealthState, message string, since time.Time) Health {
		return Health{State: state, Message: message, UpdatedTime: since, Alloy: state}
	}
	switch {
	case s.since.IsZero():
		return of(Unknown, "not started yet", now)
	case s.exited:
		return of(Exited, "exited", s.since)
	case !s.running:
		return of(Unhealthy, "failed: "+s.err.Error(), s.since)
	case !s.runs(now):
		return of(Unhealthy, "restarted after it failed: "+s.err.Error(), s.since)
	case problem == nil && found.Extent == health.None:
		return of(Healthy, "running", s.since)
	}
	h := Health{State: Degraded, Message: found.Message, UpdatedTime: now, Derived: !found.Own && problem == nil, Alloy: Healthy}
	if found.Extent == health.All || problem != nil {
		h.State = Unhealthy
	}
	if problem != nil && found.Message != "" {
		h.Message = problem.Error() + "; " + found.Message
	} else if problem != nil {
		h.Message = problem.Error()
	}
	if found.Failed {
		h.Alloy = Unhealthy
	}
	return h
}

// runs reports whether a component that is to run does, and has not only just been
// started again after it failed.
func (s runState) runs(now time.Time) bool {
	return s.running && (s.err == nil || now.Sub(s.since) >= settled)
}
