package live

import (
	"slices"
	"testing"
	"time"
)

func TestTheRecorderKeepsFiveMinutes(t *testing.T) {
	total, waiting, fresh, gone := 100.0, 3.0, 0.0, false
	r := NewRecorder(func(rs Readings) {
		rs.Counter("in", total)
		rs.Counter("in", 5) // another part of the same number
		rs.Gauge("waiting", waiting)
		if fresh > 0 {
			rs.Fresh("fresh", fresh)
		}
		if !gone {
			rs.Counter("leaves", 1)
		}
	})
	now := time.Unix(1000, 0)
	pass := func(n int) {
		for range n {
			r.record(now)
			now = now.Add(recordEvery)
		}
	}
	pass(1)
	check(t, "first readings", [][]float64{r.Series("in"), r.Series("waiting"), r.Series("unknown")}, [][]float64{nil, {3}, nil})

	total, waiting = 150, 4
	pass(1)
	total = 20 // it began again
	pass(1)
	check(t, "counter", r.Series("in"), []float64{10, 5})
	check(t, "gauge", r.Series("waiting"), []float64{3, 4, 4})
	check(t, "rate", r.Rate("in"), 7.5)

	fresh = 50
	pass(1)
	check(t, "a counter that began at 0", r.Series("fresh"), []float64{10})

	gone = true
	pass(2 * recorded)
	if got := r.Series("in"); len(got) != recorded || slices.Max(got) != 0 {
		t.Errorf("%d values, %v", len(got), got)
	}
	if r.Series("leaves") != nil {
		t.Error("a number that nobody gives is kept")
	}
}
