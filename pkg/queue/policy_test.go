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
		l, err := r.TryNext(BatchLimits{})
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
		t.Errorf("%d were taken and %d leased", n, len(got))
	}
	if err := q.Append(t.Context(), kilobyte(n)); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestBlocksThatAreAppendedTogetherAreStoredTogetherOrNotAtAll(t *testing.T) {
	full := false
	failing := quick()
	failing.write = func(f *os.File, b []byte, off int64) (int, error) {
		if full {
			n, _ := f.WriteAt(b[:len(b)/2], off)
			return n, syscall.ENOSPC
		}
		return f.WriteAt(b, off)
	}
	q := tryOpen(t, Options{Dir: t.TempDir(), Readers: []string{"a"}, MaxBytes: 1, WhenFull: Refuse}, failing)
	full = true
	if err := q.Append(t.Context(), kilobyte(0), kilobyte(1)); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v", err)
	}
	full = false
	n := 0
	for ; n < 500; n += 5 {
		err := q.Append(t.Context(), kilobyte(n), kilobyte(n+1), kilobyte(n+2), kilobyte(n+3), kilobyte(n+4))
		if errors.Is(err, pipeline.ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	got := takeAll(t, q.Reader("a"))
	if len(got) != n || n == 500 || n < 50 {
		t.Errorf("%d were taken and %d leased", n, len(got))
	}
	for i := range got {
		if got[i] != i {
			t.Fatalf("block %d came as number %d", got[i], i)
		}
	}
	many := make([]Block, 100)
	for i := range many {
		many[i] = kilobyte(i)
	}
	if err := q.Append(t.Context(), many...); !pipeline.IsPermanent(err) {
		t.Errorf("together they are larger than the queue: %v", err)
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

func TestWaitGoesOnWhenTheOnlySegmentIsDoneWith(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q := tryOpen(t, Options{Dir: dir, Readers: []string{"a"}, MaxBytes: 1, WhenFull: Wait}, quick())
		go func() {
			for range 20 {
				if err := q.Append(t.Context(), Block{Data: make([]byte, 50<<10), Items: 1}); err != nil {
					t.Error(err)
				}
			}
		}()
		begun := time.Now()
		for range 20 {
			l, err := q.Reader("a").Next(t.Context(), BatchLimits{})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			time.Sleep(10 * time.Second) // what is there gets synced
			if err := q.Reader("a").Ack(l); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(begun); d != 200*time.Second {
			t.Errorf("it took %v", d)
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

func TestALaggingReaderNeverDelaysOneThatKeepsUp(t *testing.T) {
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

// A large block may need the room of readers that have kept up; then it is the
// policy that decides.
func TestReadersThatKeepUpLoseNothingToALargeBlock(t *testing.T) {
	q := tryOpen(t, Options{Dir: t.TempDir(), Readers: []string{"a", "b"}, MaxBytes: 1, WhenFull: Refuse}, quick())
	for i := range 20 {
		if err := q.Append(t.Context(), kilobyte(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Append(t.Context(), Block{Data: make([]byte, 60<<10), Items: 1}); !errors.Is(err, pipeline.ErrFull) {
		t.Errorf("got %v", err)
	}
	for _, s := range q.Stats() {
		if s.Queued != 20 {
			t.Errorf("%+v", s)
		}
	}
}

func TestABlockLargerThanTheQueueIsRejectedPermanently(t *testing.T) {
	q := tryOpen(t, Options{Dir: t.TempDir(), Readers: []string{"a"}, MaxBytes: 1}, quick())
	err := q.Append(t.Context(), Block{Data: make([]byte, 1<<20), Items: 1})
	if !pipeline.IsPermanent(err) {
		t.Errorf("got %v", err)
	}
	if err := q.Append(t.Context(), Block{Data: make([]byte, 50<<10), Items: 1}); err != nil {
		t.Error(err)
	}
}

func TestLeasedBlocksOutliveTheCap(t *testing.T) {
	dir := t.TempDir()
	q := tryOpen(t, Options{Dir: dir, Readers: []string{"a"}, MaxBytes: 1}, quick())
	r := q.Reader("a")
	if err := q.Append(t.Context(), kilobyte(0)); err != nil {
		t.Fatal(err)
	}
	if err := q.Append(t.Context(), kilobyte(1)); err != nil {
		t.Fatal(err)
	}
	delivered, err := r.TryNext(BatchLimits{MaxItems: 1})
	if err != nil {
		t.Fatal(err)
	}
	released, err := r.TryNext(BatchLimits{MaxItems: 1})
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
		if got, want := sizeOf(t, dir), q.Fill().Size; got != want {
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

func TestAnAcknowledgmentThatCannotBeSavedIsSavedLater(t *testing.T) {
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
			l, err := q.Reader("a").TryNext(BatchLimits{MaxItems: 1})
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
			if n := q.Fill().Size; n > 100<<10 {
				t.Fatalf("the queue takes %d bytes", n)
			}
		}
		time.Sleep(3 * time.Second)
		if _, ok := synced.Load(segmentSuffix); ok {
			t.Error("blocks that were delivered at once were synced")
		}
		if n := q.Fill().Size - q.overhead(); n != segmentLen {
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
