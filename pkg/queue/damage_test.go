package queue

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// smallQueue makes a queue of a few segments, of which reader "a" has done with
// a part, and returns its directory and what was appended.
func smallQueue(t testing.TB) (dir string, blocks []Block) {
	t.Helper()
	dir = t.TempDir()
	sys := quick()
	sys.minSegment = 400
	q := tryOpen(t, Options{Dir: dir, Readers: []string{"a", "b"}, MaxBytes: 1}, sys)
	q.segmentSize = 400
	for i := range 9 {
		b := Block{Data: fmt.Appendf(nil, "this is block number %d", i), Tag: "t", Items: i + 1, MinTime: int64(i)}
		if err := q.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, b)
	}
	for range 2 {
		l, err := q.Reader("a").TryNext(BatchLimits{MaxItems: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Reader("a").Ack(l); err != nil {
			t.Fatal(err)
		}
	}
	dir = copyDir(t, dir)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, blocks
}

// survives opens a damaged queue and checks that it leases only what was appended, in
// order, once; that it counts what is missing, unless that lay at the very end; and that
// it takes new blocks. It returns the numbers of the blocks that each reader leased.
func survives(t testing.TB, dir string, blocks []Block) (got [2][]int, stats []Stats) {
	t.Helper()
	q := tryOpen(t, Options{Dir: dir, Readers: []string{"a", "b"}, MaxBytes: 1}, quick())
	fresh := Block{Data: []byte("a new block"), Tag: "t", Items: 1}
	if err := q.Append(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}
	for i, id := range []string{"a", "b"} {
		r := q.Reader(id)
		last := -1
		sawFresh := false
		for {
			l, err := r.TryNext(BatchLimits{MaxItems: 20})
			if err != nil {
				t.Fatal(err)
			}
			if l == nil {
				break
			}
			for _, b := range l.Blocks {
				if sawFresh {
					t.Fatalf("%s was handed %q after the last block", id, b.Data)
				}
				if bytes.Equal(b.Data, fresh.Data) {
					sawFresh = true
					continue
				}
				n := last + 1
				for n < len(blocks) && !bytes.Equal(blocks[n].Data, b.Data) {
					n++
				}
				if n == len(blocks) || b.Items != blocks[n].Items || b.Tag != "t" || b.MinTime != blocks[n].MinTime {
					t.Fatalf("%s was handed %+v after block %d", id, b, last)
				}
				last = n
				got[i] = append(got[i], n)
			}
			if err := r.Ack(l); err != nil {
				t.Fatal(err)
			}
		}
		if !sawFresh {
			t.Fatalf("%s was not handed the new block", id)
		}
	}
	stats = q.Stats()
	for i, s := range stats {
		if sum := s.Delivered + s.Queued + s.Dropped[ReasonDamaged]; s.Received != sum || s.Queued != 0 {
			t.Fatalf("reader %d does not balance: %+v", i, s)
		}
		checkLosses(t, blocks, got[i], s)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	return got, stats
}

// checkLosses checks that the items of the blocks between those that were
// leased are counted.
func checkLosses(t testing.TB, blocks []Block, got []int, s Stats) {
	t.Helper()
	if len(got) == 0 {
		return
	}
	missing := uint64(0)
	for i, n := range got[1:] {
		for lost := got[i] + 1; lost < n; lost++ {
			missing += uint64(blocks[lost].Items)
		}
	}
	if s.Dropped[ReasonDamaged] < missing {
		t.Fatalf("%d items are counted as lost, want %d", s.Dropped[ReasonDamaged], missing)
	}
}

// replace writes a new file. Cutting the old one short and writing it again
// would make some file systems write it to the disk at once.
func replace(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// damage opens a copy of the queue for each way to damage one of its files, at
// every step-th byte.
func damage(t *testing.T, step int, change func(content []byte, i int) []byte, check func(t *testing.T, file string, i int, got [2][]int, stats []Stats)) {
	dir, blocks := smallQueue(t)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(content); i += step {
			if strings.HasSuffix(e.Name(), cursorSuffix) && i%slotLen > 80 {
				continue // nothing is stored there
			}
			damaged := copyDir(t, dir)
			replace(t, filepath.Join(damaged, e.Name()), change(bytes.Clone(content), i))
			got, stats := survives(t, damaged, blocks)
			if check != nil {
				check(t, e.Name(), i, got, stats)
			}
			if err := os.RemoveAll(damaged); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAFlippedByteCostsOneBlock(t *testing.T) {
	flip := func(content []byte, i int) []byte {
		content[i] ^= 0x41
		return content
	}
	damage(t, 1, flip, func(t *testing.T, file string, i int, got [2][]int, stats []Stats) {
		if len(got[0]) < 6 || len(got[1]) < 8 {
			t.Fatalf("byte %d of %s: the readers were handed %v", i, file, got)
		}
		if strings.HasSuffix(file, cursorSuffix) && len(got[1]) < 9 {
			t.Fatalf("byte %d of %s: a damaged cursor cost blocks: %v", i, file, got)
		}
		if len(got[1]) < 9 && stats[1].DamagedBlocks == 0 {
			t.Fatalf("byte %d of %s: nobody counted the loss", i, file)
		}
	})
}

func TestATruncatedFileCostsWhatFollows(t *testing.T) {
	damage(t, 7, func(content []byte, i int) []byte { return content[:i] }, nil)
}

func TestAZeroFilledEndCostsWhatFollows(t *testing.T) {
	damage(t, 7, func(content []byte, i int) []byte {
		clear(content[i:])
		return content
	}, nil)
}

func TestAMissingFileCostsWhatItHeld(t *testing.T) {
	dir, blocks := smallQueue(t)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		damaged := copyDir(t, dir)
		if err := os.Remove(filepath.Join(damaged, e.Name())); err != nil {
			t.Fatal(err)
		}
		got, _ := survives(t, damaged, blocks)
		if strings.HasSuffix(e.Name(), cursorSuffix) && (len(got[0]) < 7 || len(got[1]) < 9) {
			t.Errorf("without %s the readers were handed %v", e.Name(), got)
		}
	}
}

// New blocks get numbers that no reader has had, even when nothing but the
// cursors is left.
func TestLostSegmentsHideNoNewBlock(t *testing.T) {
	dir := t.TempDir()
	q := tryOpen(t, Options{Dir: dir, Readers: []string{"a"}}, quick())
	mustAppend(t, q, 0, 5)
	l, err := q.Reader("a").TryNext(BatchLimits{MaxItems: 4})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Reader("a").Ack(l); err != nil {
		t.Fatal(err)
	}
	dir = copyDir(t, dir)
	names, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	q = tryOpen(t, Options{Dir: dir, Readers: []string{"a"}}, quick())
	mustAppend(t, q, 10, 12)
	for _, q := range []*Queue{q, tryOpen(t, Options{Dir: copyDir(t, dir), Readers: []string{"a"}}, quick())} {
		l, err := q.Reader("a").TryNext(BatchLimits{})
		if err != nil || l == nil || fmt.Sprint(texts(l)) != "[block 10 block 11]" {
			t.Errorf("got %v, %v", l, err)
		}
	}
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	dir, blocks := smallQueue(t)
	for _, name := range []string{"README", "x.seg", "0000000000000001-00000000.segment"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("hello"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := survives(t, dir, blocks)
	if len(got[0]) != 7 || len(got[1]) != 9 {
		t.Errorf("the readers were handed %v", got)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "README")); err != nil || string(b) != "hello" {
		t.Errorf("README: %q, %v", b, err)
	}
}

// A payload may be the bytes of a queue, which must not be taken for records.
func TestAQueueCanHoldTheBytesOfAQueue(t *testing.T) {
	dir, _ := smallQueue(t)
	names, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []Block
	outer := t.TempDir()
	q := tryOpen(t, Options{Dir: outer, Readers: []string{"a", "b"}}, quick())
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b := Block{Data: content, Tag: "t", Items: 1}
		if err := q.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, b)
	}
	file := q.active.path
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	content[segmentLen] ^= 1 // the first record has to be searched through
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	got, _ := survives(t, outer, blocks)
	if fmt.Sprint(got[1]) != fmt.Sprint([]int{1, 2}) && len(blocks) == 3 {
		t.Errorf("got %v of %d", got, len(blocks))
	}
}

// FuzzRecovery checks that whatever becomes of the files, the queue opens and
// leases only what was appended, in order, once.
func FuzzRecovery(f *testing.F) {
	f.Add(uint64(1), []byte{})
	f.Add(uint64(2), []byte("CQR1"))
	f.Add(uint64(3), bytes.Repeat([]byte{0}, 100))
	f.Add(uint64(4), []byte("CQR1CQR1CQS1\xff\xff\xff\xff\x00\x00\x00\x00"))
	dir, blocks := smallQueue(f)
	entries, err := os.ReadDir(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, seed uint64, garbage []byte) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		damaged := copyDir(t, dir)
		for range 1 + rnd.IntN(3) {
			name := filepath.Join(damaged, entries[rnd.IntN(len(entries))].Name())
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			at := rnd.IntN(len(content) + 1)
			switch rnd.IntN(4) {
			case 0: // overwritten
				copy(content[at:], garbage)
			case 1: // inserted
				content = append(content[:at:at], append(garbage, content[at:]...)...)
			case 2: // cut out
				end := at + rnd.IntN(len(content)-at+1)
				content = append(content[:at:at], content[end:]...)
			case 3: // doubled
				content = append(content[:at:at], content[rnd.IntN(at+1):]...)
			}
			replace(t, name, content)
		}
		survives(t, damaged, blocks)
	})
}
