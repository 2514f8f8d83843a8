package queue

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// ofTag is all leases that are out of a tag, in order.
func (r *modelReader) ofTag(tag string) []*Lease {
	var leases []*Lease
	for l := range r.out {
		if l.Blocks[0].Tag == tag {
			leases = append(leases, l)
		}
	}
	slices.SortFunc(leases, func(a, b *Lease) int { return r.out[a][0] - r.out[b][0] })
	return leases
}

// settleInOrder acknowledges the first lease of a tag, or releases all.
func (m *model) settleInOrder(r *modelReader, tag string) {
	leases := r.ofTag(tag)
	if m.rnd.IntN(4) > 0 {
		if err := m.q.Reader(r.id).Ack(leases[0]); err != nil {
			m.t.Fatal(err)
		}
		m.acked(r, leases[0])
		return
	}
	for _, l := range leases {
		m.q.Reader(r.id).Release(l)
		delete(r.out, l)
	}
	delete(r.last, tag)
}

func (m *model) holdOrFree(r *modelReader) {
	tag := []string{"", "x", "other"}[m.rnd.IntN(3)]
	switch n := m.rnd.IntN(40); {
	case n < 2 && len(r.ofTag(tag)) == 0:
		if !m.q.Reader(r.id).Hold(tag) {
			m.t.Fatalf("%q was not held", tag)
		}
		r.held[tag] = true
	case n == 39:
		m.q.Reader(r.id).Free(tag)
		delete(r.held, tag)
	}
}

func TestRandomOperationsWithHeldTagsAgreeWithTheModel(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, seed, Options{Dir: t.TempDir(), Readers: []string{"a", "b", "c"}[:1+seed%3]})
			m.holds = true
			for range 1500 {
				m.step()
			}
			m.drain()
		})
	}
}

func TestRandomOperationsWithHeldTagsAtTheCapAgreeWithTheModel(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, seed, Options{Dir: t.TempDir(), Readers: []string{"a", "b"}, MaxBytes: 1})
			m.holds, m.lossy = true, true
			for range 1000 {
				m.append()
				m.step()
			}
			m.drain()
		})
	}
}

func tagged(tag string, i int) Block {
	return Block{Data: fmt.Appendf(nil, "%d", i), Tag: tag, Items: 1}
}

// next takes one lease of at most n blocks and acknowledges it.
func next(t *testing.T, r *Reader, n int) []string {
	t.Helper()
	l, err := r.TryNext(BatchLimits{MaxItems: n})
	if err != nil {
		t.Fatal(err)
	}
	if l == nil {
		return nil
	}
	if err := r.Ack(l); err != nil {
		t.Fatal(err)
	}
	return texts(l)
}

func TestAHeldTagDelaysNoOtherHoweverMuchOfItWaits(t *testing.T) {
	q := mustOpen(t, Options{Dir: t.TempDir(), Readers: []string{"a"}})
	r := q.Reader("a")
	var slow []Block
	for i := range 3 * window {
		slow = append(slow, tagged("slow", i))
	}
	if err := q.Append(t.Context(), slow...); err != nil {
		t.Fatal(err)
	}
	if err := q.Append(t.Context(), tagged("quick", 1)); err != nil {
		t.Fatal(err)
	}
	if !r.Hold("slow") {
		t.Fatal("not held")
	}
	if got := next(t, r, 1); !slices.Equal(got, []string{"1"}) {
		t.Errorf("got %q", got)
	}
	if got := next(t, r, 1); got != nil {
		t.Errorf("got %q of a tag that is held", got)
	}
	q.mu.Lock()
	known := len(r.pending) + len(r.tagQueues[0].metas)
	q.mu.Unlock()
	if known > window+tagWindow {
		t.Errorf("%d blocks are known one by one", known)
	}
	r.Free("slow")
	for i := 0; i < len(slow); {
		got := next(t, r, 100)
		if len(got) == 0 || got[0] != fmt.Sprint(i) {
			t.Fatalf("got %.3q, want %d", got, i)
		}
		i += len(got)
	}
	if s := q.Stats()[0]; s.Queued != 0 || s.QueuedBytes != 0 || s.Delivered != uint64(len(slow)+1) {
		t.Errorf("%+v", s)
	}
	if len(r.tagQueues) > 0 {
		t.Error("the tag is still kept apart")
	}
}

func TestATagThatCatchesUpTakesTurnsWithOthers(t *testing.T) {
	q := mustOpen(t, Options{Dir: t.TempDir(), Readers: []string{"a"}})
	r := q.Reader("a")
	r.Hold("slow")
	for i := range 50 {
		if err := q.Append(t.Context(), tagged("slow", i), tagged("quick", 100+i)); err != nil {
			t.Fatal(err)
		}
	}
	r.Free("slow")
	for i := 0; i < 50; i++ {
		pair := append(next(t, r, 1), next(t, r, 1)...)
		slices.Sort(pair)
		want := []string{fmt.Sprint(100 + i), fmt.Sprint(i)}
		slices.Sort(want)
		if !slices.Equal(pair, want) {
			t.Fatalf("got %q, want %q", pair, want)
		}
	}
}

func TestAHeldTagIsStillBehindAfterReopenAndTheOthersAreNotRepeated(t *testing.T) {
	dir := t.TempDir()
	q := mustOpen(t, Options{Dir: dir, Readers: []string{"a"}})
	q.Reader("a").Hold("slow")
	var want []string
	// More blocks than the bitmap of the cursor has bits.
	for i := range 2 * maxAhead {
		tag := "quick"
		if i%16 == 0 {
			tag = "slow"
			want = append(want, fmt.Sprint(i))
		}
		if err := q.Append(t.Context(), tagged(tag, i)); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 {
			for next(t, q.Reader("a"), 0) != nil {
			}
		}
	}
	for next(t, q.Reader("a"), 0) != nil {
	}
	for range 2 {
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		q = mustOpen(t, Options{Dir: dir, Readers: []string{"a"}})
		if s := q.Stats()[0]; s.Queued != uint64(len(want)) || s.Received != s.Queued {
			t.Fatalf("%+v, want %d queued", s, len(want))
		}
	}
	var got []string
	for some := next(t, q.Reader("a"), 0); some != nil; some = next(t, q.Reader("a"), 0) {
		got = append(got, some...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %d blocks, want %d", len(got), len(want))
	}
}

func TestHeldTagsAreBounded(t *testing.T) {
	q := mustOpen(t, Options{Dir: t.TempDir(), Readers: []string{"a"}})
	for i := range maxTagQueues {
		if !q.Reader("a").Hold(fmt.Sprint(i)) {
			t.Fatalf("tag %d was not held", i)
		}
	}
	if q.Reader("a").Hold("one more") {
		t.Error("one more was held")
	}
	q.Reader("a").Free("7")
	if !q.Reader("a").Hold("one more") {
		t.Error("there is room, and it was not held")
	}
}

func TestDamageToHeldBlocksIsCountedToTheItem(t *testing.T) {
	dir := t.TempDir()
	q := tryOpen(t, Options{Dir: dir, Readers: []string{"a"}, MaxBytes: 1}, quick())
	r := q.Reader("a")
	r.Hold("slow")
	for i := range 400 {
		if err := q.Append(t.Context(), tagged("slow", i)); err != nil {
			t.Fatal(err)
		}
	}
	segments, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil || len(segments) < 5 {
		t.Fatal(segments, err)
	}
	for _, name := range segments[2:4] {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		content[segmentLen+9] ^= 1 // in the header of the first record
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.Free("slow")
	n := 0
	for some := next(t, r, 3); some != nil; some = next(t, r, 3) {
		n += len(some)
	}
	if s := q.Stats()[0]; n != 398 || s.DamagedBlocks != 2 || s.Dropped[ReasonDamaged] != 2 || s.Queued != 0 {
		t.Errorf("%d blocks came, %+v", n, s)
	}
}

func TestHeldBlocksExpire(t *testing.T) {
	q := mustOpen(t, Options{Dir: t.TempDir(), Readers: []string{"a"}, MaxAge: time.Nanosecond})
	r := q.Reader("a")
	r.Hold("slow")
	for i := range 2 * tagWindow {
		if err := q.Append(t.Context(), tagged("slow", i)); err != nil {
			t.Fatal(err)
		}
	}
	r.Free("slow")
	if got := next(t, r, 1); got != nil {
		t.Errorf("got %q", got)
	}
	if s := q.Stats()[0]; s.Dropped[ReasonTooOld] != 2*tagWindow || s.Queued != 0 {
		t.Errorf("%+v", s)
	}
}
