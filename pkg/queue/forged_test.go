package queue

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"collector/pkg/durable"
)

// forge writes value over the 8 bytes at off of b, a file of a queue, and makes
// the checksums right again, as someone does who knows the format.
func forge(name string, b []byte, off int, value uint64) []byte {
	b = bytes.Clone(b)
	if off < 0 || off+8 > len(b) {
		return b
	}
	le := binary.LittleEndian
	le.PutUint64(b[off:], value)
	if _, salt, ok := parseSegmentName(name); ok {
		le.PutUint32(b[4:], durable.Checksum(salt, b[8:segmentLen]))
		for at := segmentLen; at+recordHeaderLen <= len(b); {
			n := tagLength(b[at:])
			if n < 0 || at+recordHeaderLen+n > len(b) {
				break
			}
			le.PutUint32(b[at+4:], durable.Checksum(salt, b[at+8:at+recordHeaderLen+n]))
			at += int(recordSize(n, int(le.Uint32(b[at+12:]))))
		}
		return b
	}
	for slot := range 2 {
		if s := b[min(len(b), slot*slotLen):min(len(b), (slot+1)*slotLen)]; len(s) >= cursorLen && string(s[:4]) == cursorMagic {
			n := cursorLen + min(le.Uint64(s[40:]), slotLen) + tagMarkLen*min(le.Uint64(s[56:]), slotLen)
			le.PutUint32(s[4:], durable.Checksum(0, s[8:min(n, uint64(len(s)))]))
		}
	}
	return b
}

// endsWithin opens a forged queue, appends to it and reads it to its end. It fails when
// that takes longer than patience, when a reader leases what was never written or never
// reaches the end, or when its account does not balance.
func endsWithin(t testing.TB, dir string, blocks []Block, patience time.Duration) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- readForged(dir, blocks) }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatal("opening and reading the queue does not end")
	}
}

func readForged(dir string, blocks []Block) error {
	q, err := open(Options{Dir: dir, Readers: []string{"a", "b"}, MaxBytes: 1}, quick())
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	known := slices.Clone(blocks)
	for i := range 3 {
		b := Block{Data: fmt.Appendf(nil, "new block %d", i), Tag: "t", Items: 1}
		if err := q.Append(context.Background(), b); err != nil {
			return err
		}
		known = append(known, b)
	}
	for _, id := range []string{"a", "b"} {
		r := q.Reader(id)
		handed := 0
		for {
			l, err := r.TryNext(BatchLimits{MaxItems: 1})
			if err != nil {
				return err
			}
			if l == nil {
				break
			}
			for _, b := range l.Blocks {
				// Without data, no checksum shows that there was any.
				if len(b.Data) > 0 && !slices.ContainsFunc(known, func(k Block) bool { return bytes.Equal(k.Data, b.Data) }) {
					return fmt.Errorf("%s was handed %q, which was never written", id, b.Data)
				}
			}
			if handed++; handed > 2*len(known) {
				return fmt.Errorf("%s was handed more than was written", id)
			}
			if err := r.Ack(l); err != nil {
				return err
			}
		}
		if handed < 3 {
			return fmt.Errorf("%s was handed %d blocks, not even the new ones", id, handed)
		}
	}
	for i, s := range q.Stats() {
		sum := s.Delivered + s.Queued
		for _, n := range s.Dropped {
			sum += n
		}
		if s.Queued != 0 || s.Received != sum {
			return fmt.Errorf("reader %d does not balance: %+v", i, s)
		}
	}
	return nil
}

// forgedFile is one file of the queue of smallQueue.
func forgedFile(t testing.TB, dir string, which uint) (name string, content []byte) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), segmentSuffix) || strings.HasSuffix(e.Name(), cursorSuffix) {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(filepath.Ext(a)+a, filepath.Ext(b)+b) })
	name = names[which%uint(len(names))]
	if content, err = os.ReadFile(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
	return name, content
}

// forgedValues are numbers at which arithmetic goes wrong.
func forgedValues() []uint64 {
	return []uint64{0, 1, 5, 9, 10, 11, 100, 1 << 31, 1 << 32, 1 << 40, 1<<62 - 1, 1 << 62, 1 << 63, 1<<64 - 2, 1<<64 - 1}
}

// TestForgedNumbersCostNoTime writes each of these numbers over each field of
// each file of a queue, with valid checksums: the queue opens, leases only
// what was written, and goes on.
func TestForgedNumbersCostNoTime(t *testing.T) {
	dir, blocks := smallQueue(t)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for which := range uint(len(entries) - 1) { // all but the lock
		name, content := forgedFile(t, dir, which)
		for off := 8; off+8 <= len(content); off += 8 {
			if strings.HasSuffix(name, cursorSuffix) && off%slotLen >= cursorLen+24 || off >= segmentLen+recordHeaderLen && strings.HasSuffix(name, segmentSuffix) {
				continue
			}
			for _, value := range forgedValues() {
				broken := copyDir(t, dir)
				replace(t, filepath.Join(broken, name), forge(name, content, off, value))
				t.Run(fmt.Sprintf("%s/%d/%d", name, off, value), func(t *testing.T) { endsWithin(t, broken, blocks, time.Minute) })
			}
		}
	}
}

// FuzzForgedNumbers is the same with any numbers, two at once.
func FuzzForgedNumbers(f *testing.F) {
	f.Add(uint(0), 48, uint64(1<<60), uint(5), 56, uint64(1<<61))
	f.Add(uint(6), 48, uint64(1<<62-1), uint(1), 48, uint64(1<<40))
	f.Add(uint(4), 32, uint64(1<<40), uint(6), 16, uint64(1<<40))
	dir, blocks := smallQueue(f)
	f.Fuzz(func(t *testing.T, first uint, at int, value uint64, second uint, at2 int, value2 uint64) {
		broken := copyDir(t, dir)
		for _, change := range []struct {
			file  uint
			at    int
			value uint64
		}{{first, at, value}, {second, at2, value2}} {
			name, content := forgedFile(t, broken, change.file)
			if change.at < 8 {
				return
			}
			replace(t, filepath.Join(broken, name), forge(name, content, change.at, change.value))
		}
		endsWithin(t, broken, blocks, time.Minute)
	})
}

// TestAForgedSegmentCostsNoTime has what looks like a header, with the longest
// tag, at every few bytes.
func TestAForgedSegmentCostsNoTime(t *testing.T) {
	const size = 8 << 20
	candidate := make([]byte, 20)
	copy(candidate, recordMagic)
	binary.LittleEndian.PutUint32(candidate[16:], maxTag)
	segment := bytes.Repeat(candidate, size/len(candidate))
	reads := &countingReader{ReaderAt: bytes.NewReader(segment)}
	s := &scanner{r: reads, limit: int64(len(segment))}
	if _, _, err := s.next(0); err != io.EOF {
		t.Errorf("got %v", err)
	}
	if reads.bytes > 4*scanWork*size {
		t.Errorf("%d bytes are read of a segment of %d", reads.bytes, size)
	}
}

type countingReader struct {
	io.ReaderAt
	bytes int64
}

func (r *countingReader) ReadAt(b []byte, off int64) (int, error) {
	r.bytes += int64(len(b))
	return r.ReaderAt.ReadAt(b, off)
}
