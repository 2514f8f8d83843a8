package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

func limitOf(size int) func([]string) error {
	return func(items []string) error {
		if len(strings.Join(items, " ")) > size {
			return &Error{Err: errors.New("413 too large"), Rejected: true, TooLarge: true}
		}
		return nil
	}
}

func TestATooLargeRequestIsHalvedAndRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fault: limitOf(100)}
		r := start(t, Options{Destinations: []Destination{{
			ID: "a", Sender: f, Batch: queue.BatchLimits{MinItems: 64, MaxWait: time.Second},
		}}})
		for i := range 64 {
			r.append(fmt.Sprintf("item%04d", i))
		}
		synctest.Wait()
		first := f.count()
		for i := 64; i < 128; i++ {
			r.append(fmt.Sprintf("item%04d", i))
		}
		time.Sleep(2 * time.Second)
		if len(f.got()) != 128 || !slices.IsSorted(f.got()) {
			t.Errorf("got %v", f.got())
		}
		if n := f.count() - first; n > 8 {
			t.Errorf("the second batch took %d requests: %q", n, f.requests)
		}
		r.append(strings.Repeat("x", 200))
		time.Sleep(2 * time.Second)
		if diff := cmp.Diff(map[string]uint64{"too_large": 1}, r.Status()[0].Dropped); diff != "" {
			t.Error(diff)
		}
		r.stop()
	})
}

func TestRetryAfterIsHonoredUpToTenMinutes(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{time.Minute: time.Minute, time.Hour: 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{}
			f.fault = func([]string) error {
				f.setFault(nil)
				return &Error{Err: errors.New("429"), RetryAfter: asked}
			}
			r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: f, Concurrency: 3}}})
			r.append("x")
			r.append("y")
			synctest.Wait()
			time.Sleep(want - time.Nanosecond)
			synctest.Wait()
			if n := f.count(); n != 1 {
				t.Errorf("%d requests before the time", n)
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			if got := f.got(); len(got) != 2 {
				t.Errorf("got %v", got)
			}
			r.stop()
		})
	}
}

func TestBackoffGrowsToItsMaximum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fault: down}
		r := start(t, Options{Destinations: []Destination{{
			ID: "a", Sender: f, Backoff: Backoff{Min: time.Second, Max: 10 * time.Second, Factor: 2, Jitter: 0.1},
		}}})
		r.append("x")
		time.Sleep(time.Minute)
		r.stop()
		for i, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
			want *= time.Second
			got := f.at[i+1].Sub(f.at[i])
			if got < want*9/10 || got > want*11/10 {
				t.Errorf("wait %d is %v, want about %v", i, got, want)
			}
		}
	})
}

func TestAnUnreachableDestinationIsTriedEveryFewSeconds(t *testing.T) {
	for name, err := range map[string]error{
		"refused":     fmt.Errorf("post: %w", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}),
		"no name":     fmt.Errorf("post: %w", &net.DNSError{Err: "no such host"}),
		"unreachable": &Error{Err: errors.New("connection error"), Unreachable: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{fault: func([]string) error { return err }}
			r := start(t, Options{Destinations: []Destination{{
				ID: "a", Sender: f, Backoff: Backoff{Min: time.Second, Max: 5 * time.Minute, Factor: 10},
			}}})
			r.append("x")
			time.Sleep(10 * time.Minute)
			r.stop()
			for i := 1; i < len(f.at); i++ {
				if wait := f.at[i].Sub(f.at[i-1]); wait > 5*time.Second {
					t.Errorf("%s: wait %d is %v", name, i, wait)
				}
			}
			if len(f.at) < 100 {
				t.Errorf("%s: %d requests in ten minutes", name, len(f.at))
			}
		})
	}
}

// Whatever the longest back-off is, a destination that has recovered is noticed within
// half a minute, or when it said it would be back.
func TestAFailingDestinationIsTriedTwiceAMinuteOrWhenItSays(t *testing.T) {
	for name, test := range map[string]struct {
		err     error
		longest time.Duration
	}{
		"503":                  {errors.New("503"), maxPause},
		"429 with Retry-After": {&Error{Err: errors.New("429"), RetryAfter: 2 * time.Second}, 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{fault: func([]string) error { return test.err }}
			r := start(t, Options{Destinations: []Destination{{
				ID: "a", Sender: f, Backoff: Backoff{Min: time.Second, Max: 5 * time.Minute, Factor: 2},
			}}})
			r.append("x")
			time.Sleep(20 * time.Minute)
			r.stop()
			if n := int(20 * time.Minute / test.longest); len(f.at) < n {
				t.Errorf("%s: %d requests in 20 minutes, want at least %d", name, len(f.at), n)
			}
			if last := f.at[len(f.at)-1].Sub(f.at[len(f.at)-2]); last < test.longest || last > test.longest+time.Second {
				t.Errorf("%s: the last wait is %v, want %v", name, last, test.longest)
			}
		})
	}
}

func TestOnlyOneRequestProbesADestinationThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fault: down}
		r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: f, Concurrency: 4, Batch: queue.BatchLimits{MaxItems: 1}}}})
		r.append("x")
		synctest.Wait()
		f.setHang(true)
		for i := range 20 {
			r.append(names(i, i+1)...)
		}
		time.Sleep(10 * time.Minute)
		if n := f.count(); n != 2 {
			t.Errorf("%d requests, of which the second hangs", n)
		}
		r.stop()
	})
}

func TestRequestsThatFailTogetherCountOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fault: down, hold: make(chan struct{})}
		r := start(t, Options{Destinations: []Destination{{
			ID: "a", Sender: f, Concurrency: 4, Batch: queue.BatchLimits{MaxItems: 1}, Backoff: Backoff{Min: time.Second, Max: time.Hour},
		}}})
		for i := range 4 {
			r.append(names(i, i+1)...)
		}
		synctest.Wait()
		if n := f.count(); n != 4 {
			t.Fatalf("%d requests at once", n)
		}
		close(f.hold)
		time.Sleep(1500 * time.Millisecond)
		if n := f.count(); n != 5 {
			t.Errorf("%d requests after the shortest wait", n)
		}
		r.stop()
	})
}

func TestFailedBlocksStayInTheQueueAndExpireThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fault: down}
		r := start(t, Options{MaxAge: time.Minute, Destinations: []Destination{{ID: "a", Sender: f}}})
		r.append("x", "y")
		time.Sleep(5 * time.Minute)
		if s := r.Status()[0]; s.Queued != 0 || s.Dropped[queue.ReasonTooOld] != 2 {
			t.Errorf("%+v", s)
		}
		r.stop()
	})
}

func TestShutdownIsNoFailureOfTheDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := &fake{hang: true}
		d := Destination{ID: "a", Sender: f, NoRetry: true}
		d.Observe = func(a Attempt) { t.Errorf("attempt %+v", a) }
		r := start(t, Options{Dir: dir, Destinations: []Destination{d}})
		r.append("x")
		synctest.Wait()
		r.stop()
		f.setHang(false)
		d.Observe = nil
		r = start(t, Options{Dir: dir, Destinations: []Destination{d}})
		synctest.Wait()
		if diff := cmp.Diff([]string{"x"}, f.got()); diff != "" {
			t.Error(diff)
		}
		r.stop()
	})
}

func TestADeadDestinationDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead, live := &fake{hang: true}, &fake{}
		r := start(t, Options{Destinations: []Destination{{ID: "dead", Sender: dead}, {ID: "live", Sender: live}}})
		for i := range 50 {
			r.append(names(i, i+1)...)
			synctest.Wait()
			if got := live.got(); len(got) != i+1 {
				t.Fatalf("after %d items the live one has %d", i+1, len(got))
			}
		}
		r.stop()
	})
}

func TestPartialSuccessIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fault: func([]string) error { return &partial{3} }}
		var lost []string
		r := start(t, Options{Destinations: []Destination{{
			ID: "a", Sender: f,
			OnDrop: func(items, bytes int, reason string) { lost = append(lost, fmt.Sprint(items, " ", bytes, " ", reason)) },
		}}})
		r.append(names(0, 10)...)
		synctest.Wait()
		s := r.Status()[0]
		if diff := cmp.Diff(map[string]uint64{"partial_success": 3}, s.Dropped); diff != "" || s.Delivered != 7 {
			t.Errorf("%+v", s)
		}
		if diff := cmp.Diff([]string{"3 8 partial_success"}, lost); diff != "" {
			t.Error(diff)
		}
		r.stop()
	})
}

func TestWithoutRetryAFailureCostsTheBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fault: down}
		r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: f, NoRetry: true}}})
		r.append(names(0, 10)...)
		synctest.Wait()
		if s := r.Status()[0]; s.Dropped["retry_disabled"] != 10 || s.Queued != 0 || f.count() != 1 {
			t.Errorf("%+v after %d requests", s, f.count())
		}
		r.stop()
	})
}

func TestADestinationThatRejectsEverythingIsTriedSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fault: rejectIf(func(string) bool { return true })}
		r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: f}}})
		r.append(names(0, 500)...)
		time.Sleep(10 * time.Second)
		if n := f.count(); n > 32+201 {
			t.Errorf("%d requests in 10 s", n)
		}
		time.Sleep(time.Hour)
		if s := r.Status()[0]; s.Dropped["rejected"] != 500 || s.Queued != 0 {
			t.Errorf("%+v", s)
		}
		r.stop()
	})
}

func TestShutdownFlushesPartialBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		r := start(t, Options{Destinations: []Destination{{
			ID: "a", Sender: f, Batch: queue.BatchLimits{MinItems: 100, MaxItems: 2, MaxWait: time.Hour},
		}}})
		r.append("x")
		synctest.Wait()
		if n := f.count(); n != 0 {
			t.Errorf("%d requests before the batch is full", n)
		}
		begun := time.Now()
		r.stop()
		if got := f.got(); len(got) != 1 || time.Since(begun) != 0 {
			t.Errorf("got %v after %v", got, time.Since(begun))
		}
	})
}

func TestShutdownDoesNotTryAFailingDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fault: down}
		r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: f, Backoff: Backoff{Min: time.Minute, Max: time.Minute}}}})
		r.append("x")
		synctest.Wait()
		begun := time.Now()
		r.stop()
		if f.count() != 1 || time.Since(begun) != 0 {
			t.Errorf("%d requests, %v", f.count(), time.Since(begun))
		}
		if s := r.Status()[0]; s.Queued != 0 || s.Received != 0 {
			t.Errorf("what is left in the queue is not this process's any more: %+v", s)
		}
	})
}

func TestAppendWaitsForRunAndRunCanBeRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		w, err := New(Options{Dir: t.TempDir(), Signal: "logs", Destinations: []Destination{{ID: "a", Sender: f}}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b := queue.Block{Data: []byte("x"), Items: 1}
		if err := w.Append(ctx, b); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("before Run: %v", err)
		}
		for i := range 3 {
			done := make(chan error)
			if i == 0 {
				go func() { done <- w.Append(t.Context(), b) }()
				synctest.Wait()
			}
			ctx, cancel := context.WithCancel(t.Context())
			ran := make(chan error)
			go func() { ran <- w.Run(ctx) }()
			synctest.Wait()
			if i > 0 {
				go func() { done <- w.Append(t.Context(), b) }()
			}
			if err := <-done; err != nil {
				t.Errorf("run %d: %v", i, err)
			}
			synctest.Wait()
			cancel()
			if err := <-ran; err != nil {
				t.Errorf("run %d: %v", i, err)
			}
			if err := w.Append(t.Context(), b); !errors.Is(err, pipeline.ErrClosed) {
				t.Errorf("after run %d: %v", i, err)
			}
		}
		if s := w.Status()[0]; s.Delivered != 3 || s.Received != 3 || len(f.got()) != 3 {
			t.Errorf("%+v", s)
		}
	})
}

func TestRunWaitsForThePreviousWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		old, f := &fake{hang: true}, &fake{}
		first := start(t, Options{Dir: dir, Destinations: []Destination{{ID: "a", Sender: old}}})
		first.append("x")
		synctest.Wait()
		second := start(t, Options{Dir: dir, Destinations: []Destination{{ID: "a", Sender: f}}})
		time.Sleep(time.Second)
		first.stop()
		time.Sleep(time.Second)
		if diff := cmp.Diff([]string{"x"}, f.got()); diff != "" {
			t.Error(diff)
		}
		second.stop()
	})
}

func TestSetBatchTakesEffectAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: f, Batch: queue.BatchLimits{MinItems: 100, MaxWait: time.Hour}}}})
		r.append("x")
		synctest.Wait()
		r.SetBatch("a", queue.BatchLimits{MinItems: 2, MaxWait: time.Hour})
		synctest.Wait()
		if n := f.count(); n != 0 {
			t.Errorf("%d requests", n)
		}
		r.append("y")
		synctest.Wait()
		if n := f.count(); n != 1 {
			t.Errorf("%d requests", n)
		}
		r.stop()
	})
}

func TestBlocksThatAreTooOldAreNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		r := start(t, Options{Destinations: []Destination{{
			ID: "a", Sender: f, MaxAge: time.Minute, Batch: queue.BatchLimits{MaxWait: time.Second},
		}}})
		for i, age := range []time.Duration{0, 2, 0, 3, 3, -1} {
			b := queue.Block{Data: fmt.Appendf(nil, "i%d", i), Items: 1}
			if age >= 0 {
				b.MaxTime = time.Now().Add(-age * time.Minute).UnixNano()
			}
			if err := r.Append(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		if diff := cmp.Diff([]string{"i0", "i2", "i5"}, f.got()); diff != "" {
			t.Error(diff)
		}
		if s := r.Status()[0]; s.Dropped[queue.ReasonTooOld] != 3 {
			t.Errorf("%+v", s)
		}
		r.stop()
	})
}

// A block grows too old at a moment that may lie between any two looks at it.
// A request of no blocks would have it acknowledged.
func TestABlockThatGrowsTooOldBeforeItsRequestIsStillInIt(t *testing.T) {
	l := &loop{destination: newDestination(Destination{MaxAge: time.Minute}, Options{Logger: slog.New(slog.DiscardHandler)})}
	old := queue.Block{MaxTime: time.Now().Add(-time.Hour).UnixNano()}
	for want, blocks := range map[int][]queue.Block{1: {old, old}, 2: {old, {}, old}} {
		if got := l.fresh(blocks); got != want {
			t.Errorf("%d of %d blocks, want %d", got, len(blocks), want)
		}
	}
}

// TestRandomFaults compares what arrives with what was appended, under faults of all
// kinds, and across restarts.
func TestRandomFaults(t *testing.T) {
	for seed := range uint64(10) {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) { randomFaults(t, dir, seed) })
	}
}

func randomFaults(t *testing.T, dir string, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	senders := []*fake{{}, {}}
	var delivered, dropped [2]uint64
	next := 0
	place, tags := make(map[string]int), make(map[string]string)
	for range 4 {
		r := start(t, Options{Dir: dir, Destinations: []Destination{
			{ID: "a", Sender: senders[0], Batch: queue.BatchLimits{MinItems: 30, MaxItems: 50, MaxWait: time.Second}},
			{ID: "b", Sender: senders[1], Batch: queue.BatchLimits{MaxBytes: 500}, Concurrency: 3},
		}})
		for range 20 {
			for _, f := range senders {
				f.setFault(anyFault(rnd))
			}
			for range rnd.IntN(20) {
				n := 1 + rnd.IntN(20)
				tag := fmt.Sprint(rnd.IntN(3))
				r.appendTo(tag, names(next, next+n)...)
				for _, s := range names(next, next+n) {
					place[s], tags[s] = len(place), tag
				}
				next += n
			}
			time.Sleep(time.Duration(rnd.IntN(3000)) * time.Millisecond)
			balance(t, r.Writer)
		}
		for _, f := range senders {
			f.setFault(nil)
		}
		time.Sleep(10 * time.Minute)
		r.stop()
		for i, s := range r.Status() {
			delivered[i] += s.Delivered
			for _, n := range s.Dropped {
				dropped[i] += n
			}
		}
	}
	for i, f := range senders {
		got := f.got()
		seen, last := make(map[string]bool), map[string]int{}
		for _, s := range got {
			if seen[s] {
				t.Errorf("seed %d: %d got %s twice", seed, i, s)
			}
			seen[s] = true
			if i == 0 && place[s] < last[tags[s]] { // the other sends several requests at once
				t.Errorf("seed %d: %d got %s of tag %s too late", seed, i, s, tags[s])
			}
			last[tags[s]] = place[s]
		}
		if uint64(len(got)) != delivered[i] || delivered[i]+dropped[i] != uint64(next) {
			t.Errorf("seed %d: %d got %d items; %d count as delivered, %d as dropped, of %d", seed, i, len(got), delivered[i], dropped[i], next)
		}
	}
}

// anyFault makes a fault that has a memory of its own.
func anyFault(rnd *rand.Rand) func([]string) error {
	digit := fmt.Sprint(rnd.IntN(10))
	bad := func(s string) bool { return strings.HasSuffix(s, digit+digit) }
	switch rnd.IntN(9) {
	case 0:
		return down
	case 1:
		return rejectIf(bad)
	case 2:
		return limitOf(100)
	case 3:
		return func([]string) error { return &Error{Err: errors.New("429"), RetryAfter: 5 * time.Second} }
	case 4:
		return func([]string) error { return &partial{2} }
	case 5: // every third request fails, and bad items are refused
		var n atomic.Int64
		reject := rejectIf(bad)
		return func(items []string) error {
			if n.Add(1)%3 == 0 {
				return down(items)
			}
			return reject(items)
		}
	case 6, 7: // what begins so has to wait
		return func(items []string) error {
			if items[0][len(items[0])-1] < '5' {
				return &Error{Err: errors.New("429"), RetryAfter: time.Second, OfTag: true}
			}
			return nil
		}
	}
	return nil
}

func TestAFailureWithoutAnErrorIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{fault: func([]string) error { return &Error{} }}
		r := start(t, Options{Destinations: []Destination{{ID: "a", Sender: f}}})
		r.append("x")
		time.Sleep(time.Minute)
		if s := r.Status()[0]; s.Queued != 1 || s.LastError == "" {
			t.Errorf("%+v", s)
		}
		f.setFault(nil)
		time.Sleep(time.Hour)
		if got := f.got(); len(got) != 1 {
			t.Errorf("got %q", got)
		}
		r.stop()
	})
}
