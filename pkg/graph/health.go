package graph

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"collector/pkg/mask"
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
	h.Message = mask.WithoutPasswords(h.Message)
	if h.State != n.healthy.State || h.Message != n.healthy.Message {
		n.healthy = h
		n.remember(h)
	}
	return n.healthy
}

// maxHistory is how many changes of a component's health are kept.
const maxHistory = 20

// remember takes note of a change. The message of what goes on failing may
// differ each time, and only the last one says more than the one before. The
// caller holds n.mu.
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

// problem is what the component itself, or the targets that it is given,
// complain of while it runs.
func (n *node) problem() error {
	for _, d := range n.derived {
		if err := d.health(); err != nil {
			return err
		}
	}
	if err := n.staleness(); err != nil {
		return fmt.Errorf("a value changed and the configuration cannot be evaluated with it; the previous value stays in use: %w", err)
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
		return Health{Exited, "exited", s.since}
	case !s.running:
		return Health{Unhealthy, "failed: " + s.err.Error(), s.since}
	case s.err != nil && now.Sub(s.since) < settled:
		return Health{Unhealthy, "restarted after it failed: " + s.err.Error(), s.since}
	case problem != nil:
		return Health{Unhealthy, problem.Error(), now}
	}
	return Health{Healthy, "running", s.since}
}
