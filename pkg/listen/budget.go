package listen

import (
	"runtime/debug"
	"sync"
)

// Budget bounds the bytes that a server holds in memory of the requests under
// way. A request that is alone may exceed it, and small requests find room for an
// eighth more when large ones have taken it all.
type Budget struct {
	max int64

	mu          sync.Mutex
	used, small int64 // guarded by mu; small is the part of it that small requests hold
}

// WithinMemory is bytes, or less where the program's memory limit is low: what
// one server may hold of requests, with the copies that are made on their way to
// the disk.
func WithinMemory(bytes int64) int64 { return min(bytes, debug.SetMemoryLimit(-1)/24) }

// NewBudget makes a budget of so many bytes.
func NewBudget(bytes int64) *Budget { return &Budget{max: bytes} }

// Used is what requests under way have taken.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// ofSmall is how much of what a request has taken counts as a small one's.
func (b *Budget) ofSmall(taken int64) int64 {
	if taken > b.max/16 {
		return 0
	}
	return taken
}

// Claim is what one request takes of a budget.
type Claim struct {
	budget *Budget
	taken  int64
}

// Claim begins a request, which has taken nothing yet.
func (b *Budget) Claim() Claim { return Claim{budget: b} }

// Take takes n bytes more if they are within the budget, and tells whether they
// are.
func (c *Claim) Take(n int) bool {
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	used, taken := b.used+int64(n), c.taken+int64(n)
	small := b.small - b.ofSmall(c.taken) + b.ofSmall(taken)
	fits := used <= b.max || b.used == c.taken || b.ofSmall(taken) > 0 && small <= b.max/8
	if n > 0 && !fits {
		return false
	}
	b.used, b.small, c.taken = used, small, taken
	return true
}

// Release gives back what was taken.
func (c *Claim) Release() { c.Take(int(-c.taken)) }
