package queue

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"collector/pkg/durable"
)

// Open opens or creates the queue in o.Dir, which this process must be alone to
// use. Damage never keeps it from opening: what is lost is counted when a
// reader comes to it, and everything else is leased.
//
// A reader that the queue has not had before takes over from one that is no
// longer among o.Readers, in their order; when there is none, it starts at the
// end. The readers of a new queue start at its beginning.
func Open(o Options) (*Queue, error) {
	return open(o, system{write: (*os.File).WriteAt, sync: (*os.File).Sync, now: time.Now, minSegment: minSegment, tagWindow: tagWindow})
}

func open(o Options, sys system) (*Queue, error) {
	if len(o.Readers) == 0 {
		return nil, fmt.Errorf("open queue %q: it has no readers", o.Dir)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	q := &Queue{
		dir: o.Dir, description: o.Description, log: o.Logger, maxAge: o.MaxAge, policy: o.WhenFull, system: sys,
		wakeSync: make(chan struct{}, 1), done: make(chan struct{}), room: make(chan struct{}),
		ages: newAges(sys.now),
		seq:  1,
	}
	roster := encodeRoster(o.Readers)
	for _, id := range o.Readers {
		q.readers = append(q.readers, &Reader{
			q: q, id: id, name: cursorName(id), roster: roster,
			fileSize: rosterAt + int64(len(roster)), dropped: make(map[string]uint64),
		})
	}
	q.cap = max(cmp.Or(o.MaxBytes, DefaultMaxBytes), q.overhead()+64<<10)
	q.segmentSize = min(max(q.cap/segmentsPerCap, sys.minSegment), maxSegment)
	if err := q.recover(); err != nil {
		for _, s := range q.segments {
			s.close()
		}
		for _, r := range q.readers {
			r.close()
		}
		if q.lock != nil {
			_ = q.lock.Close()
		}
		return nil, fmt.Errorf("open queue %q: %w", o.Dir, err)
	}
	q.mu.Lock()
	q.newFiles = true
	q.needSync()
	q.mu.Unlock()
	q.syncer.Go(q.runSyncer)
	return q, nil
}

// lockDir makes the directory and keeps others out of it.
func (q *Queue) lockDir() error {
	if err := durable.Own(q.dir); err != nil {
		return err
	}
	f, err := durable.Lock(q.dir)
	if errors.Is(err, durable.ErrInUse) {
		return fmt.Errorf("%w by another process or component", ErrInUse)
	}
	if err != nil {
		return err
	}
	q.lock = f
	return nil
}

func (q *Queue) lockPath() string { return filepath.Join(q.dir, durable.LockName) }

func (q *Queue) removed() bool {
	_, err := os.Stat(q.lockPath())
	return errors.Is(err, fs.ErrNotExist)
}

// lookAfterFiles restores a directory that somebody has removed, so that only what was in
// it is lost.
func (q *Queue) lookAfterFiles() {
	if q.removed() && q.writing.TryLock() { // Close holds it while it waits for the syncer
		defer q.writing.Unlock()
		if err := q.remake(); err != nil {
			q.complain("the queue's directory has been removed and cannot be created again; retrying", "err", err)
		}
	}
}

// remake makes the directory and its files again. What was in them is counted as
// damaged when a reader comes to it. The caller holds q.writing.
func (q *Queue) remake() error {
	old := q.lock
	if err := q.lockDir(); err != nil {
		return err
	}
	_ = old.Close()
	q.log.Warn("the queue's directory has been removed while it was in use; what was in it is lost", "dir", q.dir)
	for _, r := range q.readers {
		r.saving.Lock()
		if r.file != nil {
			_ = r.file.Close()
			r.file = nil
		}
		r.saving.Unlock()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range q.readers {
		r.unsaved = true
	}
	if q.active != nil {
		q.retire(q.active)
	}
	q.newFiles = true
	q.needSync()
	q.describe()
	return nil
}

// recover restores q to the state in which the last process left it.
func (q *Queue) recover() error {
	if err := q.lockDir(); err != nil {
		return err
	}
	entries, err := os.ReadDir(q.dir)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	files, err := readCursors(q.dir, names)
	if err != nil {
		return err
	}
	floor, err := q.recoverSegments(names)
	if err != nil {
		return err
	}
	if err := q.recoverReaders(files, floor); err != nil {
		return err
	}
	q.disk += q.overhead()
	for _, r := range q.readers {
		if err := r.resume(); err != nil {
			return err
		}
	}
	q.reap(true)
	q.describe()
	return nil
}

// describe keeps the description. Without it, all works for as long as the
// writer is in the configuration.
func (q *Queue) describe() {
	if q.description.Component == "" {
		return
	}
	if err := describe(q.dir, q.description); err != nil {
		q.complain("cannot store the queue's destination; if its writer is removed, the queue has to be drained with `collector queue drain`", "dir", q.dir, "err", err)
	}
}

// recoverSegments finds the segments and the end of the log. It returns the
// place up to which all readers are known to have been done.
func (q *Queue) recoverSegments(names []string) (floor place, err error) {
	for _, name := range names {
		index, salt, ok := parseSegmentName(name)
		if !ok {
			if strings.HasSuffix(name, segmentSuffix) {
				q.log.Warn("a file in the queue's directory is not one of its segments", "file", name)
			}
			continue
		}
		s := &segment{path: filepath.Join(q.dir, name), index: index, salt: salt}
		q.index = max(q.index, index)
		h, found, err := q.examine(s)
		if err != nil {
			return floor, err
		}
		if !found {
			q.log.Warn("removing a segment of the queue in which nothing is readable", "file", name, "bytes", s.size)
			if err := os.Remove(s.path); err != nil {
				return floor, err
			}
			continue
		}
		s.first, s.before, s.doneTo, s.doneBefore = h.first, h.before, h.doneTo, h.doneBefore
		// No reader can have been done with what came after the segment.
		if h.floor > floor.seq && h.floor <= max(h.first, h.doneTo) {
			floor = place{seq: h.floor, before: h.floorBefore}
		}
		q.segments = append(q.segments, s)
	}
	slices.SortFunc(q.segments, func(a, b *segment) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.index, b.index))
	})
	q.alignSegments()
	for _, s := range q.segments {
		if err := s.finishEmptying(); err != nil {
			return floor, err
		}
	}
	if n := len(q.segments); n > 0 {
		if err := q.recoverEnd(q.segments[n-1]); err != nil {
			return floor, err
		}
	}
	for _, s := range q.segments {
		s.start = q.end
		q.end += s.size - segmentLen
		q.disk += s.size
	}
	return floor, nil
}

// alignSegments ensures that the segments, which are in order, do not overlap, whatever
// they say: a reader that is past the end of one is nowhere past the next one.
func (q *Queue) alignSegments() {
	for i, s := range q.segments {
		if i > 0 {
			s.before = max(s.before, q.segments[i-1].before)
		}
		if s.doneTo <= s.first {
			s.doneTo, s.doneBefore = 0, 0
		}
	}
	for i := range max(len(q.segments), 1) - 1 {
		s, n := q.segments[i], q.segments[i+1]
		if s.doneTo > 0 {
			s.doneTo, s.doneBefore = min(s.doneTo, n.first), min(s.doneBefore, n.before)
		}
	}
}

// examine reads the header of s or, if that is damaged, reconstructs it from the first
// record. found is false when there is neither.
func (q *Queue) examine(s *segment) (h segmentHeader, found bool, err error) {
	f, err := durable.Open(s.path)
	if err != nil {
		return h, false, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return h, false, err
	}
	s.size = info.Size()
	head := make([]byte, segmentLen)
	if n, _ := f.ReadAt(head, 0); n == segmentLen {
		if h, ok := parseSegmentHeader(head, s.salt); ok && h.index == s.index {
			return h, true, nil
		}
	}
	sc := &scanner{r: f, salt: s.salt, limit: s.size}
	r, _, err := sc.next(0)
	if err == nil {
		return segmentHeader{first: r.seq, before: r.before}, true, nil
	}
	if isDamage(err) {
		return h, false, nil
	}
	return h, false, err
}

// recoverEnd finds the end of the last segment, cuts off what follows, and
// makes the segment the active one.
func (q *Queue) recoverEnd(s *segment) error {
	f, err := durable.OpenFile(s.path, os.O_RDWR)
	if err != nil {
		return err
	}
	q.seq, q.items = max(s.first, s.doneTo), max(s.before, s.doneBefore)
	// A segment has a record for each block, so that its size bounds their numbers.
	sc := &scanner{r: f, salt: s.salt, limit: s.size, off: segmentLen, until: s.first + uint64(s.size/recordHeaderLen)}
	end := int64(segmentLen)
	for {
		h, _, err := sc.next(q.seq)
		if err != nil {
			if !isDamage(err) {
				_ = f.Close()
				return err
			}
			break
		}
		if h.seq > q.seq {
			q.items = max(q.items, min(h.before, maxNumber)) // blocks are missing
		}
		q.seq, q.items, end = h.seq+1, q.items+uint64(h.items), sc.off
	}
	if s.size > end {
		q.cutOff(f, s, end)
		if err := f.Truncate(end); err != nil {
			_ = f.Close()
			return err
		}
	}
	s.size = end
	s.file = f
	q.active = s
	head := make([]byte, segmentLen)
	if n, _ := f.ReadAt(head, 0); n == segmentLen {
		if h, ok := parseSegmentHeader(head, s.salt); ok && h.doneTo == 0 {
			return nil
		}
	}
	q.retire(s) // not to be written to without its header, or when it is emptied
	return nil
}

// cutOff reports the bytes after the last record. The start of a record is an append that
// a crash cut short: its caller never got an answer. Anything else is damage, to an
// unknown number of blocks.
func (q *Queue) cutOff(f io.ReaderAt, s *segment, end int64) {
	b := make([]byte, min(s.size-end, recordHeaderLen+maxTag))
	n, _ := f.ReadAt(b, end)
	b = b[:n]
	h, whole := parseHeader(b, s.salt, "")
	torn := (whole && end+h.size() > s.size) ||
		(len(b) < recordHeaderLen && strings.HasPrefix(recordMagic, string(b[:min(len(b), 4)])))
	if torn {
		q.log.Info("the last block of the queue was incomplete; it had not been acknowledged", "file", filepath.Base(s.path), "bytes", s.size-end)
		return
	}
	q.log.Warn("the end of the queue is damaged", "file", filepath.Base(s.path), "bytes", s.size-end)
	for _, r := range q.readers {
		r.damaged++
	}
}

// recoverReaders gives each reader its place.
func (q *Queue) recoverReaders(files map[string]cursorFile, floor place) error {
	if err := q.takeOver(files); err != nil {
		return err
	}
	known := make(map[string]bool)
	for _, f := range files {
		for _, id := range f.roster {
			known[id] = true
		}
	}
	// No new block may take the number of one that a cursor knows.
	for _, r := range q.readers {
		if f := files[r.name]; f.ok {
			q.advance(f.cursor.end(), f.cursor.before)
		}
	}
	q.advance(floor.seq, floor.before)
	for _, r := range q.readers {
		f, exists := files[r.name]
		delete(files, r.name)
		c := f.cursor
		switch {
		case exists && f.ok:
		case exists || known[r.id] || len(known) == 0:
			if exists {
				q.log.Warn("the position of a reader of the queue is damaged; starting from the oldest block", "reader", r.id, "file", r.name)
			}
			c = cursor{seq: q.seq, before: q.items}
			if len(q.segments) > 0 {
				c.seq, c.before = q.segments[0].first, q.segments[0].before
			}
			c.rest = c.seq
		default:
			c = cursor{seq: q.seq, rest: q.seq, before: q.items}
		}
		if c.seq < floor.seq {
			c = cursor{generation: c.generation, seq: floor.seq, rest: floor.seq, before: floor.before}
		}
		r.ahead = c
		r.generation = c.generation
		r.unsaved = !f.ok || !slices.Equal(f.roster, parseRoster(r.roster))
	}
	for name := range files {
		if err := os.Remove(filepath.Join(q.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// advance moves the end of the log to seq, if that is further on. The segment in use
// can't record the gap, so another one has to.
func (q *Queue) advance(seq, before uint64) {
	if seq <= q.seq && before <= q.items {
		return
	}
	q.seq, q.items = max(q.seq, seq), max(q.items, before)
	if q.active != nil {
		q.retire(q.active)
	}
}

// takeOver gives the cursors of readers that no longer exist to new ones, both in
// their order.
func (q *Queue) takeOver(files map[string]cursorFile) error {
	current := make(map[string]bool)
	for _, r := range q.readers {
		current[r.name] = true
	}
	var gone []string
	order := make(map[string]int)
	for name, f := range files {
		if !current[name] && f.ok {
			gone = append(gone, name)
		}
		for i, id := range f.roster {
			order[cursorName(id)] = i
		}
	}
	slices.SortFunc(gone, func(a, b string) int {
		return cmp.Or(cmp.Compare(order[a], order[b]), cmp.Compare(a, b))
	})
	for _, r := range q.readers {
		if _, exists := files[r.name]; exists || len(gone) == 0 {
			continue
		}
		old := gone[0]
		gone = gone[1:]
		if err := os.Rename(filepath.Join(q.dir, old), filepath.Join(q.dir, r.name)); err != nil {
			return err
		}
		files[r.name] = files[old]
		delete(files, old)
	}
	return nil
}

// resume loads what the reader's former process had not done with.
func (r *Reader) resume() error {
	q := r.q
	c := r.ahead
	r.load = place{seq: c.seq, before: c.before}
	for i, s := range q.segments {
		if i == 0 || s.first <= c.seq {
			r.load.seg, r.load.off = s, segmentLen
		}
	}
	if r.load.seg == nil {
		r.skip(q.seq, q.items)
	}
	if c.unsaved > 0 {
		r.drop(ReasonFull, c.unsaved)
		r.unsaved = true
	}
	if err := r.fill(c.end()); err != nil {
		return err
	}
	r.arrive()
	r.received = r.queued()
	for _, n := range r.dropped {
		r.received += n
	}
	if err := r.save(); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return err
		}
		q.log.Warn("cannot save the position of a reader of the queue; retrying", "reader", r.id, "err", err)
	}
	return nil
}
