package journalfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Entry is an entry without its fields.
type Entry struct {
	Position  // as of when it has been read
	Realtime  uint64
	Monotonic uint64
	Boot      ID
	XorHash   uint64

	size uint64 // of its object
}

// Cursor is the entry's cursor, as journalctl shows it.
func (f *File) Cursor(e Entry) Cursor {
	return Cursor{SeqnumID: f.head.SeqnumID, Seqnum: e.Seqnum, Boot: e.Boot, Monotonic: e.Monotonic, Realtime: e.Realtime, XorHash: e.XorHash}
}

// array is an entry array.
type array struct {
	offset uint64 // 0: none
	first  uint64 // number of its first entry
	length uint64
}

// openArray reads the header of an entry array.
func (f *File) openArray(offset, first uint64) error {
	o, err := f.objectOf(typeArray, offset, arrayHeader+f.offsetSize())
	if err != nil {
		return err
	}
	f.array = array{offset: offset, first: first, length: (o.size - arrayHeader) / f.offsetSize()}
	return nil
}

// slot finds the offset of the entry with a number.
func (f *File) slot(n uint64) (uint64, error) {
	if f.array.offset == 0 || n < f.array.first {
		if f.array = (array{}); f.head.array == 0 {
			return 0, damaged(0, "the header leads to no entries")
		}
		if err := f.openArray(f.head.array, 0); err != nil {
			return 0, err
		}
	}
	for n-f.array.first >= f.array.length {
		at := f.array.offset
		next, err := f.u64(at + objectHeader)
		switch {
		case err != nil:
			return 0, err
		case next <= at: // arrays are only ever added at the end
			return 0, damaged(at, "the chain of entry arrays is broken")
		}
		if err := f.openArray(next, f.array.first+f.array.length); err != nil {
			return 0, err
		}
	}
	return f.offset(f.array.offset + arrayHeader + (n-f.array.first)*f.offsetSize())
}

// entryAt reads the entry at an offset, which has a number.
func (f *File) entryAt(offset, n uint64) (Entry, error) {
	o, err := f.objectOf(typeEntry, offset, entryHeader)
	if err != nil {
		return Entry{}, err
	}
	b, err := f.bytes(offset, entryHeader)
	if err != nil {
		return Entry{}, err
	}
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	e := Entry{
		Position: Position{Entries: n + 1, Offset: offset, Seqnum: u64(16)},
		Realtime: u64(24), Monotonic: u64(32), Boot: ID(b[40:56]), XorHash: u64(56), size: o.size,
	}
	if e.Seqnum == 0 || e.Realtime == 0 || e.Realtime > maxRealtime {
		return e, damaged(offset, "an entry has no valid time or number")
	}
	return e, nil
}

// maxRealtime is what systemd takes as the last valid time, that of the year 9999.
const maxRealtime = 253402300799 * 1e6

// entry reads the entry with a number.
func (f *File) entry(n uint64) (Entry, error) {
	offset, err := f.slot(n)
	if err != nil {
		return Entry{}, err
	}
	return f.entryAt(offset, n)
}

// Next reads the next entry, or returns io.EOF if there is none yet. After another
// error, it fails again until Skip is called.
func (f *File) Next() (Entry, error) {
	if f.next.Entries >= f.head.Entries {
		return Entry{}, io.EOF
	}
	if f.searching {
		return f.search()
	}
	e, err := f.entry(f.next.Entries)
	if err == nil && e.Offset <= f.next.Offset {
		err = damaged(e.Offset, "entries are not in the order of the file")
	}
	if err != nil {
		return Entry{}, err
	}
	f.next = e.Position
	return e, nil
}

// Head reads the first entry.
func (f *File) Head() (Entry, error) {
	if f.head.Entries == 0 {
		return Entry{}, io.EOF
	}
	return f.entry(0)
}

// Position is how far the file has been read.
func (f *File) Position() Position { return f.next }

// Skip continues after what Next failed at, and returns how many entries that costs.
func (f *File) Skip() (lost uint64) {
	n := f.next.Entries
	if f.searching { // to the end
		f.next.Entries = f.head.Entries
		return f.head.Entries - n
	}
	if offset, err := f.slot(n); err != nil || offset == 0 {
		f.searching, f.searched = true, max(f.next.Offset, f.head.size)
		return 0
	}
	f.next.Entries++
	return 1
}

// search looks for the next entry object. Between objects it searches in steps of their
// alignment.
func (f *File) search() (Entry, error) {
	at := f.searched
	for at+objectHeader <= f.head.end {
		o, err := f.object(at)
		if err != nil {
			if !isDamage(err) {
				return Entry{}, err
			}
			at += 8
			continue
		}
		if o.kind == typeEntry {
			e, err := f.entryAt(at, f.next.Entries)
			switch {
			case err != nil && !isDamage(err):
				return Entry{}, err
			case err == nil && e.Seqnum > f.next.Seqnum && e.Seqnum <= f.head.TailSeqnum && f.refers(e):
				f.next, f.searched = e.Position, at+align(o.size)
				return e, nil
			}
		}
		at += align(o.size)
	}
	f.searched = at
	return Entry{}, damaged(f.next.Offset, fmt.Sprintf("%d entries after it are not to be found", f.head.Entries-f.next.Entries))
}

func isDamage(err error) bool {
	var d *DamageError
	return errors.As(err, &d)
}

// refers reports whether the fields of an entry are there: text that looks like an
// entry has none.
func (f *File) refers(e Entry) bool {
	n := min((e.size-entryHeader)/f.itemSize(), maxFields)
	for i := range n {
		offset, err := f.offset(e.Offset + entryHeader + i*f.itemSize())
		if err == nil {
			_, err = f.objectOf(typeData, offset, f.dataHeader())
		}
		if err != nil {
			return false
		}
	}
	return n > 0
}

func align(size uint64) uint64 { return (size + 7) &^ 7 }

// Resume continues after a position. If the entry there is not the one that was read, it
// continues at the first with a higher number.
func (f *File) Resume(p Position) {
	if p.Entries > 0 && p.Entries <= f.head.Entries {
		if e, err := f.entry(p.Entries - 1); err == nil && e.Position == p {
			f.next = p
			return
		}
	}
	f.SeekAfter(func(e Entry) bool { return e.Seqnum <= p.Seqnum })
	if f.next.Entries == 0 && f.head.HeadSeqnum <= p.Seqnum { // what was read is no longer readable
		f.next = Position{Entries: min(p.Entries, f.head.Entries), Offset: p.Offset &^ 7, Seqnum: p.Seqnum}
	}
}

// SeekAfter goes to the first entry for which before is false. before must be true
// for no entry after one for which it is false.
func (f *File) SeekAfter(before func(Entry) bool) {
	low, high := uint64(0), f.head.Entries
	var last Position
	for low < high {
		mid := low + (high-low)/2
		e, at := f.readable(mid, high)
		if at == high {
			high = mid // nothing can be read from here on
			continue
		}
		if before(e) {
			low, last = at+1, e.Position
		} else {
			high = mid
		}
	}
	f.next = Position{Entries: low, Offset: last.Offset, Seqnum: last.Seqnum}
}

// readable reads the first entry from a number on that can be read, and returns its
// number; limit if there is none near.
func (f *File) readable(n, limit uint64) (Entry, uint64) {
	const near = 16
	for i := n; i < min(limit, n+near); i++ {
		if e, err := f.entry(i); err == nil {
			return e, i
		}
	}
	return Entry{}, limit
}
