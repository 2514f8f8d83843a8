package receive

import (
	"sync"

	"collector/pkg/pipeline"
)

// interned knows the series that clients have sent lately, so that they stay the
// same ones, and what receivers derive of them is made once.
//
// There are two generations. A series that is used goes into the young one; when
// that is full it becomes the old one, which is forgotten.
type interned struct {
	mu         sync.Mutex
	young, old map[string]*pipeline.Series // by their labels as bytes; guarded by mu
	size       int                         // of the labels in young; guarded by mu
}

const (
	// mostInterned and largestInterned bound a generation, and longestInterned what is
	// kept of one series.
	mostInterned    = 50_000
	largestInterned = 8 << 20
	longestInterned = 8 << 10
)

func newInterned() *interned {
	return &interned{young: make(map[string]*pipeline.Series), old: make(map[string]*pipeline.Series)}
}

// get returns the series with these labels; nil: it is not known.
func (n *interned) get(key []byte) *pipeline.Series {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.young[string(key)]; s != nil {
		return s
	}
	s := n.old[string(key)]
	if s != nil {
		n.put(string(key), s)
	}
	return s
}

// add makes a series known.
func (n *interned) add(key []byte, s *pipeline.Series) {
	if len(key) > longestInterned {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.put(string(key), s)
}

// put is add. The caller holds mu.
func (n *interned) put(key string, s *pipeline.Series) {
	if len(n.young) >= mostInterned || n.size+len(key) > largestInterned {
		n.old, n.young, n.size = n.young, make(map[string]*pipeline.Series), 0
	}
	n.young[key] = s
	n.size += len(key)
}

// len is the number of series that are known.
func (n *interned) len() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.young) + len(n.old)
}
