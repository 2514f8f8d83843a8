package latency

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantilesAreCloseToTheSortedList(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(random.ExpFloat64() * float64(300*time.Millisecond)).Truncate(time.Microsecond)
		all = append(all, d)
		h.Add(d, 1)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 1} {
		want := all[min(int(q*float64(len(all))), len(all)-1)]
		if got := h.Quantile(q); got < want || got > want+want/16 {
			t.Errorf("quantile %v is %v, want %v or up to 1/16 more", q, got, want)
		}
	}
}

func TestBucketsCoverAllDurationsInOrder(t *testing.T) {
	last := -1
	for us := uint64(0); us < 1<<20; us++ {
		i := index(us)
		if i != last && i != last+1 {
			t.Fatalf("%d µs are in bucket %d, after %d", us, i, last)
		}
		if us > upper(i) || i > 0 && us <= upper(i-1) {
			t.Fatalf("%d µs are in bucket %d, which ends at %d", us, i, upper(i))
		}
		last = i
	}
	if i := index(1<<64 - 1); i >= buckets {
		t.Errorf("the longest is in bucket %d of %d", i, buckets)
	}
}

func TestEmptyAndNegative(t *testing.T) {
	var h Histogram
	if got := h.Quantile(0.99); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	h.Add(-time.Second, 3)
	if got := h.Quantile(0.99); got != 0 {
		t.Errorf("of a clock set back: %v", got)
	}
}
