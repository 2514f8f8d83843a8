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
	largest int // bytes of the labels of a generation

	mu         sync.Mutex
	young, old map[string]*pipeline.Series // by their labels as bytes; guarded by mu
	size       int                         // of the labels in young; guarded by mu
}

const (
	// largestInterned bounds the labels of a generation, in bytes; with what receivers
	// derive of the series, they take about five times as much.
	largestInterned = 8 << 20
	// leastInterned is what a series counts at least.
	leastInterned = 160
	// longestInterned bounds what is kept of one series.
	longestInterned = 8 << 10
)

func newInterned(largest int) *interned {
	return &interned{largest: largest, young: make(map[string]*pipeline.Series), old: make(map[string]*pipeline.Series)}
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
	size := max(len(key), leastInterned)
	if n.size+size > n.largest {
		n.old, n.young, n.size = n.young, make(map[string]*pipeline.Series), 0
	}
	n.young[key] = s
	n.size += size
}
