package pipeline

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// answers is a sink: the errors of its calls, the last one forever.
type answers struct {
	errs  []error
	calls int
}

func call(_ context.Context, a *answers) error {
	err := a.errs[min(a.calls, len(a.errs)-1)]
	a.calls++
	return err
}

func TestWriteAllAndPass(t *testing.T) {
	broken, bad := errors.New("broken"), Permanent(errors.New("bad"))
	sink := func(errs ...error) *answers { return &answers{errs: errs} }
	// f checks the error of WriteAll and what is lost.
	f := func(name string, want, wantLost error, sinks ...*answers) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			var lost error
			err := WriteAll(t.Context(), sinks, call, func(err error) { lost = errors.Join(lost, err) })
			if !errors.Is(err, want) || (err == nil) != (want == nil) || IsPermanent(err) != IsPermanent(want) {
				t.Errorf("%s: got %v, want %v", name, err, want)
			}
			if !errors.Is(lost, wantLost) || (lost == nil) != (wantLost == nil) {
				t.Errorf("%s: lost %v, want %v", name, lost, wantLost)
			}
			var again []*answers
			for _, s := range sinks {
				again = append(again, &answers{errs: s.errs})
			}
			lost = nil
			err = Pass(t.Context(), again, call, func(_ int, err error) { lost = errors.Join(lost, err) })
			if !errors.Is(err, want) || IsPermanent(err) != IsPermanent(want) || !errors.Is(lost, wantLost) {
				t.Errorf("%s, with Pass: got %v, lost %v", name, err, lost)
			}
		})
	}
	f("one takes it", nil, nil, sink(nil))
	f("one refuses it", broken, nil, sink(broken))
	f("both take it", nil, nil, sink(nil), sink(nil))
	f("both refuse it", broken, nil, sink(ErrFull), sink(broken))
	f("one may take it later", ErrFull, nil, sink(bad), sink(ErrFull))
	f("none will ever take it", bad, nil, sink(bad), sink(bad))
	f("one is full", nil, ErrFull, sink(ErrFull), sink(nil))
	f("one is full, the other way about", nil, ErrFull, sink(nil), sink(ErrFull))
	f("one will never take it", nil, bad, sink(bad), sink(nil))
	f("one is being replaced", nil, nil, sink(ErrClosed, ErrClosed, nil), sink(nil))
	f("one stays broken", nil, broken, sink(broken), sink(nil))

	taken := sink(nil)
	f("each is asked in any case", nil, ErrFull, sink(ErrFull), taken, sink(ErrFull))
	if taken.calls != 1 {
		t.Errorf("what was taken was given %d times", taken.calls)
	}
}

func TestPassWaitsForEachSinkIfTheSourceDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken, bad := errors.New("broken"), Permanent(errors.New("bad"))
		// f passes data from a source that waits, and checks the error that it gets and
		// what is lost.
		f := func(ctx context.Context, wantNext int, want, wantRefused, wantLost error, sinks ...*answers) {
			t.Helper()
			var refused, lost error
			pass := func(ctx context.Context, sinks []*answers) error {
				return Pass(ctx, sinks, call, func(_ int, err error) { lost = errors.Join(lost, err) })
			}
			next, err := UntilAccepted(ctx, [][]*answers{sinks}, 0, pass, Notify{Refused: func(_ int, err error) { refused = err }})
			if next != wantNext || err != want || !errors.Is(refused, wantRefused) || !errors.Is(lost, wantLost) {
				t.Errorf("next %d, %v, refused %v, lost %v", next, err, refused, lost)
			}
		}
		first, full := &answers{errs: []error{nil}}, &answers{errs: []error{ErrFull, broken, ErrFull, nil}}
		f(t.Context(), 1, nil, nil, nil, first, full)
		if first.calls != 1 || full.calls != 4 {
			t.Errorf("the sinks were given the data %d and %d times, want 1 and 4", first.calls, full.calls)
		}
		f(t.Context(), 1, nil, nil, bad, &answers{errs: []error{bad}}, &answers{errs: []error{ErrFull, nil}})
		f(t.Context(), 1, nil, bad, nil, &answers{errs: []error{bad}}, &answers{errs: []error{ErrFull, bad}})
		over := errors.New("over")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, over)
		defer cancel()
		f(ctx, 0, over, nil, nil, &answers{errs: []error{nil}}, &answers{errs: []error{ErrFull}})
	})
}
