package discovery

import (
	"sync"

	"github.com/prometheus/prometheus/model/labels"
)

// ByLabel finds the targets of a set by the value of one of their labels.
type ByLabel struct {
	set   *Set
	label string

	mu      sync.Mutex
	changed <-chan struct{} // closed when known is stale; guarded by mu
	known   *Index          // guarded by mu
}

// Index is what a ByLabel knows of one list of targets. It does not change.
type Index struct{ targets map[string]Target }

// NewByLabel looks targets up by that label; a set that is nil has none.
func NewByLabel(set *Set, label string) *ByLabel {
	if set == nil {
		set = NewSet()
	}
	return &ByLabel{set: set, label: label}
}

// Index is the index of the targets as they are now, the same until they change.
func (b *ByLabel) Index() *Index {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed != nil {
		select {
		case <-b.changed:
		default:
			return b.known
		}
	}
	var targets []Target
	targets, b.changed = b.set.Targets()
	b.known = &Index{make(map[string]Target, len(targets))}
	for _, t := range targets {
		if value := t.Get(b.label); value != "" {
			b.known.targets[value] = t
		}
	}
	return b.known
}

// Find returns the target whose label has a value that is not empty: of several, the
// last of the list.
func (x *Index) Find(value string) (Target, bool) {
	t, ok := x.targets[value]
	return t, ok
}

// Len is how many values there are.
func (x *Index) Len() int { return len(x.targets) }

// CopyLabels sets those labels of a target that are named and not empty, or, without
// names, all of them.
func CopyLabels(to *labels.Builder, t Target, names []string) {
	for _, name := range names {
		if value := t.Get(name); value != "" {
			to.Set(name, value)
		}
	}
	if len(names) == 0 {
		t.Range(func(l labels.Label) {
			if l.Name != EndedLabel {
				to.Set(l.Name, l.Value)
			}
		})
	}
}
