package discovery

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
)

func numbered(n int) labels.Labels { return labels.FromStrings("n", fmt.Sprint(n)) }

func TestACacheReturnsOnlyWhatItWasGiven(t *testing.T) {
	for size := 1; size <= 5; size++ {
		c, given := NewCache(size), map[string]labels.Labels{}
		for range 2000 {
			in := numbered(rand.IntN(10))
			out, ok := c.Get(in)
			if ok && !labels.Equal(out, given[in.String()]) {
				t.Fatalf("%v became %v, want %v", in, out, given[in.String()])
			}
			if !ok || rand.IntN(4) == 0 {
				given[in.String()] = numbered(rand.Int())
				c.Put(in, given[in.String()])
				if out, ok := c.Get(in); !ok || !labels.Equal(out, given[in.String()]) {
					t.Fatalf("%v is not there", in)
				}
			}
			if n := len(c.Inputs(100)); c.Len() > size || n != c.Len() || len(c.at) != n {
				t.Fatalf("%d label sets are kept, %d listed, of at most %d", c.Len(), n, size)
			}
		}
	}
}

func TestWhatIsInUseStaysInTheCache(t *testing.T) {
	const size = 4
	c, hot := NewCache(size), numbered(-1)
	c.Put(hot, hot)
	for i := range 50 {
		if _, ok := c.Get(hot); !ok {
			t.Fatalf("a label set in use was evicted after %d others", i)
		}
		c.Put(numbered(i), hot)
	}
	if _, ok := c.Get(numbered(0)); ok {
		t.Error("one that was not used for long is still there")
	}
}

func TestLargeLabelSetsAreNotKept(t *testing.T) {
	c, large := NewCache(3), labels.FromStrings("a", strings.Repeat("x", maxCached))
	c.Put(large, numbered(1))
	c.Put(numbered(1), large)
	c.Put(numbered(2), numbered(3))
	if c.Len() != 1 {
		t.Errorf("%d label sets are kept", c.Len())
	}
}

func TestACacheIsSafeForConcurrentUse(t *testing.T) {
	c := NewCache(3)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 500 {
				in := numbered(i % 5)
				if out, ok := c.Get(in); ok && !labels.Equal(in, out) {
					t.Errorf("%v became %v", in, out)
				}
				c.Put(in, in)
				c.Inputs(2)
			}
		})
	}
	all.Wait()
}

func TestAHitCostsNoAllocation(t *testing.T) {
	c, in := NewCache(3), numbered(1)
	c.Put(in, in)
	if n := testing.AllocsPerRun(100, func() { c.Get(in) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
