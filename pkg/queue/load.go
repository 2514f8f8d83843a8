package queue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"collector/pkg/durable"
)

// fill loads the headers of the next blocks, unless enough are loaded already, and of all
// blocks below upTo in any case. Damage on the way is counted and skipped. With upTo,
// nothing is saved before everything is loaded: otherwise the cursor would know less than
// the previous one.
func (r *Reader) fill(upTo uint64) error {
	q := r.q
	r.filling.Lock()
	defer r.filling.Unlock()
	for {
		q.mu.Lock()
		if q.closed || r.atEnd() || (len(r.pending) >= window/2 && r.load.seq >= upTo) {
			q.mu.Unlock()
			return nil
		}
		from := r.load
		limit := from.seg.size
		s := &scanner{salt: from.seg.salt, limit: limit, off: from.off, until: q.until(from.seg)}
		f, err := from.seg.open()
		q.mu.Unlock()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read queue %q: %w", q.dir, err)
		}
		s.r = f
		var found []meta
		ended := true
		if err == nil {
			found, ended, err = scanMetas(s, from)
			_ = f.Close()
		}
		if err != nil && !isDamage(err) {
			return fmt.Errorf("read queue %q: %w", q.dir, err)
		}
		if r.loaded(from, found, s.off, limit, ended) && upTo == 0 {
			_ = r.moved() // the next save retries
		}
	}
}

// isDamage reports whether an error means that bytes are lost, and is not one that may
// pass, such as too many open files.
func isDamage(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EIO) || errors.Is(err, io.EOF)
}

// scanMetas reads the headers of up to a window of blocks. ended says that the
// segment has no more.
func scanMetas(s *scanner, from place) (found []meta, ended bool, err error) {
	seq := from.seq
	for len(found) < window/2 {
		h, off, err := s.next(seq)
		if err == io.EOF {
			return found, true, nil
		}
		if err != nil {
			return found, true, err
		}
		found = append(found, meta{
			seg: from.seg, off: off, size: h.size(), seq: h.seq, before: h.before,
			items: h.items, dataLen: h.dataLen, appended: h.appended, tag: h.tag,
		})
		seq = h.seq + 1
	}
	return found, false, nil
}

// loaded adds what was found from a place on, up to off, to what is pending. It reports
// whether blocks were skipped.
func (r *Reader) loaded(from place, found []meta, off, limit int64, ended bool) (passed bool) {
	q := r.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if r.load != from {
		return false // the cap has taken the place away
	}
	for _, m := range found {
		m.appended = q.ages.loaded(m.seq, m.appended)
		passed = r.skip(m.seq, m.before) || passed
		known := m.seq < r.ahead.end()
		if known && r.ahead.isDone(m.seq, m.tag) {
			passed = true
		} else {
			if known && r.tagQueue(m.tag) == nil && r.ahead.mark(m.tag) != nil {
				r.addTagQueue(m.tag)
			}
			r.push(m)
		}
		r.load.seq++
		r.pass(uint64(m.items))
	}
	r.load.off = off
	if ended {
		passed = r.nextSegment(limit) || passed
	}
	r.arrive()
	if passed {
		r.unsaved = true
	}
	return passed
}

// nextSegment moves on from a segment that has no more records below limit.
func (r *Reader) nextSegment(limit int64) (passed bool) {
	q := r.q
	for i, s := range q.segments {
		if s != r.load.seg {
			continue
		}
		if i+1 < len(q.segments) {
			n := q.segments[i+1]
			if s.doneTo > r.load.seq {
				if s.doneBefore > r.load.before {
					r.received -= min(r.received, s.doneBefore-r.load.before) // a former process was done with them
					r.load.before = s.doneBefore
				}
				r.load.seq = s.doneTo
			}
			passed = r.skip(n.first, n.before)
			r.load.seg, r.load.off = n, segmentLen
			return passed
		}
		if s.size > limit {
			r.load.off = max(r.load.off, limit)
			return false // more was appended in the meantime
		}
	}
	passed = r.skip(q.seq, q.items)
	r.load.off = limit
	return passed
}

// pass moves load past a block of so many items. If the counts on disk do not add up, the
// block counts in addition to them.
func (r *Reader) pass(items uint64) {
	before := r.load.before + items
	if over := before - min(before, r.q.items); over > 0 {
		r.received += over
		before = r.q.items
	}
	r.load.before = before
}

// arrive drops, at the end of the log, the items that the counts on disk have
// promised and that were in no block.
func (r *Reader) arrive() {
	if r.atEnd() && r.load.before < r.q.items {
		r.drop(ReasonDamaged, r.q.items-r.load.before)
		r.load.before = r.q.items
	}
}

// skip moves load to the block seq, with so many items before it. What lies between is
// lost, unless it was finished already.
func (r *Reader) skip(seq, before uint64) (passed bool) {
	if seq <= r.load.seq {
		return false
	}
	before = min(before, r.q.items)
	undone := r.ahead.undone(r.load.seq, seq)
	if undone > 0 && before > r.load.before {
		r.drop(ReasonDamaged, before-r.load.before)
		r.damaged += undone
	}
	r.load.seq = seq
	r.load.before = max(before, r.load.before)
	return true
}

// openFile is a segment opened for reading. The file is nil when it is missing.
type openFile struct {
	seg  *segment
	file *os.File
}

// openSegments opens the segments that the blocks are in. The caller holds
// Queue.mu, under which no segment's file goes away.
func openSegments(metas []meta) ([]openFile, error) {
	var files []openFile
	for _, m := range metas {
		if n := len(files); n > 0 && files[n-1].seg == m.seg {
			continue
		}
		f, err := m.seg.open()
		if err != nil && !isDamage(err) {
			closeAll(files)
			return nil, fmt.Errorf("read queue: %w", err)
		}
		files = append(files, openFile{m.seg, f})
	}
	return files, nil
}

func closeAll(files []openFile) {
	for _, f := range files {
		if f.file != nil {
			_ = f.file.Close()
		}
	}
}

// read reads the blocks of a lease and closes files. A damaged block is taken
// out of the lease and counted.
func (r *Reader) read(l *Lease, files []openFile) {
	defer closeAll(files)
	total := int64(0)
	for _, m := range l.metas {
		total += m.size
	}
	buf := make([]byte, total)
	l.Blocks = make([]Block, 0, len(l.metas))
	good := make([]meta, 0, len(l.metas))
	var bad []meta
	for rest := l.metas; len(rest) > 0; {
		if rest[0].seg != files[0].seg {
			_ = files[0].file.Close()
			files = files[1:]
		}
		n, size := adjacent(rest)
		whole := readAt(files[0].file, buf[:size], rest[0].off)
		for _, m := range rest[:n] {
			record := buf[:m.size:m.size]
			buf = buf[m.size:]
			// Where a part of the run can't be read, the others may be.
			ok := whole || readAt(files[0].file, record, m.off)
			b, valid := decode(record, m)
			if !ok || !valid {
				bad = append(bad, m)
				continue
			}
			b.since = r.q.ages.time(m.appended)
			l.Blocks = append(l.Blocks, b)
			good = append(good, m)
		}
		rest = rest[n:]
	}

	r.q.mu.Lock()
	defer r.q.mu.Unlock()
	l.metas = good
	for _, m := range bad {
		r.drop(ReasonDamaged, uint64(m.items))
		r.damaged++
		r.unsaved = true
	}
}

// adjacent is how many of the first blocks lie side by side, and their size.
func adjacent(metas []meta) (n int, size int64) {
	for i, m := range metas {
		if m.seg != metas[0].seg || m.off != metas[0].off+size {
			return i, size
		}
		size += m.size
	}
	return len(metas), size
}

func readAt(f *os.File, b []byte, off int64) bool {
	if f == nil {
		return false
	}
	n, _ := f.ReadAt(b, off)
	return n == len(b)
}

// decode checks that record is the one that m describes, whole and unchanged.
func decode(record []byte, m meta) (Block, bool) {
	h, ok := parseHeader(record, m.seg.salt, m.tag)
	if !ok || h.seq != m.seq || h.size() != m.size {
		return Block{}, false
	}
	data := record[recordHeaderLen+len(h.tag):]
	if durable.Checksum(0, data) != h.dataSum {
		return Block{}, false
	}
	return Block{Data: data, Tag: h.tag, Items: h.items, MinTime: h.minTime, MaxTime: h.maxTime, recorded: h.appended}, true
}
