package queue

import (
	"testing"
	"testing/synctest"
	"time"

	"collector/pkg/clock/clocktest"
)

// When the machine's clock jumps forward by a year, and back, nothing that waits counts
// as old; what has waited for too long is still dropped.
func TestASteppedClockMakesNoBlockOld(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, test := range []struct {
		name  string
		moves []time.Duration // of the clock, before each block but the first
	}{
		{"never set", []time.Duration{0, 0}},
		{"a year forward, and back", []time.Duration{year, -year}},
		{"a year back, and forward", []time.Duration{-year, year}},
		{"a minute forward, twice", []time.Duration{time.Minute, time.Minute}},
	} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			machine, sys := &clocktest.Clock{}, quick()
			sys.now = machine.Now
			q := tryOpen(t, Options{Dir: dir, Readers: []string{"a"}, MaxAge: time.Hour}, sys)
			defer q.Close()
			r := q.readers[0]
			mustAppend(t, q, 0, 1)
			for i, by := range test.moves {
				machine.Set(by)
				mustAppend(t, q, i+1, i+2)
				time.Sleep(time.Second)
			}
			lease, err := r.TryNext(BatchLimits{MinItems: 10, MaxWait: time.Minute})
			if err != nil || lease != nil {
				t.Errorf("%s: a batch is cut before its time: %v, %v", test.name, lease, err)
			}
			if s := q.Stats()[0]; s.Queued != 3 || time.Duration(q.ages.steady(machine.Now())-q.ages.steady(s.Oldest)) != 2*time.Second {
				t.Errorf("%s: %+v", test.name, s)
			}
			time.Sleep(time.Minute)
			lease, err = r.TryNext(BatchLimits{MinItems: 10, MaxWait: time.Minute})
			if err != nil || lease == nil || len(lease.Blocks) != 3 {
				t.Fatalf("%s: %+v, %v", test.name, lease, err)
			}
			for i := range lease.Blocks {
				b, m := &lease.Blocks[i], lease.metas[i]
				if loaded := q.ages.loaded(m.seq, b.recorded); loaded != m.appended {
					t.Errorf("%s: block %d is from %d, and from %d when it is read again", test.name, i, m.appended, loaded)
				}
				if age := time.Duration(b.Clock(machine.Now()) - b.recorded); age < time.Minute || age > time.Minute+3*time.Second {
					t.Errorf("%s: block %d is %s old", test.name, i, age)
				}
			}
			r.Release(lease)
			time.Sleep(time.Hour)
			if lease, err := r.TryNext(BatchLimits{}); err != nil || lease != nil {
				t.Errorf("%s: what is too old is leased: %v, %v", test.name, lease, err)
			}
			if s := q.Stats()[0]; s.Dropped[ReasonTooOld] != 3 {
				t.Errorf("%s: %+v", test.name, s)
			}
		})
	}
}
