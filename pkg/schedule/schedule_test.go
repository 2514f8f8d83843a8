package schedule

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
)

func TestATurnIsHalfToOneAndAHalfIntervalsAfterTheLast(t *testing.T) {
	const interval = 15 * time.Second
	for i := range 1000 {
		offset := Offset(interval, fmt.Sprint("target", i))
		last := time.Unix(1700000000, rand.Int64N(int64(interval)))
		next := Next(last, interval, offset)
		if wait := next.Sub(last); wait < interval/2 || wait > interval*3/2 {
			t.Fatalf("the next turn is %s after the last", wait)
		}
		if place := time.Duration(next.UnixNano() % int64(interval)); place != offset {
			t.Fatalf("the turn is %s within the interval, want %s", place, offset)
		}
		if wait := First(last, interval, offset).Sub(last); wait < 0 || wait >= time.Second {
			t.Fatalf("the first turn is after %s", wait)
		}
	}
}

// placed is a target of the test.
type placed struct {
	Place
	name string
}

func TestAQueueIsOrderedByTheTurns(t *testing.T) {
	var q Queue[*placed]
	start := time.Unix(1700000000, 0)
	var all []*placed
	for i := range 100 {
		p := &placed{Place: Place{Due: start.Add(time.Duration(rand.IntN(1000)) * time.Second)}, name: fmt.Sprint(i)}
		all = append(all, p)
		q.Push(p)
	}
	for _, p := range all[:30] {
		q.Remove(p)
	}
	for _, p := range all[30:60] {
		p.Due = start.Add(time.Duration(rand.IntN(1000)) * time.Second)
		q.Fix(p)
	}
	q.Each(func(p *placed) {
		if p.name == "99" {
			p.Due = start.Add(-time.Second)
		}
	})
	if q.Len() != 70 || q.First().name != "99" {
		t.Fatalf("%d targets, the first is %s", q.Len(), q.First().name)
	}
	var order []time.Time
	for q.Len() > 0 {
		order = append(order, q.First().Due)
		q.Remove(q.First())
	}
	if !slices.IsSortedFunc(order, time.Time.Compare) {
		t.Error(order)
	}
}

func TestALoopKeepsTheTimeAndFollowsTheTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := discovery.NewSet()
		var q Queue[*placed]
		var lists []int
		started, woken := 0, 0
		wake := make(chan struct{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			Loop[*placed]{
				Targets: set, Now: time.Now,
				Sync: func(list []discovery.Target) {
					lists = append(lists, len(list))
					if len(list) > 0 {
						q.Push(&placed{Place: Place{Due: time.Now().Add(time.Second)}})
					}
				},
				Start: func() {
					started++
					q.First().Due = q.First().Due.Add(10 * time.Second)
					q.Fix(q.First())
				},
				Woken: wake, Wake: func() { woken++ },
			}.Run(ctx, &q)
		}()
		time.Sleep(time.Minute)
		set.Replace([]discovery.Target{labels.FromStrings("a", "b")})
		time.Sleep(35 * time.Second) // at 1, 11, 21 and 31
		wake <- struct{}{}
		synctest.Wait()
		cancel()
		<-ended
		if !slices.Equal(lists, []int{0, 1}) || started != 4 || woken != 1 {
			t.Errorf("lists %v, %d starts, woken %d times", lists, started, woken)
		}
	})
}

func TestAFetchEndsAtOnceOnlyIfItsTargetIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for cause, want := range map[error]time.Duration{ErrGone: 0, nil: fetchGrace} {
			target, cancel := context.WithCancelCause(context.Background())
			ctx, done := Fetching(target, time.Minute)
			start := time.Now()
			cancel(cause)
			<-ctx.Done()
			if took := time.Since(start); took != want {
				t.Errorf("%v: the fetch ends after %s, want %s", cause, took, want)
			}
			done()
		}
		ctx, done := Fetching(context.Background(), time.Minute)
		defer done()
		start := time.Now()
		<-ctx.Done()
		if took := time.Since(start); took != time.Minute {
			t.Errorf("a fetch may take %s", took)
		}
	})
}
