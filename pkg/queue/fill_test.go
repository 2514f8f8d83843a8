package queue

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"collector/pkg/pipeline"
)

// fillUp appends until there is no room, or blocks are dropped, and returns how many
// were appended.
func fillUp(t *testing.T, q *Queue) int {
	t.Helper()
	for n := range 500 {
		before := q.Stats()[0].Dropped[ReasonFull]
		if err := q.Append(t.Context(), kilobyte(n)); errors.Is(err, pipeline.ErrFull) || q.Stats()[0].Dropped[ReasonFull] > before {
			return n
		} else if err != nil {
			t.Fatal(err)
		}
		if f := q.Fill(); !f.Since.IsZero() || f.Size > f.Capacity {
			t.Fatalf("after %d blocks: %+v", n, f)
		}
	}
	t.Fatal("it takes everything")
	return 0
}

func TestAQueueIsFullUntilThereIsRoomAgain(t *testing.T) {
	for _, policy := range []Policy{DropOldest, Refuse} {
		q := tryOpen(t, Options{Dir: t.TempDir(), Readers: []string{"a"}, MaxBytes: 1, WhenFull: policy}, quick())
		fillUp(t, q)
		since := q.Fill().Since
		if since.IsZero() {
			t.Fatalf("%s: not full", policy)
		}
		// One block less is room for one block more, and yet it stays full.
		l, err := q.Reader("a").TryNext(BatchLimits{MaxItems: 1})
		if err != nil || l == nil {
			t.Fatal(l, err)
		}
		if err := q.Reader("a").Ack(l); err != nil {
			t.Fatal(err)
		}
		if again := q.Fill().Since; !again.Equal(since) {
			t.Errorf("%s: full since %s, and then %s", policy, since, again)
		}
		takeAll(t, q.Reader("a"))
		if f := q.Fill(); !f.Since.IsZero() || f.Size >= f.Capacity/2 {
			t.Errorf("%s: still full when it is empty: %+v", policy, f)
		}
		if fillUp(t, q) == 0 {
			t.Errorf("%s: it takes nothing again", policy)
		}
	}
}

func TestAFullQueueReportsWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := tryOpen(t, Options{Dir: t.TempDir(), Readers: []string{"a"}, MaxBytes: 1, WhenFull: Wait}, quick())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for n := 0; q.Append(ctx, kilobyte(n)) == nil; n++ {
			}
		}()
		synctest.Wait()
		if f := q.Fill(); f.Waiting != 1 || f.Since.IsZero() {
			t.Errorf("%+v", f)
		}
		cancel()
		<-ended
		if f := q.Fill(); f.Waiting != 0 || f.Since.IsZero() {
			t.Errorf("nobody waits, and it is full: %+v", f)
		}
	})
}
