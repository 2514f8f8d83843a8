package graph

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"collector/pkg/config"
	"collector/pkg/mask"
)

// Loading is one load of a configuration, as the history keeps it. It holds no
// secrets.
type Loading struct {
	At time.Time `json:"at"` // of the last one, if there were several alike
	// By is what asked for it, such as "SIGHUP".
	By string `json:"by"`
	// Module is the id of the component that loaded it; empty for the user's own
	// configuration.
	Module string `json:"module,omitempty"`
	// Error is why it failed; the previous configuration keeps running then.
	Error string `json:"error,omitempty"`
	// Times is how many loads in a row were like this one.
	Times int `json:"times"`
	// Files are how the files differ from those that were in force.
	Files []config.FileDiff `json:"files"`
	// Added, Rebuilt and Removed are ids of components; More is how many are not listed,
	// and Kept how many kept running.
	Added   []string `json:"added"`
	Rebuilt []string `json:"rebuilt"`
	Removed []string `json:"removed"`
	More    int      `json:"more,omitempty"`
	Kept    int      `json:"kept"`
}

const (
	// maxLoadings is how many loads the history keeps.
	maxLoadings = 10
	// maxAffected is how many ids it keeps of one of them, of each kind.
	maxAffected = 100
	// maxLoadError bounds an error in it, in bytes.
	maxLoadError = 4000
)

// history is the last loads, the oldest first.
type history struct {
	mu    sync.Mutex
	loads []Loading // guarded by mu
}

// note adds a load, or counts it at the last one if that was alike: what happens
// repeatedly must not push out everything else.
func (h *history) note(l Loading, repeats bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if last := len(h.loads) - 1; last >= 0 && repeats {
		if before := &h.loads[last]; before.By == l.By && before.Module == l.Module && before.Error == l.Error {
			l.Times = before.Times + 1
			if len(l.Files) == 0 {
				l.Files = before.Files
			}
			h.loads[last] = l
			return
		}
	}
	h.loads = append(h.loads, l)
	if len(h.loads) > maxLoadings {
		h.loads = slices.Delete(h.loads, 0, 1)
	}
}

// History is the last loads, the newest first.
func (c *Controller) History() []Loading {
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	out := slices.Clone(c.history.loads)
	slices.Reverse(out)
	return out
}

// Sources are the files of the user's own configuration that is in force.
func (c *Controller) Sources() []config.Source { return c.graph().sources }

type triggerKey struct{}

// TriggeredBy is ctx for a Load that by asked for, as the history shows it.
func TriggeredBy(ctx context.Context, by string) context.Context {
	return context.WithValue(ctx, triggerKey{}, by)
}

// trigger is what asked for a Load with ctx.
func (c *Controller) trigger(ctx context.Context) string {
	by, ok := ctx.Value(triggerKey{}).(string)
	switch {
	case ok:
		return by
	case c.options.module != "":
		return c.options.module
	case !c.Ready():
		return "start"
	}
	return "the program"
}

// noteLoad adds a load of sources, after which next has replaced old, or, after an error,
// old stays in force.
func (c *Controller) noteLoad(by string, old, next *graph, sources []config.Source, err error) {
	l := c.newLoading(by, err)
	if old.sources != nil && sources != nil {
		l.Files = config.Diff(old.sources, sources)
	}
	l.affected(old, next, err)
	c.history.note(l, err != nil)
}

// noteReevaluation adds that values changed of which the configuration is made, if
// that had an effect.
func (c *Controller) noteReevaluation(changed []*node, old, next *graph, err error) {
	by := "a list of targets changed"
	if len(changed) > 0 {
		by = "an export of " + changed[0].id + " changed"
	}
	l := c.newLoading(by, err)
	l.affected(old, next, err)
	if err != nil || len(l.Added)+len(l.Rebuilt)+len(l.Removed) > 0 {
		c.history.note(l, true)
	}
}

func (c *Controller) newLoading(by string, err error) Loading {
	l := Loading{At: time.Now(), By: by, Module: c.options.module, Times: 1, Files: []config.FileDiff{}, Added: []string{}, Rebuilt: []string{}, Removed: []string{}}
	if err == nil {
		return l
	}
	l.Error = err.Error()
	if ds := (config.Diagnostics)(nil); !errors.As(err, &ds) {
		l.Error = mask.WithoutPasswords(l.Error)
	}
	l.Error = strings.ToValidUTF8(l.Error[:min(len(l.Error), maxLoadError)], "")
	return l
}

// affected records which components were added, rebuilt or removed.
func (l *Loading) affected(old, next *graph, err error) {
	if err != nil {
		l.Kept = len(old.shown())
		return
	}
	list := func(ids *[]string, id string) {
		if len(*ids) == maxAffected {
			l.More++
			return
		}
		*ids = append(*ids, id)
	}
	for _, n := range next.shown() {
		switch {
		case old.has(n):
			l.Kept++
		case old.byID[n.id] != nil:
			list(&l.Rebuilt, n.id)
		default:
			list(&l.Added, n.id)
		}
	}
	for _, n := range old.shown() {
		if next.byID[n.id] == nil {
			list(&l.Removed, n.id)
		}
	}
}

// shown are the nodes that are components.
func (g *graph) shown() []*node {
	return slices.DeleteFunc(slices.Clone(g.nodes), func(n *node) bool { return n.hidden })
}
