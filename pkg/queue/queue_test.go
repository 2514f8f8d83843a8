package queue

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"collector/pkg/pipeline"
)

func mustOpen(t *testing.T, o Options) *Queue {
	t.Helper()
	if o.Readers == nil {
		o.Readers = []string{"a"}
	}
	q, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

func mustAppend(t *testing.T, q *Queue, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := q.Append(t.Context(), Block{Data: fmt.Appendf(nil, "block %d", i), Items: 1}); err != nil {
			t.Fatal(err)
		}
	}
}

func texts(l *Lease) []string {
	var s []string
	for _, b := range l.Blocks {
		s = append(s, string(b.Data))
	}
	return s
}

func TestLeasesInOrder(t *testing.T) {
	q := mustOpen(t, Options{Dir: t.TempDir()})
	mustAppend(t, q, 0, 5)
	l, err := q.Reader("a").Next(t.Context(), BatchLimits{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(texts(l)), "[block 0 block 1 block 2 block 3 block 4]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := q.Reader("a").Ack(l); err != nil {
		t.Fatal(err)
	}
	if s := q.Stats()[0]; s.Queued != 0 || s.Delivered != 5 || s.Received != 5 || s.QueuedBytes != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestResumesAfterReopen(t *testing.T) {
	dir := t.TempDir()
	for round := range 5 {
		q := mustOpen(t, Options{Dir: dir})
		mustAppend(t, q, round*2, round*2+2)
		l, err := q.Reader("a").Next(t.Context(), BatchLimits{MaxItems: 1})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := texts(l)[0], fmt.Sprintf("block %d", round); got != want {
			t.Fatalf("round %d: got %s, want %s", round, got, want)
		}
		if err := q.Reader("a").Ack(l); err != nil {
			t.Fatal(err)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNextEndsWithItsContextAndTheQueue(t *testing.T) {
	q := mustOpen(t, Options{Dir: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Reader("a").Next(ctx, BatchLimits{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Reader("a").Next(t.Context(), BatchLimits{}); !errors.Is(err, pipeline.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if err := q.Append(t.Context(), Block{}); !errors.Is(err, pipeline.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
