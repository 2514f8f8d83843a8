package graph

import (
	"errors"
	"time"
)

// HealthState says how a component is.
type HealthState string

// The states of a component.
const (
	Unknown   HealthState = "unknown"   // not started yet
	Healthy   HealthState = "healthy"   // running
	Unhealthy HealthState = "unhealthy" // failed, or running with something wrong
	Exited    HealthState = "exited"    // has nothing more to do
)

// Health is how a component is, why, and since when.
type Health struct {
	State       HealthState `json:"state"`
	Message     string      `json:"message"`
	UpdatedTime time.Time   `json:"updatedTime"`
}

// health says how n is now.
func (n *node) health() Health {
	problem := n.problem()
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.run.health(time.Now(), problem)
	if h.State != n.healthy.State || h.Message != n.healthy.Message {
		n.healthy = h
	}
	return n.healthy
}

// problem is what the component itself, or the targets that it is given,
// complain of while it runs.
func (n *node) problem() error {
	for _, d := range n.derived {
		if err := d.health(); err != nil {
			return err
		}
	}
	h, ok := n.component.(healther)
	if !ok {
		return nil
	}
	var problem error
	return errors.Join(guard(func() error { problem = h.Health(); return nil }), problem)
}

func (s runState) health(now time.Time, problem error) Health {
	switch {
	case s.since.IsZero():
		return Health{Unknown, "not started yet", now}
	case s.exited:
		return Health{Exited, "has ended", s.since}
	case !s.running:
		return Health{Unhealthy, "failed: " + s.err.Error(), s.since}
	case s.err != nil && now.Sub(s.since) < settled:
		return Health{Unhealthy, "started again after it failed: " + s.err.Error(), s.since}
	case problem != nil:
		return Health{Unhealthy, problem.Error(), now}
	}
	return Health{Healthy, "running", s.since}
}
