package cadvisor

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"

	"collector/pkg/docker"
)

// container is what the Engine has said of a container.
type container struct {
	docker.Details
	exists   bool
	identity string    // of its cgroup, when it was asked
	asked    time.Time // when
}

// names asks the Engine about containers, and keeps what it says for a while.
type names struct {
	engine *docker.Engine
	keep   time.Duration

	mu         sync.Mutex
	known      map[string]*container // guarded by mu; by ID
	answeredAt time.Time             // guarded by mu; when the Engine last answered
	err        error                 // guarded by mu; of the last request; nil: it answered
	since      time.Time             // guarded by mu; of the last change of err to or from nil
}

func newNames(engine *docker.Engine, keep time.Duration) *names {
	return &names{engine: engine, keep: keep, known: map[string]*container{}}
}

// note keeps whether the Engine answers.
func (n *names) note(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if (err == nil) != (n.err == nil) || n.since.IsZero() {
		n.since = time.Now()
	}
	if n.err = err; err == nil {
		n.answeredAt = time.Now()
	}
}

// answers asks the Engine for the containers that run, if nothing was asked for a while:
// so that it is known whether it answers.
func (n *names) answers(ctx context.Context) {
	n.mu.Lock()
	fresh := time.Since(n.answeredAt) < max(n.keep, time.Minute)
	n.mu.Unlock()
	if !fresh {
		n.running(ctx)
	}
}

// running are the IDs of the containers that run.
func (n *names) running(ctx context.Context) ([]string, error) {
	ids, err := n.engine.Running(ctx)
	n.note(err)
	return ids, err
}

// lookups are those for one page: an Engine that does not answer is asked once.
type lookups struct {
	*names
	failed error
	seen   map[string]bool
}

func (n *names) begin() *lookups { return &lookups{names: n, seen: map[string]bool{}} }

// of is what is known of a container; nil if it is unknown to the Engine, or the Engine
// does not answer. identity changes when the container is started again.
func (l *lookups) of(ctx context.Context, id, identity string) *container {
	l.seen[id] = true
	l.mu.Lock()
	known := l.known[id]
	l.mu.Unlock()
	if known == nil || known.identity != identity || time.Since(known.asked) >= l.keep {
		known = l.ask(ctx, id, identity, known)
	}
	if known == nil || !known.exists {
		return nil
	}
	return known
}

func (l *lookups) ask(ctx context.Context, id, identity string, before *container) *container {
	var err error
	details := docker.Details{}
	if l.failed == nil {
		details, err = l.engine.Details(ctx, id)
	}
	switch {
	case l.failed == nil && err == nil, docker.IsNotFound(err):
		l.note(nil)
		made := &container{Details: details, exists: err == nil, identity: identity, asked: time.Now()}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.known[id] = made
		return made
	case l.failed == nil && docker.IsRefused(err):
		l.note(nil)
	case l.failed == nil:
		l.failed = err
		l.note(err)
	}
	if before == nil || !before.exists {
		return nil
	}
	kept := *before // its name and labels are what they were
	if before.identity != identity {
		kept.PID = 0 // another process by now
	}
	return &kept
}

// end forgets the containers that were not seen.
func (l *lookups) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.known {
		if !l.seen[id] {
			delete(l.known, id)
		}
	}
}

// labels are the labels of a container's series; name is its cgroup's.
func (c *Config) labels(name string, known *container) []*dto.LabelPair {
	values := map[string]string{"id": name}
	if known == nil {
		return labelsOf(values)
	}
	values["name"] = strings.TrimPrefix(known.Name, "/")
	values["image"] = known.Image
	for label, value := range known.Labels {
		if c.StoreContainerLabels || slices.Contains(c.AllowlistedContainerLabels, label) {
			values["container_label_"+label] = value
		}
	}
	if known.RestartCount > 0 && (c.StoreContainerLabels || slices.Contains(c.AllowlistedContainerLabels, "restartcount")) {
		values["container_label_restartcount"] = strconv.Itoa(known.RestartCount)
	}
	for _, variable := range known.Env {
		name, value, _ := strings.Cut(variable, "=")
		for _, prefix := range c.EnvMetadataAllowlist {
			if prefix != "" && strings.HasPrefix(name, prefix) {
				values["container_env_"+strings.ToLower(name)] = value
			}
		}
	}
	return labelsOf(values)
}
