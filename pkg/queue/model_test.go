package queue

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// quick is a system that does not wait for the disk, with small segments.
func quick() system {
	return system{write: (*os.File).WriteAt, sync: func(*os.File) error { return nil }, now: time.Now, minSegment: 600, tagWindow: 4}
}

func tryOpen(t testing.TB, o Options, sys system) *Queue {
	t.Helper()
	q, err := open(o, sys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func sizeOf(t testing.TB, dir string) int64 {
	t.Helper()
	n := int64(0)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			n += info.Size()
		} else if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return n
}

// model is what a queue should do, and one that does it.
type model struct {
	t       *testing.T
	rnd     *rand.Rand
	o       Options
	q       *Queue
	blocks  []Block        // all that were ever appended
	numbers map[string]int // of the blocks, by data
	readers []*modelReader
	lossy   bool // the cap may take blocks
	holds   bool // tags are held and freed, and their blocks acknowledged in order
}

type modelReader struct {
	id     string
	done   map[int]bool // acknowledged
	out    map[*Lease][]int
	last   map[string]int // the last block leased, by tag; -1 after a release
	undone uint64         // items of the blocks that are not done with
	lost   uint64         // items dropped in the lives of former queues
	held   map[string]bool
}

func newModel(t *testing.T, seed uint64, o Options) *model {
	m := &model{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), o: o, numbers: make(map[string]int)}
	for _, id := range o.Readers {
		m.readers = append(m.readers, &modelReader{
			id: id, done: make(map[int]bool), out: make(map[*Lease][]int), last: make(map[string]int), held: make(map[string]bool),
		})
	}
	m.q = tryOpen(t, o, quick())
	return m
}

func (m *model) step() {
	r := m.readers[m.rnd.IntN(len(m.readers))]
	if m.holds {
		m.holdOrFree(r)
	}
	switch n := m.rnd.IntN(100); {
	case n < 45:
		m.append()
	case n < 70:
		m.next(r)
	case n < 90:
		m.settle(r)
	case n < 96:
		m.split(r)
	case n < 98:
		m.reopen()
	default:
		m.crash()
	}
	m.check()
}

// append appends one block, and now and then several at once.
func (m *model) append() {
	var blocks []Block
	for range 1 + max(0, m.rnd.IntN(6)-3) {
		n := len(m.blocks) + len(blocks)
		blocks = append(blocks, Block{
			Data:    append(fmt.Appendf(nil, "%d:", n), bytes.Repeat([]byte{byte(n)}, m.rnd.IntN(400))...),
			Tag:     []string{"", "x", "other"}[m.rnd.IntN(3)],
			Items:   m.rnd.IntN(5),
			MinTime: int64(n), MaxTime: int64(2 * n),
		})
	}
	if err := m.q.Append(m.t.Context(), blocks...); err != nil {
		m.t.Fatal(err)
	}
	for _, b := range blocks {
		m.numbers[string(b.Data)] = len(m.blocks)
		m.blocks = append(m.blocks, b)
		for _, r := range m.readers {
			r.undone += uint64(b.Items)
		}
	}
}

func (m *model) next(r *modelReader) {
	w := BatchLimits{MinItems: m.rnd.IntN(9), MaxItems: m.rnd.IntN(20), MaxBytes: m.rnd.IntN(2000)}
	if m.rnd.IntN(4) == 0 {
		w.MaxWait = time.Hour
	}
	l, err := m.q.Reader(r.id).TryNext(w)
	if err != nil {
		m.t.Fatal(err)
	}
	if l != nil {
		m.handedOut(r, l, w)
	}
}

// handedOut checks a lease: its blocks are those that were appended, in order, of one
// tag, within the limits, and none is finished or leased already.
func (m *model) handedOut(r *modelReader, l *Lease, w BatchLimits) {
	var numbers []int
	for _, b := range l.Blocks {
		n, ok := m.numbers[string(b.Data)]
		if !ok {
			m.t.Fatalf("%s was handed a block that was never appended", r.id)
		}
		want := m.blocks[n]
		if b.Tag != want.Tag || b.Items != want.Items || b.MinTime != want.MinTime || b.MaxTime != want.MaxTime || b.Tag != l.Blocks[0].Tag {
			m.t.Fatalf("%s was handed %+v, want %+v", r.id, b, want)
		}
		if r.done[n] {
			m.t.Fatalf("%s was handed block %d, which it had acknowledged", r.id, n)
		}
		for _, other := range r.out {
			if slices.Contains(other, n) {
				m.t.Fatalf("%s was handed block %d twice", r.id, n)
			}
		}
		if r.held[b.Tag] {
			m.t.Fatalf("%s was handed block %d, whose tag is held", r.id, n)
		}
		if last, ok := r.last[b.Tag]; ok && n <= last {
			m.t.Fatalf("%s was handed block %d after %d", r.id, n, last)
		}
		r.last[b.Tag] = n
		numbers = append(numbers, n)
	}
	if len(l.Blocks) > 1 && ((w.MaxItems > 0 && l.Items() > w.MaxItems) || (w.MaxBytes > 0 && l.Bytes() > w.MaxBytes)) {
		m.t.Fatalf("%s was handed %d items, %d bytes for %+v", r.id, l.Items(), l.Bytes(), w)
	}
	r.out[l] = numbers
}

func (r *modelReader) anyLease(rnd *rand.Rand) *Lease {
	var all []*Lease
	for l := range r.out {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *Lease) int { return r.out[a][0] - r.out[b][0] })
	if len(all) == 0 {
		return nil
	}
	return all[rnd.IntN(len(all))]
}

func (m *model) settle(r *modelReader) {
	l := r.anyLease(m.rnd)
	if l == nil {
		return
	}
	if m.holds {
		m.settleInOrder(r, l.Blocks[0].Tag)
		return
	}
	if m.rnd.IntN(4) == 0 {
		m.q.Reader(r.id).Release(l)
		delete(r.last, l.Blocks[0].Tag)
		delete(r.out, l)
		return
	}
	if err := m.q.Reader(r.id).Ack(l); err != nil {
		m.t.Fatal(err)
	}
	m.acked(r, l)
}

func (m *model) acked(r *modelReader, l *Lease) {
	for _, n := range r.out[l] {
		r.done[n] = true
		r.undone -= uint64(m.blocks[n].Items)
	}
	delete(r.out, l)
}

func (m *model) split(r *modelReader) {
	l := r.anyLease(m.rnd)
	if l == nil || len(l.Blocks) < 2 {
		return
	}
	n := 1 + m.rnd.IntN(len(l.Blocks)-1)
	numbers := r.out[l]
	rest := m.q.Reader(r.id).Split(l, n)
	r.out[l], r.out[rest] = numbers[:n], numbers[n:]
}

func (m *model) forget() {
	for i, s := range m.q.Stats() {
		r := m.readers[i]
		for _, n := range s.Dropped {
			r.lost += n
		}
		clear(r.out)
		clear(r.last)
		clear(r.held)
	}
}

func (m *model) reopen() {
	m.forget()
	if err := m.q.Close(); err != nil {
		m.t.Fatal(err)
	}
	m.q = tryOpen(m.t, m.o, quick())
}

// crash continues with the files as they are, as after SIGKILL.
func (m *model) crash() {
	m.forget()
	dir := copyDir(m.t, m.o.Dir)
	_ = m.q.Close()
	m.o.Dir = dir
	m.q = tryOpen(m.t, m.o, quick())
}

// check compares the account of each reader with what was appended.
func (m *model) check() {
	m.t.Helper()
	if size := sizeOf(m.t, m.o.Dir); size > m.q.cap {
		m.t.Fatalf("the queue takes %d bytes of %d", size, m.q.cap)
	} else if size != m.q.Fill().Size {
		m.t.Fatalf("the queue takes %d bytes, and says %d", size, m.q.Fill().Size)
	}
	for i, s := range m.q.Stats() {
		r := m.readers[i]
		undone := r.undone
		sum := s.Delivered + s.Queued
		for reason, n := range s.Dropped {
			sum += n
			if reason == ReasonDamaged || !m.lossy {
				m.t.Fatalf("%s lost %d items: %s", r.id, n, reason)
			}
		}
		if sum != s.Received {
			m.t.Fatalf("%s does not balance: %+v", r.id, s)
		}
		lost := r.lost
		for _, n := range s.Dropped {
			lost += n
		}
		if s.Queued+lost != undone && !m.lossy {
			m.t.Fatalf("%s has %d items to come and has lost %d, want %d", r.id, s.Queued, lost, undone)
		}
	}
}

// drain takes everything and checks that nothing is missing that was not counted.
func (m *model) drain() {
	for i, r := range m.readers {
		for l := range r.out {
			m.q.Reader(r.id).Release(l)
		}
		for tag := range r.held {
			m.q.Reader(r.id).Free(tag)
		}
		clear(r.held)
		clear(r.out)
		clear(r.last)
		for {
			l, err := m.q.Reader(r.id).TryNext(BatchLimits{})
			if err != nil {
				m.t.Fatal(err)
			}
			if l == nil {
				break
			}
			m.handedOut(r, l, BatchLimits{})
			if err := m.q.Reader(r.id).Ack(l); err != nil {
				m.t.Fatal(err)
			}
			m.acked(r, l)
		}
		lost := r.lost
		for _, n := range m.q.Stats()[i].Dropped {
			lost += n
		}
		if r.undone != lost {
			m.t.Fatalf("%s misses %d items, and %d are counted as lost", r.id, r.undone, lost)
		}
	}
	m.check()
}

func TestRandomOperationsAgreeWithTheModel(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, seed, Options{Dir: t.TempDir(), Readers: []string{"a", "b", "c"}[:1+seed%3]})
			for range 600 {
				m.step()
			}
			m.drain()
		})
	}
}

func TestRandomOperationsAtTheCapAgreeWithTheModel(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, seed, Options{Dir: t.TempDir(), Readers: []string{"a", "b"}, MaxBytes: 1})
			m.lossy = true
			for range 1000 {
				m.append()
				m.step()
			}
			lost := uint64(0)
			for i, s := range m.q.Stats() {
				lost += s.Dropped[ReasonFull] + m.readers[i].lost
			}
			if lost == 0 {
				t.Error("the cap was never met")
			}
			m.drain()
		})
	}
}

func TestFilesAreNamedForPeople(t *testing.T) {
	dir := t.TempDir()
	q := tryOpen(t, Options{Dir: dir, Readers: []string{"a"}}, quick())
	mustAppend(t, q, 0, 1)
	segments, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil || len(segments) != 1 {
		t.Errorf("segments %v, %v", segments, err)
	}
}
