package listen

import (
	"runtime/debug"
	"sync/atomic"
)

// Budget bounds the bytes that a server holds in memory of the requests under
// way. A request that is alone may exceed it.
type Budget struct {
	max  int64
	used atomic.Int64
}

// WithinMemory is bytes, or less where the program's memory limit is low: what
// one server may hold of requests, with the copies that are made on their way to
// the disk.
func WithinMemory(bytes int64) int64 { return min(bytes, debug.SetMemoryLimit(-1)/24) }

// NewBudget makes a budget of so many bytes.
func NewBudget(bytes int64) *Budget { return &Budget{max: bytes} }

// Used is what requests under way have taken.
func (b *Budget) Used() int64 { return b.used.Load() }

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
	for {
		used := c.budget.used.Load()
		if n > 0 && used+int64(n) > c.budget.max && used > c.taken {
			return false
		}
		if c.budget.used.CompareAndSwap(used, used+int64(n)) {
			c.taken += int64(n)
			return true
		}
	}
}

// Release gives back what was taken.
func (c *Claim) Release() {
	c.budget.used.Add(-c.taken)
	c.taken = 0
}
