package pipeline

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
)

func TestPermanentIsFoundThroughWrapping(t *testing.T) {
	cause := errors.New("cause")
	err := fmt.Errorf("outer: %w", Permanent(fmt.Errorf("inner: %w", cause)))
	if !IsPermanent(err) {
		t.Error("a wrapped permanent error is not found")
	}
	if !errors.Is(err, cause) || err.Error() != "outer: inner: cause" {
		t.Errorf("the cause of %q is lost", err)
	}
	for _, err := range []error{nil, cause, ErrFull, ErrClosed} {
		if IsPermanent(err) {
			t.Errorf("%v is taken for permanent", err)
		}
	}
}

func TestBatchesCountTheirItems(t *testing.T) {
	m := Metrics{Samples: make([]Sample, 2), Histograms: make([]HistogramSample, 3), Exemplars: make([]Exemplar, 5), Metadata: make([]Metadata, 7)}
	if got := m.Items(); got != 5 {
		t.Errorf("metrics: %d items, want 5", got)
	}
	l := Logs{Streams: []Stream{{Entries: make([]Entry, 2)}, {}, {Entries: make([]Entry, 3)}}}
	if got := l.Entries(); got != 5 {
		t.Errorf("logs: %d entries, want 5", got)
	}
}

func TestDerivedIsMadeOncePerOwner(t *testing.T) {
	s := NewSeries(labels.FromStrings("__name__", "up"))
	var made sync.Map // owner to number of calls
	owners := []any{new(int), new(int), new(string)}
	var calls sync.WaitGroup
	for range 20 {
		for i, owner := range owners {
			calls.Go(func() {
				got := s.Derived(owner, func(lset labels.Labels) any {
					if _, again := made.LoadOrStore(owner, true); again {
						t.Errorf("owner %d derived twice", i)
					}
					return fmt.Sprint(i, lset)
				})
				if want := fmt.Sprint(i, s.Labels); got != want {
					t.Errorf("owner %d got %v, want %v", i, got, want)
				}
			})
		}
	}
	calls.Wait()
}

func TestDerivedCostsNoAllocation(t *testing.T) {
	s := NewSeries(labels.FromStrings("__name__", "up"))
	owner := new(int)
	derive := func(labels.Labels) any { return owner }
	s.Derived(owner, derive)
	if n := testing.AllocsPerRun(100, func() { s.Derived(owner, derive) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestWhatIsForgottenIsDerivedAgain(t *testing.T) {
	s := NewSeries(labels.FromStrings("__name__", "up"))
	owner, other, calls := new(int), new(int), 0
	derive := func(labels.Labels) any {
		calls++
		return calls
	}
	first, others := s.Derived(owner, derive), s.Derived(other, derive)
	s.Forget(owner, first)
	second := s.Derived(owner, derive)
	s.Forget(owner, first) // that is not there any more
	if again := s.Derived(owner, derive); second != 3 || again != second || s.Derived(other, derive) != others {
		t.Errorf("derived %v, then %v and %v, for the other owner %v", first, second, again, others)
	}
}
