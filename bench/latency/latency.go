// Package latency keeps how long items took, for quantiles of any number of them.
package latency

import (
	"math/bits"
	"time"
)

// Each power of two of microseconds is divided into 1<<step buckets, so that a
// quantile is at most 1/16 too high.
const (
	step    = 4
	buckets = (64 - step + 1) << step
)

// Histogram counts durations in buckets of microseconds. The zero value is empty.
// It is not safe for concurrent use.
type Histogram struct {
	counts [buckets]uint64
	total  uint64
}

// Add counts n items that took d; a negative d, as from a clock that was set
// back, counts as none.
func (h *Histogram) Add(d time.Duration, n uint64) {
	h.counts[index(uint64(max(d, 0)/time.Microsecond))] += n
	h.total += n
}

// Quantile returns the duration that the part q (0 to 1) of all items did not
// exceed, 0 if there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rest := min(uint64(q*float64(h.total)), h.total-1) // how many come before it
	for i, n := range h.counts {
		if n > rest {
			return time.Duration(upper(i)) * time.Microsecond
		}
		rest -= n
	}
	return 0
}

func index(us uint64) int {
	if us < 1<<step {
		return int(us)
	}
	exponent := bits.Len64(us) - step - 1
	return exponent<<step + int(us>>exponent)
}

// upper is the highest value that index maps to i.
func upper(i int) uint64 {
	if i < 2<<step {
		return uint64(i)
	}
	exponent := i>>step - 1
	return (uint64(i-exponent<<step)+1)<<exponent - 1
}

// Merge adds what other has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}
