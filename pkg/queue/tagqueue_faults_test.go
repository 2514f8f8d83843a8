package queue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// drainAll takes and acknowledges everything that is leased.
func drainAll(t *testing.T, r *Reader) (got []string) {
	t.Helper()
	for some := next(t, r, 0); some != nil; some = next(t, r, 0) {
		got = append(got, some...)
	}
	return got
}

func TestAReaderAtTheEndOfASegmentContinuesWhenThatIsRemoved(t *testing.T) {
	dir := t.TempDir()
	sys := quick()
	const blocks = window / 2 // that many are loaded at once, and end a segment
	sys.minSegment = segmentLen + blocks*recordSize(1, 4)
	o := Options{Dir: dir, Readers: []string{"a"}, MaxBytes: 1}
	q := tryOpen(t, o, sys)
	q.cap = 1 << 20
	for i := range 2*blocks + 7 {
		if err := q.Append(t.Context(), Block{Data: fmt.Appendf(nil, "%04d", i), Tag: "x", Items: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = tryOpen(t, o, sys)
	if got := drainAll(t, q.Reader("a")); len(got) != 2*blocks+7 {
		t.Errorf("%d blocks came: %+v", len(got), q.Stats()[0])
	}
}

func TestADamagedLeasedBlockCostsNoOtherOfAHeldTag(t *testing.T) {
	dir := t.TempDir()
	q := tryOpen(t, Options{Dir: dir, Readers: []string{"a"}}, quick())
	r := q.Reader("a")
	q.segmentSize = maxSegment
	for i := range 40 {
		if err := q.Append(t.Context(), tagged("slow", i)); err != nil {
			t.Fatal(err)
		}
	}
	segments, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	content, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	q.mu.Lock()
	m := r.pending[20]
	q.mu.Unlock()
	content[m.off+m.size-1] ^= 1 // in the data, not in the header
	if err := os.WriteFile(segments[0], content, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := r.TryNext(BatchLimits{})
	if err != nil || len(l.Blocks) != 39 {
		t.Fatal(l, err)
	}
	r.Release(l)
	if !r.Hold("slow") {
		t.Fatal("not held")
	}
	r.Free("slow")
	if got := drainAll(t, r); len(got) != 39 || got[38] != "39" {
		t.Errorf("got %q", got)
	}
	if s := q.Stats()[0]; s.DamagedBlocks != 1 || s.Dropped[ReasonDamaged] != 1 || s.Queued != 0 || s.Delivered != 39 {
		t.Errorf("%+v", s)
	}
}

func TestATagWithALeaseOutIsNotHeld(t *testing.T) {
	q := mustOpen(t, Options{Dir: t.TempDir(), Readers: []string{"a"}})
	r := q.Reader("a")
	if err := q.Append(t.Context(), tagged("slow", 1)); err != nil {
		t.Fatal(err)
	}
	l, err := r.TryNext(BatchLimits{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Hold("slow") {
		t.Error("the tag was held")
	}
	r.Release(l)
	if !r.Hold("slow") {
		t.Error("the tag was not held after the release")
	}
}

// The cursor that is written while a queue is opened knows all that the last
// one did: the process may die then as at any other time.
func TestAKillDuringOpenRepeatsNothing(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, Readers: []string{"a"}}
	q := mustOpen(t, o)
	r := q.Reader("a")
	r.Hold("slow")
	for i := range 4 * window {
		tag := "quick"
		if i%100 == 0 {
			tag = "slow"
		}
		if err := q.Append(t.Context(), tagged(tag, i)); err != nil {
			t.Fatal(err)
		}
		if i%500 == 499 {
			drainAll(t, r)
		}
	}
	drainAll(t, r)
	want := q.Stats()[0].Queued
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	var copies []string
	sys := quick()
	sys.write = func(f *os.File, b []byte, off int64) (int, error) {
		n, err := f.WriteAt(b, off)
		if strings.HasSuffix(f.Name(), cursorSuffix) {
			copies = append(copies, copyDir(t, dir))
		}
		return n, err
	}
	tryOpen(t, o, sys)
	for _, dir := range copies {
		c := mustOpen(t, Options{Dir: dir, Readers: []string{"a"}})
		if s := c.Stats()[0]; s.Queued != want || s.DamagedBlocks != 0 {
			t.Errorf("after a kill during Open: %+v, want %d queued", s, want)
		}
	}
	if len(copies) == 0 {
		t.Error("the cursor was not written")
	}
}

// passOthers appends to another tag and takes that, with one block of a held
// tag at the front, for some times the cap.
func passOthers(t *testing.T, q *Queue, times int) {
	t.Helper()
	data := make([]byte, 1000)
	for range times * int(q.cap) / len(data) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err := q.Append(ctx, Block{Data: data, Tag: "quick", Items: 1})
		cancel()
		if err != nil {
			t.Fatalf("%v: %+v", err, q.Stats())
		}
		if got := next(t, q.Reader("a"), 0); len(got) != 1 {
			t.Fatalf("%d blocks came", len(got))
		}
	}
}

func TestDeliveredBlocksAfterAHeldOneTakeNoRoom(t *testing.T) {
	for _, policy := range []Policy{Wait, Refuse, DropOldest} {
		dir := t.TempDir()
		o := Options{Dir: dir, Readers: []string{"a"}, MaxBytes: 200 << 10, WhenFull: policy}
		q := tryOpen(t, o, quick())
		q.Reader("a").Hold("slow")
		for round := range 3 {
			if err := q.Append(t.Context(), tagged("slow", round)); err != nil {
				t.Fatal(err)
			}
			passOthers(t, q, 3)
			kill := copyDir(t, dir)
			if err := q.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
				t.Fatal(err)
			}
			if round == 1 {
				o.Dir, dir = kill, kill
			}
			q = tryOpen(t, o, quick())
			if s := q.Stats()[0]; s.Queued != uint64(round)+1 || s.Received != s.Queued || len(s.Dropped) > 0 {
				t.Fatalf("policy %d, round %d: %+v", policy, round, s)
			}
			if n := len(q.segments); n > 40 {
				t.Errorf("%d segments are left", n)
			}
			q.Reader("a").Hold("slow")
		}
		q.Reader("a").Free("slow")
		if got := drainAll(t, q.Reader("a")); !slices.Equal(got, []string{"0", "1", "2"}) {
			t.Errorf("policy %d: got %q", policy, got)
		}
	}
}

// pass appends to the tag and leases to a reader what it can.
func (m *model) pass(tag string) {
	n := len(m.blocks)
	b := Block{Data: append(fmt.Appendf(nil, "%d:", n), make([]byte, m.rnd.IntN(800))...), Tag: tag, Items: m.rnd.IntN(5), MinTime: int64(n)}
	if err := m.q.Append(m.t.Context(), b); err != nil {
		m.t.Fatalf("block %d: %v: %+v", n, err, m.q.Stats())
	}
	m.numbers[string(b.Data)] = n
	m.blocks = append(m.blocks, b)
	for _, r := range m.readers {
		r.undone += uint64(b.Items)
		for l := (&Lease{}); l != nil && m.rnd.IntN(8) > 0; {
			var err error
			if l, err = m.q.Reader(r.id).TryNext(BatchLimits{MaxItems: 20}); err != nil {
				m.t.Fatal(err)
			}
			if l != nil {
				m.handedOut(r, l, BatchLimits{MaxItems: 20})
				m.settleInOrder(r, l.Blocks[0].Tag)
			}
		}
	}
}

func TestHeldTagsTakeOnlyTheRoomOfTheirOwnBlocks(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, seed, Options{Dir: t.TempDir(), Readers: []string{"a", "b"}[:1+seed%2], MaxBytes: 200 << 10, WhenFull: Refuse})
			m.holds = true
			for i := range 1500 {
				if i%150 == 0 {
					[]func(){m.reopen, m.crash}[m.rnd.IntN(2)]()
					for _, r := range m.readers {
						r.held["slow"] = m.q.Reader(r.id).Hold("slow")
						r.held["stuck"] = r.id == "a" && m.q.Reader(r.id).Hold("stuck")
					}
				}
				tag := "quick"
				if n := m.rnd.IntN(800); n < 2 {
					tag = []string{"slow", "stuck"}[n]
				}
				if m.pass(tag); i%10 == 0 {
					m.check()
				}
			}
			if s := m.q.Stats()[0]; s.Queued == 0 {
				t.Error("nothing was held")
			}
			m.drain()
		})
	}
}
