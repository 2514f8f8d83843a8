package queue

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNextWaitsForWhatIsWanted(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q := tryOpen(t, Options{Dir: dir, Readers: []string{"a"}}, quick())
		begun := time.Now()
		type result struct {
			n     int
			after time.Duration
		}
		results := make(chan result, 10)
		next := func(w BatchLimits) {
			l, err := q.Reader("a").Next(t.Context(), w)
			if err != nil {
				t.Error(err)
				return
			}
			results <- result{len(l.Blocks), time.Since(begun)}
		}
		check := func(what string, want result) {
			t.Helper()
			if got := <-results; got != want {
				t.Errorf("%s: got %v, want %v", what, got, want)
			}
		}

		go next(BatchLimits{MinItems: 10, MaxWait: 5 * time.Second})
		time.Sleep(3 * time.Second)
		mustAppend(t, q, 0, 4)
		check("MaxWait counts from the append of the oldest block", result{4, 8 * time.Second})

		mustAppend(t, q, 0, 1)
		time.Sleep(2 * time.Second)
		go next(BatchLimits{MinItems: 10, MaxWait: 5 * time.Second})
		check("also when that was before the call", result{1, 13 * time.Second})

		go next(BatchLimits{MinItems: 3, MaxWait: time.Hour})
		time.Sleep(time.Second)
		mustAppend(t, q, 0, 3)
		check("MinItems", result{3, 14 * time.Second})

		go next(BatchLimits{MinBytes: 20, MaxWait: time.Hour})
		mustAppend(t, q, 0, 3)
		check("MinBytes", result{3, 14 * time.Second})

		mustAppend(t, q, 0, 5)
		go next(BatchLimits{MaxItems: 2, MaxWait: time.Hour})
		check("MaxItems", result{2, 14 * time.Second})
		go next(BatchLimits{MaxBytes: 20})
		check("MaxBytes", result{2, 14 * time.Second})
		go next(BatchLimits{})
		check("no limits", result{1, 14 * time.Second})

		go next(BatchLimits{})
		time.Sleep(time.Second)
		mustAppend(t, q, 0, 1)
		check("nothing there at first", result{1, 15 * time.Second})
		_ = q.Close()
	})
}

func TestTagsAreNotMixedAndDoNotBreakBatches(t *testing.T) {
	q := tryOpen(t, Options{Dir: t.TempDir(), Readers: []string{"a"}}, quick())
	for i := range 10 {
		b := kilobyte(i)
		b.Tag = []string{"even", "odd"}[i%2]
		if err := q.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	r := q.Reader("a")
	var got []string
	for range 2 {
		l, err := r.TryNext(BatchLimits{})
		if err != nil {
			t.Fatal(err)
		}
		s := l.Blocks[0].Tag
		for _, b := range l.Blocks {
			s += fmt.Sprint(" ", number(t, b))
		}
		got = append(got, s)
	}
	if diff := cmp.Diff([]string{"even 0 2 4 6 8", "odd 1 3 5 7 9"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadersTakeOverFromRemovedOnes(t *testing.T) {
	dir := t.TempDir()
	queued := func(readers ...string) []uint64 {
		q := mustOpen(t, Options{Dir: dir, Readers: readers})
		defer func() { _ = q.Close() }()
		var n []uint64
		for _, s := range q.Stats() {
			n = append(n, s.Queued)
		}
		return n
	}
	q := mustOpen(t, Options{Dir: dir, Readers: []string{"a", "b", "c"}})
	mustAppend(t, q, 0, 10)
	for i, id := range []string{"a", "b", "c"} {
		l, err := q.Reader(id).TryNext(BatchLimits{MaxItems: i + 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Reader(id).Ack(l); err != nil {
			t.Fatal(err)
		}
	}
	_ = q.Close()

	for _, step := range []struct {
		readers []string
		want    []uint64
	}{
		{[]string{"a", "b", "c"}, []uint64{9, 8, 7}},
		{[]string{"c", "a", "b"}, []uint64{7, 9, 8}},
		{[]string{"x", "a", "y"}, []uint64{7, 9, 8}}, // x for c, y for b
		{[]string{"x", "a", "y", "new"}, []uint64{7, 9, 8, 0}},
		{[]string{"a"}, []uint64{9}},
		{[]string{"a", "x"}, []uint64{9, 0}}, // x has been forgotten
	} {
		if diff := cmp.Diff(step.want, queued(step.readers...)); diff != "" {
			t.Errorf("readers %v: %s", step.readers, diff)
		}
	}
}

// What is acknowledged out of order is not leased again after a kill.
func TestAcknowledgmentsOutOfOrderSurvive(t *testing.T) {
	dir := t.TempDir()
	q := mustOpen(t, Options{Dir: dir})
	mustAppend(t, q, 0, 6)
	r := q.Reader("a")
	var leases []*Lease
	for range 6 {
		l, err := r.TryNext(BatchLimits{MaxItems: 1})
		if err != nil {
			t.Fatal(err)
		}
		leases = append(leases, l)
	}
	for _, i := range []int{4, 1, 2} {
		if err := r.Ack(leases[i]); err != nil {
			t.Fatal(err)
		}
	}
	q2 := mustOpen(t, Options{Dir: copyDir(t, dir)})
	l, err := q2.Reader("a").TryNext(BatchLimits{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"block 0", "block 3", "block 5"}, texts(l)); diff != "" {
		t.Error(diff)
	}
}

func TestConcurrentUse(t *testing.T) {
	q := tryOpen(t, Options{Dir: t.TempDir(), Readers: []string{"a", "b"}, MaxBytes: 1, WhenFull: Wait}, quick())
	const writers, each = 4, 300
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := q.Append(t.Context(), kilobyte(w*each+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, id := range []string{"a", "b"} {
		var taken atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		for range 3 {
			wg.Go(func() {
				for {
					l, err := q.Reader(id).Next(ctx, BatchLimits{MaxItems: 7})
					if err != nil {
						return
					}
					if l.Blocks[0].Data[0] == '9' && taken.Load()%3 == 0 {
						q.Reader(id).Release(l)
						taken.Add(1)
						continue
					}
					if err := q.Reader(id).Ack(l); err != nil {
						t.Error(err)
					}
					taken.Add(1)
					for _, s := range q.Stats() {
						if sum := s.Delivered + s.Queued + s.Dropped[ReasonFull]; sum != s.Received {
							t.Errorf("does not balance: %+v", s)
						}
					}
					if s := q.Stats()[map[string]int{"a": 0, "b": 1}[id]]; s.Delivered+s.Dropped[ReasonFull] == writers*each {
						cancel()
					}
				}
			})
		}
	}
	wg.Wait()
}

func TestOldBlocksAreDropped(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q := tryOpen(t, Options{Dir: dir, Readers: []string{"a"}, MaxAge: time.Minute}, quick())
		mustAppend(t, q, 0, 3)
		time.Sleep(50 * time.Second)
		mustAppend(t, q, 3, 4)
		time.Sleep(20 * time.Second)
		s := q.Stats()[0]
		if s.Dropped[ReasonTooOld] != 3 || s.Queued != 1 {
			t.Errorf("without anyone reading: %+v", s)
		}
		l, err := q.Reader("a").TryNext(BatchLimits{})
		if err != nil || texts(l)[0] != "block 3" {
			t.Errorf("got %v, %v", texts(l), err)
		}
		_ = q.Close()
	})
}
