package queue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/pipeline"
)

// kilobyte is a block that a few dozen of fill the smallest queue.
func kilobyte(i int) Block {
	return Block{Data: fmt.Appendf(nil, "%-1000d", i), Items: 1}
}

func number(t *testing.T, b Block) int {
	t.Helper()
	var n int
	if _, err := fmt.Sscan(string(b.Data), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// takeAll acknowledges everything that waits for a reader.
func takeAll(t *testing.T, r *Reader) []int {
	t.Helper()
	var got []int
	for {
		l, err := r.TryNext(Want{})
		if err != nil {
			t.Fatal(err)
		}
		if l == nil {
			return got
		}
		for _, b := range l.Blocks {
			got = append(got, number(t, b))
		}
		if err := r.Ack(l); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDropOldestMakesRoomForNewBlocks(t *testing.T) {
	q := tryOpen(t, Options{Dir: t.TempDir(), Readers: []string{"a"}, MaxBytes: 1}, quick())
	for i := range 500 {
		if err := q.Append(t.Context(), kilobyte(i)); err != nil {
			t.Fatal(err)
		}
	}
	got := takeAll(t, q.Reader("a"))
	if got[len(got)-1] != 499 || len(got) < 40 {
		t.Errorf("what is left ends with %d and has %d blocks", got[len(got)-1], len(got))
	}
	s := q.Stats()[0]
	if diff := cmp.Diff(map[string]uint64{ReasonFull: uint64(500 - len(got))}, s.Dropped); diff != "" {
		t.Error(diff)
	}
}

func TestRefuseFailsWhenTheQueueIsFull(t *testing.T) {
	q := tryOpen(t, Options{Dir: t.TempDir(), Readers: []string{"a"}, MaxBytes: 1, WhenFull: Refuse}, quick())
	n := 0
	for ; n < 500; n++ {
		if err := q.Append(t.Context(), kilobyte(n)); errors.Is(err, pipeline.ErrFull) && !pipeline.IsPermanent(err) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	got := takeAll(t, q.Reader("a"))
	if len(got) != n || n == 500 || n < 50 {
		t.Errorf("%d were taken and %d handed out", n, len(got))
	}
	if err := q.Append(t.Context(), kilobyte(n)); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestWaitBlocksUntilThereIsRoom(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q := tryOpen(t, Options{Dir: dir, Readers: []string{"a"}, MaxBytes: 1, WhenFull: Wait}, quick())
		var appended atomic.Int64
		go func() {
			for i := range 200 {
				if err := q.Append(t.Context(), kilobyte(i)); err != nil {
					t.Error(err)
				}
				appended.Add(1)
			}
		}()
		synctest.Wait()
		if n := appended.Load(); n == 200 {
			t.Error("nothing waited")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.Append(ctx, kilobyte(0)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("append without room: %v", err)
		}
		var got []int
		for len(got) < 200 {
			got = append(got, takeAll(t, q.Reader("a"))...)
			synctest.Wait()
		}
		for i, n := range got {
			if i != n {
				t.Fatalf("got %d in place of %d", n, i)
			}
		}
		if s := q.Stats()[0]; len(s.Dropped) != 0 {
			t.Errorf("dropped %v", s.Dropped)
		}
		_ = q.Close()
	})
}

func TestWaitEndsWhenTheQueueIsClosed(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q := tryOpen(t, Options{Dir: dir, Readers: []string{"a"}, MaxBytes: 1, WhenFull: Wait}, quick())
		var err error
		go func() {
			for err == nil {
				err = q.Append(t.Context(), kilobyte(0))
			}
		}()
		synctest.Wait()
		_ = q.Close()
		synctest.Wait()
		if !errors.Is(err, pipeline.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

func TestALaggardNeverDelaysAReaderThatKeepsUp(t *testing.T) {
	for _, policy := range []Policy{DropOldest, Wait, Refuse} {
		q := tryOpen(t, Options{Dir: t.TempDir(), Readers: []string{"live", "dead"}, MaxBytes: 1, WhenFull: policy}, quick())
		for i := range 300 {
			if err := q.Append(t.Context(), kilobyte(i)); err != nil {
				t.Fatalf("policy %d: %v", policy, err)
			}
			if got := takeAll(t, q.Reader("live")); len(got) != 1 || got[0] != i {
				t.Fatalf("policy %d: got %v, want [%d]", policy, got, i)
			}
		}
		live, dead := q.Stats()[0], q.Stats()[1]
		if len(live.Dropped) != 0 || dead.Dropped[ReasonFull] == 0 || dead.Dropped[ReasonFull]+dead.Queued != 300 {
			t.Errorf("policy %d: live %+v, dead %+v", policy, live, dead)
		}
	}
}

func TestABlockLargerThanTheQueueIsRefusedForGood(t *testing.T) {
	q := tryOpen(t, Options{Dir: t.TempDir(), Readers: []string{"a"}, MaxBytes: 1}, quick())
	err := q.Append(t.Context(), Block{Data: make([]byte, 1<<20), Items: 1})
	if !pipeline.IsPermanent(err) {
		t.Errorf("got %v", err)
	}
	if err := q.Append(t.Context(), Block{Data: make([]byte, 50<<10), Items: 1}); err != nil {
		t.Error(err)
	}
}

func TestBlocksThatAreOutOutliveTheCap(t *testing.T) {
	dir := t.TempDir()
	q := tryOpen(t, Options{Dir: dir, Readers: []string{"a"}, MaxBytes: 1}, quick())
	r := q.Reader("a")
	if err := q.Append(t.Context(), kilobyte(0)); err != nil {
		t.Fatal(err)
	}
	if err := q.Append(t.Context(), kilobyte(1)); err != nil {
		t.Fatal(err)
	}
	delivered, err := r.TryNext(Want{MaxItems: 1})
	if err != nil {
		t.Fatal(err)
	}
	released, err := r.TryNext(Want{MaxItems: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if err := q.Append(t.Context(), kilobyte(2+i)); err != nil {
			t.Fatal(err)
		}
	}
	copied := copyDir(t, dir)
	before := q.Stats()[0]
	if err := r.Ack(delivered); err != nil {
		t.Fatal(err)
	}
	r.Release(released)
	r.Release(released) // changes nothing
	after := q.Stats()[0]
	if after.Delivered != 1 || after.Dropped[ReasonFull] != before.Dropped[ReasonFull]+1 || after.Queued != before.Queued-2 {
		t.Errorf("before %+v, after %+v", before, after)
	}

	// A process that was killed before that has lost both.
	q2 := tryOpen(t, Options{Dir: copied, Readers: []string{"a"}, MaxBytes: 1}, quick())
	if s := q2.Stats()[0]; s.Dropped[ReasonFull] != 2 || s.Queued != before.Queued-2 || s.Received != s.Queued+2 {
		t.Errorf("after a kill %+v, before %+v", s, before)
	}
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
		l, err := q.Reader("a").TryNext(Want{})
		if err != nil || texts(l)[0] != "block 3" {
			t.Errorf("got %v, %v", texts(l), err)
		}
		_ = q.Close()
	})
}

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
		next := func(w Want) {
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

		go next(Want{MinItems: 10, MaxWait: 5 * time.Second})
		time.Sleep(3 * time.Second)
		mustAppend(t, q, 0, 4)
		check("MaxWait counts from the append of the oldest block", result{4, 8 * time.Second})

		mustAppend(t, q, 0, 1)
		time.Sleep(2 * time.Second)
		go next(Want{MinItems: 10, MaxWait: 5 * time.Second})
		check("also when that was before the call", result{1, 13 * time.Second})

		go next(Want{MinItems: 3, MaxWait: time.Hour})
		time.Sleep(time.Second)
		mustAppend(t, q, 0, 3)
		check("MinItems", result{3, 14 * time.Second})

		go next(Want{MinBytes: 20, MaxWait: time.Hour})
		mustAppend(t, q, 0, 3)
		check("MinBytes", result{3, 14 * time.Second})

		mustAppend(t, q, 0, 5)
		go next(Want{MaxItems: 2, MaxWait: time.Hour})
		check("MaxItems", result{2, 14 * time.Second})
		go next(Want{MaxBytes: 20})
		check("MaxBytes", result{2, 14 * time.Second})
		go next(Want{})
		check("no limits", result{1, 14 * time.Second})

		go next(Want{})
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
		l, err := r.TryNext(Want{})
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

func TestAFullDiskIsAnErrorUntilThereIsSpace(t *testing.T) {
	var full atomic.Bool
	sys := quick()
	sys.write = func(f *os.File, b []byte, off int64) (int, error) {
		if full.Load() && !strings.HasSuffix(f.Name(), cursorSuffix) {
			n, _ := f.WriteAt(b[:len(b)/2], off)
			return n, &os.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
		}
		return f.WriteAt(b, off)
	}
	dir := t.TempDir()
	q := tryOpen(t, Options{Dir: dir, Readers: []string{"a"}}, sys)
	for i := range 30 {
		full.Store(i%3 == 1)
		err := q.Append(t.Context(), Block{Data: fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", 300)), Items: 1})
		if want := i%3 == 1; want != errors.Is(err, syscall.ENOSPC) || pipeline.IsPermanent(err) {
			t.Fatalf("append %d: %v", i, err)
		}
		if got, want := sizeOf(t, dir), q.Size(); got != want {
			t.Fatalf("append %d: the queue takes %d bytes and says %d", i, got, want)
		}
	}
	full.Store(false)
	copied := copyDir(t, dir)
	for _, q := range []*Queue{q, tryOpen(t, Options{Dir: copied, Readers: []string{"a"}}, quick())} {
		if got := takeAll(t, q.Reader("a")); len(got) != 20 || got[0] != 0 || got[19] != 29 {
			t.Errorf("got %v", got)
		}
		if s := q.Stats()[0]; len(s.Dropped) != 0 || s.DamagedBlocks != 0 {
			t.Errorf("%+v", s)
		}
	}
}

func TestAnAcknowledgementThatCannotBeSavedIsSavedLater(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		sys := quick()
		sys.write = func(f *os.File, b []byte, off int64) (int, error) {
			if broken.Load() {
				n, _ := f.WriteAt(b[:len(b)/3], off)
				return n, syscall.EIO
			}
			return f.WriteAt(b, off)
		}
		q := tryOpen(t, Options{Dir: dir, Readers: []string{"a"}}, sys)
		mustAppend(t, q, 0, 3)
		for range 3 {
			l, err := q.Reader("a").TryNext(Want{MaxItems: 1})
			if err != nil {
				t.Fatal(err)
			}
			broken.Store(texts(l)[0] == "block 1")
			err = q.Reader("a").Ack(l)
			if broken.Load() != errors.Is(err, syscall.EIO) {
				t.Errorf("ack: %v", err)
			}
			if broken.Load() {
				q2 := tryOpen(t, Options{Dir: copyDir(t, dir), Readers: []string{"a"}}, quick())
				if s := q2.Stats()[0]; s.Queued != 2 {
					t.Errorf("after a kill %+v", s)
				}
				_ = q2.Close()
				broken.Store(false)
				time.Sleep(3 * time.Second)
				q3 := tryOpen(t, Options{Dir: copyDir(t, dir), Readers: []string{"a"}}, quick())
				if s := q3.Stats()[0]; s.Queued != 1 {
					t.Errorf("after a kill later %+v", s)
				}
				_ = q3.Close()
			}
		}
		_ = q.Close()
	})
}

func TestAnEmptyQueueIsNotWrittenOut(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var synced sync.Map
		sys := quick()
		sys.sync = func(f *os.File) error {
			synced.Store(filepath.Ext(f.Name()), true)
			return nil
		}
		q := tryOpen(t, Options{Dir: dir, Readers: []string{"a"}}, sys)
		for i := range 300 {
			if err := q.Append(t.Context(), kilobyte(i)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
			takeAll(t, q.Reader("a"))
			if n := q.Size(); n > 100<<10 {
				t.Fatalf("the queue takes %d bytes", n)
			}
		}
		time.Sleep(3 * time.Second)
		if _, ok := synced.Load(segmentSuffix); ok {
			t.Error("blocks that were delivered at once were synced")
		}
		if n := q.Size() - q.overhead(); n != segmentLen {
			t.Errorf("an empty queue takes %d bytes", n)
		}
		mustAppend(t, q, 0, 1)
		time.Sleep(3 * time.Second)
		if _, ok := synced.Load(segmentSuffix); !ok {
			t.Error("a block that waits was not synced")
		}
		_ = q.Close()
	})
}

func TestReadersTakeOverFromThoseThatAreGone(t *testing.T) {
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
		l, err := q.Reader(id).TryNext(Want{MaxItems: i + 1})
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

func TestOnlyOneProcessUsesAQueue(t *testing.T) {
	dir := t.TempDir()
	q := mustOpen(t, Options{Dir: dir})
	if _, err := Open(Options{Dir: dir, Readers: []string{"a"}}); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v", err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, Options{Dir: dir})
}

func TestOpenSaysWhatKeepsItFromOpening(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Options{Dir: filepath.Join(file, "queue"), Readers: []string{"a"}})
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
}

// What is acknowledged out of order is not handed out again after a kill.
func TestAcknowledgementsOutOfOrderSurvive(t *testing.T) {
	dir := t.TempDir()
	q := mustOpen(t, Options{Dir: dir})
	mustAppend(t, q, 0, 6)
	r := q.Reader("a")
	var leases []*Lease
	for range 6 {
		l, err := r.TryNext(Want{MaxItems: 1})
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
	l, err := q2.Reader("a").TryNext(Want{})
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
					l, err := q.Reader(id).Next(ctx, Want{MaxItems: 7})
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
