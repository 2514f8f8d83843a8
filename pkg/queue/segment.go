package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"collector/pkg/durable"
)

const (
	segmentSuffix  = ".seg"
	maxSegment     = 8 << 20
	minSegment     = 4 << 10
	segmentsPerCap = 16 // a full queue has about so many segments
)

// segment is one file of the log. Its fields are guarded by Queue.mu, except
// for those that never change.
type segment struct {
	path   string
	index  uint64
	salt   uint32
	first  uint64   // seq of the first record
	before uint64   // items in all earlier records
	size   int64    // of the file, header included
	start  int64    // where its records begin in the count of Queue.end
	file   *os.File // while it is written to or not yet synced
	synced int64    // how much of size fsync has covered
	gone   bool     // no longer part of the queue
	// Where doneTo is above first, the segment has been emptied, as all readers
	// were done with the blocks from first up to doneTo.
	doneTo, doneBefore uint64

	// missing is set when a reader has not found the file: nothing more must be
	// written to it.
	missing atomic.Bool
}

// open opens the segment for reading. The caller holds Queue.mu, under which the queue
// itself does not remove the file.
func (s *segment) open() (*os.File, error) {
	f, err := durable.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		s.missing.Store(true)
	}
	return f, err
}

func segmentName(index uint64, salt uint32) string {
	return fmt.Sprintf("%016x-%08x%s", index, salt, segmentSuffix)
}

func parseSegmentName(name string) (index uint64, salt uint32, ok bool) {
	_, err := fmt.Sscanf(name, "%016x-%08x"+segmentSuffix, &index, &salt)
	return index, salt, err == nil && name == segmentName(index, salt)
}

// pos is where the byte at off in the file lies in the count of Queue.end.
func (s *segment) pos(off int64) int64 { return s.start + off - segmentLen }

// startSegment begins a new active segment. The caller holds q.writing.
func (q *Queue) startSegment() error {
	q.mu.Lock()
	s := &segment{
		index:  q.index + 1,
		salt:   rand.Uint32(),
		first:  q.seq,
		before: q.items,
		size:   segmentLen,
		start:  q.end,
	}
	head := q.header(s)
	q.mu.Unlock()

	s.path = filepath.Join(q.dir, segmentName(s.index, s.salt))
	f, err := createSegment(s.path)
	if errors.Is(err, fs.ErrNotExist) && q.remake() == nil {
		f, err = createSegment(s.path)
	}
	if err != nil {
		return fmt.Errorf("start segment: %w", err)
	}
	if _, err := q.system.write(f, head, 0); err != nil {
		_ = f.Close()
		_ = os.Remove(s.path)
		return fmt.Errorf("start segment: %w", err)
	}
	s.file = f

	q.mu.Lock()
	defer q.mu.Unlock()
	q.index = s.index
	if q.active != nil {
		q.retire(q.active)
	}
	q.active = s
	q.segments = append(q.segments, s)
	q.disk += s.size
	q.newFiles = true
	return nil
}

func createSegment(path string) (*os.File, error) {
	return durable.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// header makes the header of a segment. The caller holds q.mu.
func (q *Queue) header(s *segment) []byte {
	floor, before := q.seq, q.items
	for _, r := range q.readers {
		if seq, items := r.cursor(); seq < floor {
			floor, before = seq, items
		}
	}
	return segmentHeader{
		index: s.index, salt: s.salt, first: s.first, before: s.before,
		floor: floor, floorBefore: before, doneTo: s.doneTo, doneBefore: s.doneBefore,
	}.encode()
}

// retire ends writing to s. Its file is left open for the next sync where it
// holds what no sync has covered. The caller holds q.mu.
func (q *Queue) retire(s *segment) {
	if s.synced < s.size {
		q.unsynced = append(q.unsynced, s)
	} else {
		s.close()
	}
	if q.active == s {
		q.active = nil
	}
}

func (s *segment) close() {
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
}

// detach removes the i-th segment from the queue. The caller holds q.mu and passes the
// segment to unlink without it.
func (q *Queue) detach(i int) *segment {
	s := q.segments[i]
	q.leave(i)
	q.segments = slices.Delete(q.segments, i, i+1)
	s.gone = true
	s.close()
	q.doomed++
	q.unsynced = slices.DeleteFunc(q.unsynced, func(u *segment) bool { return u == s })
	if q.active == s {
		q.active = nil
	}
	return s
}

// leave moves the readers that are at the end of the i-th segment on to the next one,
// which alone can show them that nothing is missing. The caller holds q.mu.
func (q *Queue) leave(i int) {
	if i+1 == len(q.segments) {
		return
	}
	s, n := q.segments[i], q.segments[i+1]
	for _, r := range q.readers {
		if r.load.seg == s && r.load.seq == n.first {
			r.load = place{seg: n, off: segmentLen, seq: n.first, before: max(r.load.before, n.before)}
		}
	}
}

// unlink removes the files of detached segments. What they took counts against
// the cap until they are removed.
func (q *Queue) unlink(segments []*segment) {
	for _, s := range segments {
		if err := os.Remove(s.path); err != nil && !os.IsNotExist(err) {
			q.complain("cannot remove a segment of the queue", "err", err)
		}
		q.mu.Lock()
		q.disk -= s.size
		q.doomed--
		q.mu.Unlock()
	}
	if len(segments) > 0 {
		q.signalRoom()
	}
}

// signalRoom makes the appends that wait for room look again.
func (q *Queue) signalRoom() {
	q.mu.Lock()
	defer q.mu.Unlock()
	close(q.room)
	q.room = make(chan struct{})
}

// reap removes the segments that all readers are past, and begins the active
// one again when nothing at all is waiting, which keeps its pages from ever
// being written out. A small active segment is left alone unless all is set.
func (q *Queue) reap(all bool) {
	q.mu.Lock()
	var doomed []*segment
	for len(q.segments) > 1 && q.lowest() >= q.segments[1].first {
		doomed = append(doomed, q.detach(0))
	}
	a := q.active
	held := q.holdsTags()
	reuse := q.idle() && a != nil && a.size > segmentLen && (all || a.size >= min(reuseSize, q.segmentSize))
	q.mu.Unlock()
	q.unlink(doomed)
	if held && len(doomed) == 0 {
		q.signalRoom() // there may be something to empty
	}

	if !reuse {
		return
	}
	// An append in progress means that the queue is not idle after all, unless there is
	// no room for it; then it handles the segment itself.
	if q.writing.TryLock() {
		q.reuse()
		q.writing.Unlock()
	}
	q.signalRoom()
}

// reuse empties the active segment if nothing is waiting. The caller holds
// q.writing, so that q.mu can be held for the few system calls without making
// an append wait for it.
func (q *Queue) reuse() {
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.active
	if a == nil || a.missing.Load() || a.size == segmentLen || len(q.segments) != 1 || !q.idle() {
		return
	}
	// A crash in here leaves a header that is out of date; the cursors say where to
	// continue. A file that is cut down to nothing would be written to the disk by ext4
	// when it is next closed, by a reader.
	if err := a.file.Truncate(segmentLen); err != nil {
		q.complain("cannot empty a segment of the queue", "err", err)
		return
	}
	q.disk -= a.size
	a.size, a.synced = 0, 0
	a.first, a.before, a.start = q.seq, q.items, q.end
	a.size = segmentLen
	q.disk += a.size
	if _, err := q.system.write(a.file, q.header(a), 0); err != nil {
		// Without its header the segment must not be written to.
		q.complain("cannot restart a segment of the queue", "err", err)
		q.retire(a)
	}
	for _, r := range q.readers {
		r.load = place{seg: a, off: segmentLen, seq: q.seq, before: q.items}
	}
}

// until is above the seq of every block of s. The caller holds q.mu.
func (q *Queue) until(s *segment) uint64 {
	if i := slices.Index(q.segments, s); i >= 0 && i+1 < len(q.segments) {
		return q.segments[i+1].first
	}
	return q.seq
}

// lowest is the first block that some reader is not done with. The caller
// holds q.mu.
func (q *Queue) lowest() uint64 {
	low := q.seq
	for _, r := range q.readers {
		seq, _ := r.cursor()
		low = min(low, seq)
	}
	return low
}

// idle reports whether all readers are done with all blocks. The caller holds q.mu.
func (q *Queue) idle() bool { return q.lowest() == q.seq }
