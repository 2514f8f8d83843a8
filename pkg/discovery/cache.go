package discovery

import (
	"sync"

	"github.com/prometheus/prometheus/model/labels"
)

// Cache maps a bounded number of label sets to their results. When it is full, one that
// was not used for a while is evicted: slots are looked at in turn (the clock algorithm,
// which resembles least recently used and costs a use nothing). It is safe for concurrent
// use.
//
// It is for label sets that come as values, as the labels of log streams do: they are
// found by their hash, once for all entries of a stream. prometheus.relabel has
// another cache, as a series is a pointer that has its result with it: this one
// would cost a hash and the lock for each sample.
type Cache struct {
	max int

	mu    sync.Mutex     // guards what follows
	slots []cached       // at most max
	at    map[uint64]int // slots by the hash of what is in them
	hand  int            // the slot to look at next
}

type cached struct {
	hash    uint64
	in, out labels.Labels
	used    bool // since the hand was there
}

// maxCached bounds the bytes of a cached label set and its result: clients can send any.
// Most take some 500 bytes.
const maxCached = 4 << 10

// NewCache makes a cache of at most max label sets, at least one.
func NewCache(max int) *Cache { return &Cache{max: max, at: make(map[uint64]int)} }

// Get returns the result for in.
func (c *Cache) Get(in labels.Labels) (out labels.Labels, ok bool) {
	hash := in.Hash()
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.at[hash]
	if !ok || !labels.Equal(c.slots[i].in, in) {
		return labels.EmptyLabels(), false
	}
	c.slots[i].used = true
	return c.slots[i].out, true
}

// Put stores the result for in, unless it is large. Of label sets with the same hash it
// keeps the last.
func (c *Cache) Put(in, out labels.Labels) {
	if in.ByteSize()+out.ByteSize() > maxCached {
		return
	}
	hash := in.Hash()
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.at[hash]
	if !ok {
		i = c.room()
		c.at[hash] = i
	}
	c.slots[i] = cached{hash: hash, in: in, out: out}
}

// room is a slot for another label set.
func (c *Cache) room() int {
	if len(c.slots) < c.max {
		c.slots = append(c.slots, cached{})
		return len(c.slots) - 1
	}
	for c.slots[c.hand].used {
		c.slots[c.hand].used = false
		c.hand = (c.hand + 1) % c.max
	}
	i := c.hand
	c.hand = (c.hand + 1) % c.max
	delete(c.at, c.slots[i].hash)
	return i
}

// Len is the number of label sets in the cache.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.slots)
}

// Inputs are at most n of the label sets, as they were before.
func (c *Cache) Inputs(n int) []labels.Labels {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []labels.Labels
	for i := range c.slots[:min(n, len(c.slots))] {
		out = append(out, c.slots[i].in)
	}
	return out
}
