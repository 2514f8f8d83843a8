// Package discovery is live sets of targets: what Docker runs, relabeled.
package discovery

import (
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/pipeline"
)

// EndedLabel is set (to "true") on the targets of a container that has ended but whose
// output may not have been read to its end. It passes through relabeling. Scrapers skip
// such targets; log sources read them to the end.
const EndedLabel = pipeline.StatePrefix + "ended__"

// Target is the label set of one target, including its __meta_ labels.
type Target = labels.Labels

// Set is a list of targets that is replaced as a whole when it changes.
// It is safe for concurrent use.
type Set struct {
	mu      sync.Mutex
	targets []Target      // guarded by mu; never modified, only replaced
	changed chan struct{} // guarded by mu; closed when targets is replaced
}

// NewSet makes a set that holds targets, which the set owns from then on.
func NewSet(targets ...Target) *Set {
	return &Set{targets: targets, changed: make(chan struct{})}
}

// Targets returns the current list, which the caller must not modify, and a
// channel that is closed when the list is replaced.
func (s *Set) Targets() ([]Target, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.targets, s.changed
}

// Has reports whether t is in the list.
func (s *Set) Has(t Target) bool {
	targets, _ := s.Targets()
	return slices.ContainsFunc(targets, func(other Target) bool { return labels.Equal(t, other) })
}

// Replace sets the list, which the set owns from then on. An equal list in the
// same order is not a change.
func (s *Set) Replace(targets []Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.EqualFunc(s.targets, targets, labels.Equal) {
		return
	}
	s.targets = targets
	close(s.changed)
	s.changed = make(chan struct{})
}
