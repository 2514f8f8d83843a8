package pipeline

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestUntilAcceptedWaitsForEachSinkAndLosesWhatIsRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken, bad := errors.New("broken"), Permanent(errors.New("bad"))
		sinks := []*answers{{errs: []error{nil}}, {errs: []error{ErrFull, broken, ErrClosed, nil}}, {errs: []error{bad}}, {errs: []error{nil}}}
		refused, waited := map[int]error{}, map[int]int{}
		next, err := UntilAccepted(t.Context(), sinks, 0, call, Notify{
			Refused: func(i int, err error) { refused[i] = err },
			Waiting: func(i int, _ error) { waited[i]++ },
		})
		if next != len(sinks) || err != nil || len(refused) != 1 || refused[2] != bad || len(waited) != 1 || waited[1] != 3 {
			t.Errorf("next %d, %v, refused %v, waited %v", next, err, refused, waited)
		}
		for i, want := range []int{1, 4, 1, 1} {
			if sinks[i].calls != want {
				t.Errorf("sink %d got the data %d times, want %d", i, sinks[i].calls, want)
			}
		}
	})
}

func TestUntilAcceptedReturnsTheSinkThatHasNotGotTheData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		over := errors.New("over")
		sinks := []*answers{{errs: []error{nil}}, {errs: []error{ErrFull}}, {errs: []error{nil}}}
		next, err := UntilAccepted(ctx, sinks, 0, call, Notify{Waiting: func(int, error) { cancel(over) }})
		if next != 1 || err != over || sinks[2].calls != 0 {
			t.Fatalf("next %d, %v", next, err)
		}
		sinks[1].errs = []error{nil}
		if next, err = UntilAccepted(t.Context(), sinks, next, call, Notify{}); next != 3 || err != nil || sinks[0].calls != 1 || sinks[2].calls != 1 {
			t.Errorf("gone on: next %d, %v, calls %d and %d", next, err, sinks[0].calls, sinks[2].calls)
		}
	})
}

func TestEachDelaysNoSinkByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var done [2]bool
		errs := make(chan []error)
		go func() {
			errs <- Each(ctx, []int{0, 1}, func(ctx context.Context, i int) error {
				if i == 0 {
					<-ctx.Done()
				}
				done[i] = true
				return ctx.Err()
			})
		}()
		synctest.Wait()
		if done != [2]bool{false, true} {
			t.Errorf("done: %v", done)
		}
		cancel()
		if got := <-errs; !errors.Is(got[0], context.Canceled) || got[1] != nil {
			t.Errorf("errors: %v", got)
		}
	})
}

func TestWriteAllIsPassAfterASourceThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, full := &answers{errs: []error{nil}}, &answers{errs: []error{ErrFull, ErrFull, nil}}
		write := func(ctx context.Context, sinks []*answers) error {
			return WriteAll(ctx, sinks, call, func(err error) { t.Errorf("lost: %v", err) })
		}
		if next, err := UntilAccepted(t.Context(), [][]*answers{{first, full}}, 0, write, Notify{}); next != 1 || err != nil {
			t.Errorf("next %d, %v", next, err)
		}
		if first.calls != 1 || full.calls != 3 {
			t.Errorf("the sinks were given the data %d and %d times, want 1 and 3", first.calls, full.calls)
		}
	})
}
