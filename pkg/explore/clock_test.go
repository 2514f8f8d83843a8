package explore

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// What came before the clock was set back is not kept for as long as the clock
// takes to get there again.
func TestPointsAheadOfTheClockAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetricStore(1 << 20)
		lset := labels.FromStrings("__name__", "m")
		s.add(lset, Point{T: time.Now().UnixMilli(), V: 1})
		size := s.bytes
		known := s.series[lset.Hash()]
		known.points[0].T = time.Now().Add(2 * maxAhead).UnixMilli() // as the clock showed then
		s.add(lset, Point{T: time.Now().UnixMilli(), V: 2})
		s.forget(time.Now().Add(-time.Minute))
		if len(known.points) != 1 || known.points[0].V != 2 || s.bytes != size {
			t.Errorf("%v, %d bytes, want %d", known.points, s.bytes, size)
		}
	})
}
