package relabel

import (
	"sync"
	"sync/atomic"
	"weak"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/pipeline"
)

// cache knows what the rules make of series. The results belong to the series that were
// relabeled; the cache refers to them weakly, so that what a producer no longer has costs
// nothing, and counts them. When there are too many, one that was not used for a while is
// evicted: slots are looked at in turn (the clock algorithm, which resembles least
// recently used without a lock for each use).
//
// discovery.Cache, which loki.relabel uses, is another one: it finds label sets by
// their hash, under a lock, and takes about three times as long for a sample. It
// cannot be like this one, as streams of logs have no pointer that stays the same.
type cache struct {
	rules  func(labels.Labels) labels.Labels
	derive func(labels.Labels) any // bound once, as a method value is an allocation
	max    int

	mu    sync.Mutex            // guards what follows
	slots []weak.Pointer[entry] // the zero pointer is a free one
	free  []int                 // indices of those
	hand  int                   // the slot to look at next
	made  map[uint64]weak.Pointer[output]
	grown int // the length of made at which it is cleaned
}

// entry is what the rules make of one series.
type entry struct {
	out   *output // nil: the rules drop it
	name  string  // of the metric, before
	used  atomic.Bool
	known atomic.Bool // it has been placed

	// Guarded by cache.mu:
	series *pipeline.Series // set when it is placed
	slot   int              // -1: it is in none
}

// output is a series that the rules have made, of one input or several.
type output struct {
	series *pipeline.Series
	name   string
	shared atomic.Bool // of several inputs
}

// minGrown is the least size at which dead outputs are looked for.
const minGrown = 1024

func newCache(size int, rules func(labels.Labels) labels.Labels) *cache {
	c := &cache{rules: rules, max: size, made: make(map[uint64]weak.Pointer[output]), grown: minGrown}
	c.derive = func(lset labels.Labels) any { return c.apply(lset) }
	return c
}

// of returns what the rules make of s, and whether that was in the cache.
func (c *cache) of(s *pipeline.Series) (e *entry, hit bool) {
	e = s.Derived(c, c.derive).(*entry)
	if e.known.Load() || !e.known.CompareAndSwap(false, true) {
		if !e.used.Load() {
			e.used.Store(true)
		}
		return e, true
	}
	if series, victim := c.place(s, e); victim != nil {
		series.Forget(c, victim)
	}
	return e, false
}

func (c *cache) apply(lset labels.Labels) *entry {
	e := &entry{name: lset.Get(labels.MetricName), slot: -1}
	if made := c.rules(lset); !made.IsEmpty() {
		e.out = c.output(made)
	}
	return e
}

// output is the one that has these labels.
func (c *cache) output(lset labels.Labels) *output {
	hash := lset.Hash()
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.made[hash].Value()
	if known != nil && labels.Equal(known.series.Labels, lset) {
		known.shared.Store(true)
		return known
	}
	made := &output{series: pipeline.NewSeries(lset), name: lset.Get(labels.MetricName)}
	if known != nil {
		return made // two hashes are equal: this one is not cached
	}
	c.made[hash] = weak.Make(made)
	if len(c.made) >= c.grown {
		for hash, w := range c.made {
			if w.Value() == nil {
				delete(c.made, hash)
			}
		}
		c.grown = max(minGrown, 2*len(c.made))
	}
	return made
}

// place gives e, of s, a slot, and returns the entry that had to leave it, with
// its series.
func (c *cache) place(s *pipeline.Series, e *entry) (_ *pipeline.Series, victim *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.series = s
	w := weak.Make(e)
	if n := len(c.free); n > 0 {
		e.slot, c.free = c.free[n-1], c.free[:n-1]
		c.slots[e.slot] = w
		return nil, nil
	}
	if len(c.slots) < c.max {
		e.slot = len(c.slots)
		c.slots = append(c.slots, w)
		return nil, nil
	}
	for {
		found := c.slots[c.hand].Value()
		if found == nil || !found.used.Swap(false) {
			victim = found
			break
		}
		c.hand = (c.hand + 1) % c.max
	}
	e.slot = c.hand
	c.slots[e.slot] = w
	c.hand = (c.hand + 1) % c.max
	if victim == nil { // its series no longer exists
		return nil, nil
	}
	victim.slot = -1
	return victim.series, victim
}

// remove removes e, of s, from the cache.
func (c *cache) remove(s *pipeline.Series, e *entry) {
	c.mu.Lock()
	if e.slot >= 0 {
		c.slots[e.slot] = weak.Pointer[entry]{}
		c.free = append(c.free, e.slot)
		e.slot = -1
	}
	c.mu.Unlock()
	s.Forget(c, e)
}

// size is the number of series in the cache. Slots of those that no longer exist
// become free.
func (c *cache) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free = c.free[:0]
	for i := range c.slots {
		if c.slots[i].Value() == nil {
			c.slots[i] = weak.Pointer[entry]{}
			c.free = append(c.free, i)
		}
	}
	return len(c.slots) - len(c.free)
}

// inputs are the labels of at most n series in the cache, before the rules.
func (c *cache) inputs(n int) []labels.Labels {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []labels.Labels
	for i := range c.slots {
		if len(out) == n {
			break
		}
		if e := c.slots[i].Value(); e != nil {
			out = append(out, e.series.Labels)
		}
	}
	return out
}
