package scrape

import (
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
)

const (
	// memoryShare is the part of the program's memory limit that targets get.
	memoryShare = 4
	// mostMemory is what targets get at most, and without such a limit.
	mostMemory = int64(component.GiB)
	// smallShare is the part of the budget up to which a target is a small one.
	smallShare = 16
)

// What the parts of a page cost, in bytes, besides their text: measured, with
// what a writer keeps of a series.
const (
	sampleCost   = 24
	slotCost     = 24
	seriesCost   = 320
	familyCost   = 300
	exemplarCost = 400
	bucketCost   = 32
)

// errMemory says that a page was not read to protect all others.
var errMemory = errors.New("the page needs more memory than is left for scraped targets")

// Budget bounds the memory that scraped targets take, of all components
// together: their pages while they are read, and what is remembered of them
// until the next one. It counts what reading makes of a page, as it is made.
//
// Over it, the target that takes most fails, and the others go on. Small targets
// find room for an eighth more when large ones have taken it all.
type Budget struct {
	max int64

	mu     sync.Mutex
	used   int64               // guarded by mu
	claims map[*claim]struct{} // those that hold something; guarded by mu
}

// NewBudget makes a budget that fits the program's memory limit (GOMEMLIMIT, or
// that of the container): a quarter of it, and at most 1 GiB.
func NewBudget() *Budget { return newBudget(min(mostMemory, debug.SetMemoryLimit(-1)/memoryShare)) }

func newBudget(bytes int64) *Budget { return &Budget{max: bytes, claims: make(map[*claim]struct{})} }

// claim is what one target holds of a budget. A nil claim is not counted.
type claim struct {
	budget *Budget
	// shed is called when the target has to give up what it holds, from the
	// scrape of another. It must not block.
	shed func()

	held   int64 // guarded by budget.mu, as is what follows
	over   bool  // it has to give up what it holds
	wanted int64 // what it would have held when it was refused
	since  time.Time
}

// claim begins the account of a target.
func (b *Budget) claim(shed func()) *claim { return &claim{budget: b, shed: shed} }

// crowding reports whether the target has to give up what it holds.
func (c *claim) crowding() bool {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	return c.over && c.held > 0
}

// refusedFor is how long a refused target is not scraped while there is less room than it
// needed: it would only push others aside.
const refusedFor = 5 * time.Minute

// take takes n bytes more, or fails.
func (c *claim) take(n int64) error {
	if c == nil || n == 0 {
		return nil
	}
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	after := c.held + n
	if n > 0 {
		fits := b.used+n <= b.max || after <= b.max/smallShare && b.used+n <= b.max+b.max/8
		if b.used+n > b.max {
			b.makeRoom(c, after)
		}
		if c.over || !fits {
			c.refuse(after)
			return exceeds("", 0, fmt.Errorf("%w: it has reached %s, and all targets together may take %s, a quarter of the memory limit (GOMEMLIMIT, or the container's): let it expose less, or raise the limit",
				errMemory, megabytes(after), megabytes(b.max)))
		}
		b.claims[c] = struct{}{}
	}
	b.used, c.held = b.used+n, after
	if c.held == 0 {
		delete(b.claims, c)
	}
	return nil
}

// makeRoom makes the target that holds most give that up, if it is more than after. The
// caller holds mu.
func (b *Budget) makeRoom(c *claim, after int64) {
	var largest *claim
	for other := range b.claims {
		if other != c && other.held > after && (largest == nil || other.held > largest.held) {
			largest = other
		}
	}
	if largest != nil && !largest.over {
		largest.refuse(largest.held)
		largest.shed()
	}
}

// refuse records that a target needs more than there is room for. The caller holds mu.
func (c *claim) refuse(at int64) { c.over, c.wanted, c.since = true, at, time.Now() }

// settle sets what the target holds from now on, after it was read.
func (c *claim) settle(bytes int64) {
	if c == nil {
		return
	}
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += bytes - c.held
	if c.held = bytes; bytes > 0 {
		b.claims[c] = struct{}{}
	} else {
		delete(b.claims, c)
	}
}

// admit begins a scrape, or says why there may be none: the target has to give
// up what it holds, or was refused and would be again.
func (c *claim) admit() error {
	if c == nil {
		return nil
	}
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.over && (c.held > 0 || b.used+c.wanted > b.max && time.Since(c.since) < refusedFor) {
		return exceeds("", 0, fmt.Errorf("%w: it had reached %s, and all targets together may take %s, a quarter of the memory limit (GOMEMLIMIT, or the container's): let it expose less, or raise the limit; retried within %s",
			errMemory, megabytes(c.wanted), megabytes(b.max), refusedFor))
	}
	c.over, c.wanted = false, 0
	return nil
}

func megabytes(n int64) component.Bytes {
	return component.Bytes(max(1, int64(math.Round(float64(n)/float64(component.MiB))))) * component.MiB
}

// costOf is what is kept of a series, its line not counted.
func costOf(lset labels.Labels) int64 { return seriesCost + 2*int64(lset.ByteSize()) }

// size is what is kept of the pages of a target.
func (h *history) size() int64 { return h.bytes + exemplarCost*int64(len(h.lastExemplar)) }

// measure works out how much the lines of the last page take, and how many there are of
// which kind.
func (h *history) measure() int64 {
	n := int64(cap(h.text)) + slotCost*int64(cap(h.slots))
	for i := range h.slots {
		if h.slots[i].kind == kindSeries {
			n += costOf(h.slots[i].series.Labels)
		}
	}
	for _, f := range h.families {
		n += familyCost + int64(len(f.Family)+len(f.Help)+len(f.Unit))
	}
	return n
}
