package queue

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"
)

const (
	// maxTagQueues bounds the tags that a reader holds apart from the others, in
	// memory and in the file of its cursor.
	maxTagQueues = 64
	// tagWindow is how many waiting blocks of a tag queue are known one by one; of
	// the others, a run for each segment is known.
	tagWindow = 256
)

// tag queue has the waiting blocks of one tag apart from the others, so that the
// others can pass them. Its fields are guarded by Queue.mu.
type tagQueue struct {
	tag    string
	window int    // how many blocks are known one by one at least, when there are more
	held   bool   // nothing of it is leased
	metas  []meta // by seq
	runs   []run  // what follows metas, by seq
}

// run is what is known of a tag queue's blocks in one segment that are not loaded.
type run struct {
	seg      *segment
	off      int64 // at or before the first of them
	seq      uint64
	before   uint64 // items in all blocks before the first of them
	blocks   int
	items    uint64
	size     int64 // of the records
	appended int64 // when the first of them was
}

// Hold keeps the blocks of a tag from being leased until Free, and lets the others pass
// them. It returns false, and does nothing, when that is so for as many tags as a reader
// can keep apart, or while a lease of the tag is out: a tag queue only handles blocks
// that are finished in order.
func (r *Reader) Hold(tag string) bool {
	r.q.mu.Lock()
	defer r.q.mu.Unlock()
	l := r.tagQueue(tag)
	if r.out(tag) || l == nil && len(r.tagQueues) >= maxTagQueues {
		return false
	}
	if l == nil {
		l = r.addTagQueue(tag)
		kept := r.pending[:0]
		for _, m := range r.pending {
			if m.tag != tag {
				kept = append(kept, m)
				continue
			}
			r.count(m, -1)
			// Some may be missing in between, such as damaged ones, which a run could not
			// record.
			l.metas = append(l.metas, m)
		}
		r.keep(kept)
		r.unsaved = true
	}
	l.held = true
	r.wakeAll() // there may be others to load
	return true
}

// Free lets the blocks of a tag be leased again. They take turns with the
// others until they have caught up.
func (r *Reader) Free(tag string) {
	r.q.mu.Lock()
	defer r.q.mu.Unlock()
	if l := r.tagQueue(tag); l != nil {
		l.held = false
		r.closeTagQueues()
		r.wakeAll()
	}
}

// tag queue returns the tag queue of a tag, or nil. The caller holds Queue.mu.
func (r *Reader) tagQueue(tag string) *tagQueue {
	for _, l := range r.tagQueues {
		if l.tag == tag {
			return l
		}
	}
	return nil
}

func (r *Reader) addTagQueue(tag string) *tagQueue {
	l := &tagQueue{tag: tag, window: r.q.system.tagWindow}
	r.tagQueues = append(r.tagQueues, l)
	return l
}

// unloaded reports whether a tag queue that may lease blocks has only such as are
// not loaded. The caller holds Queue.mu.
func (r *Reader) unloaded() bool {
	return slices.ContainsFunc(r.tagQueues, func(l *tagQueue) bool { return !l.held && len(l.metas) == 0 && len(l.runs) > 0 })
}

// closeTagQueues forgets the tag queues that have caught up. The caller holds Queue.mu.
func (r *Reader) closeTagQueues() {
	n := len(r.tagQueues)
	r.tagQueues = slices.DeleteFunc(r.tagQueues, func(l *tagQueue) bool {
		return !l.held && len(l.metas) == 0 && len(l.runs) == 0 && !r.out(l.tag)
	})
	r.unsaved = r.unsaved || len(r.tagQueues) < n
}

// out reports whether a lease of the tag is out. The caller holds Queue.mu.
func (r *Reader) out(tag string) bool {
	return slices.ContainsFunc(r.leases, func(l *Lease) bool { return len(l.metas) > 0 && l.metas[0].tag == tag })
}

// add adds a block that follows all others of the tag queue.
func (l *tagQueue) add(m meta) {
	if len(l.runs) == 0 && len(l.metas) < l.window {
		l.metas = append(l.metas, m)
		return
	}
	if n := len(l.runs); n == 0 || l.runs[n-1].seg != m.seg {
		l.runs = append(l.runs, run{seg: m.seg, off: m.off, seq: m.seq, before: m.before, appended: m.appended})
	}
	last := &l.runs[len(l.runs)-1]
	last.blocks++
	last.items += uint64(m.items)
	last.size += m.size
}

// putBack adds blocks that had been leased.
func (l *tagQueue) putBack(metas []meta) {
	l.metas = append(l.metas, metas...)
	slices.SortFunc(l.metas, func(a, b meta) int { return cmp.Compare(a.seq, b.seq) })
}

// first is the tag queue's first block that is on disk. The caller holds Queue.mu.
func (l *tagQueue) first() (seq, before uint64, ok bool) {
	for _, m := range l.metas {
		if !m.seg.gone {
			return m.seq, m.before, true
		}
	}
	if len(l.runs) > 0 {
		return l.runs[0].seq, l.runs[0].before, true
	}
	return 0, 0, false
}

// oldest is when the tag queue's first block was appended; 0 when it has none.
func (l *tagQueue) oldest() int64 {
	switch {
	case len(l.metas) > 0:
		return l.metas[0].appended
	case len(l.runs) > 0:
		return l.runs[0].appended
	}
	return 0
}

// total sums up what is waiting.
func (l *tagQueue) total() (blocks int, items uint64, size int64) {
	for _, m := range l.metas {
		items += uint64(m.items)
		size += m.size
	}
	blocks = len(l.metas)
	for _, run := range l.runs {
		blocks += run.blocks
		items += run.items
		size += run.size
	}
	return blocks, items, size
}

// lose drops what the tag queue has in the segment s, and returns its items.
func (l *tagQueue) lose(s *segment) (items uint64) {
	l.metas = slices.DeleteFunc(l.metas, func(m meta) bool {
		if m.seg == s {
			items += uint64(m.items)
		}
		return m.seg == s
	})
	l.runs = slices.DeleteFunc(l.runs, func(run run) bool {
		if run.seg == s {
			items += run.items
		}
		return run.seg == s
	})
	return items
}

// ready is what the tag queue has to lease, as a group.
func (l *tagQueue) ready() group {
	g := group{tag: l.tag, blocks: len(l.metas)}
	for _, m := range l.metas {
		g.items += m.items
		g.bytes += m.dataLen
	}
	return g
}

// chooseTagQueue returns the tag queue that should lease blocks now, or the time after
// which to look again; 0 when nothing is waiting. The caller holds Queue.mu.
func (r *Reader) chooseTagQueue(w BatchLimits, now int64) (l *tagQueue, wait int64) {
	for _, l := range r.tagQueues {
		if l.held || len(l.metas) == 0 || r.out(l.tag) {
			continue
		}
		age := now - l.metas[0].appended
		if age >= int64(w.MaxWait) || age < 0 || len(l.runs) > 0 || r.full(l.ready(), w) {
			return l, 0
		}
		if left := int64(w.MaxWait) - age; wait == 0 || left < wait {
			wait = left
		}
	}
	return nil, wait
}

// takeFromTagQueue moves the first blocks out of a tag queue, within the limits, and lets
// the other tag queues go first the next time. The caller holds Queue.mu.
func (r *Reader) takeFromTagQueue(l *tagQueue, w BatchLimits) []meta {
	items, bytes, n := 0, 0, 0
	for _, m := range l.metas {
		if n > 0 && (bytes+m.dataLen > maxLease ||
			(w.MaxItems > 0 && items+m.items > w.MaxItems) ||
			(w.MaxBytes > 0 && bytes+m.dataLen > w.MaxBytes)) {
			break
		}
		items += m.items
		bytes += m.dataLen
		n++
	}
	taken := slices.Clone(l.metas[:n])
	l.metas = append(l.metas[:0], l.metas[n:]...)
	i := slices.Index(r.tagQueues, l)
	r.tagQueues = append(append(r.tagQueues[:i], r.tagQueues[i+1:]...), l)
	return taken
}

// fillTagQueues loads the next blocks of tag queues that may lease some.
func (r *Reader) fillTagQueues() error {
	q := r.q
	r.filling.Lock()
	defer r.filling.Unlock()
	for {
		q.mu.Lock()
		i := slices.IndexFunc(r.tagQueues, func(l *tagQueue) bool { return !l.held && len(l.metas) == 0 && len(l.runs) > 0 })
		if i < 0 || q.closed {
			q.mu.Unlock()
			return nil
		}
		l := r.tagQueues[i]
		from := l.runs[0]
		limit := from.seg.size
		s := &scanner{salt: from.seg.salt, limit: limit, off: from.off, until: q.until(from.seg)}
		f, err := from.seg.open()
		q.mu.Unlock()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read queue %q: %w", q.dir, err)
		}
		s.r = f
		var found []meta
		if err == nil {
			found, err = scanTagQueue(s, from, l.tag, l.window)
			_ = f.Close()
		}
		if err != nil && !isDamage(err) {
			return fmt.Errorf("read queue %q: %w", q.dir, err)
		}
		if r.loadedTagQueue(l, from, found, s.off) {
			_ = r.moved() // the next save retries
		}
	}
}

// scanTagQueue reads the headers of the next blocks of a run.
func scanTagQueue(s *scanner, from run, tag string, window int) (found []meta, err error) {
	seq := from.seq
	for len(found) < min(window/2, from.blocks) {
		h, off, err := s.next(seq)
		if err != nil {
			s.off = s.limit // what can't be found now is not to be looked for again
			if err == io.EOF {
				err = nil
			}
			return found, err
		}
		if seq = h.seq + 1; h.tag != tag {
			continue
		}
		found = append(found, meta{
			seg: from.seg, off: off, size: h.size(), seq: h.seq, before: h.before,
			items: h.items, dataLen: h.dataLen, appended: h.appended, tag: tag,
		})
	}
	return found, nil
}

// loadedTagQueue moves blocks that were found from a run to its tag queue. Missing ones
// are counted as damaged. It reports whether there was any such.
func (r *Reader) loadedTagQueue(l *tagQueue, from run, found []meta, off int64) (passed bool) {
	r.q.mu.Lock()
	defer r.q.mu.Unlock()
	if len(l.runs) == 0 || l.runs[0].seg != from.seg || l.runs[0].seq != from.seq {
		return false // the cap has taken it away
	}
	first := &l.runs[0]
	for i := range found {
		found[i].appended = r.q.ages.loaded(found[i].seq, found[i].appended)
	}
	l.metas = append(l.metas, found...)
	for _, m := range found {
		first.blocks--
		first.items -= min(first.items, uint64(m.items))
		first.size -= m.size
		first.seq, first.before, first.appended = m.seq+1, m.before+uint64(m.items), m.appended
	}
	first.off = off
	if missing := from.blocks - len(found); missing > 0 && len(found) < l.window/2 {
		// The segment has no more of those that were there when it was scanned.
		items, size := from.items, from.size
		for _, m := range found {
			items -= min(items, uint64(m.items))
			size -= m.size
		}
		r.drop(ReasonDamaged, items)
		r.damaged += uint64(missing)
		first.blocks -= missing
		first.items -= items
		first.size -= size
		passed, r.unsaved = true, true
	}
	if first.blocks == 0 {
		l.runs = slices.Delete(l.runs, 0, 1)
	}
	return passed
}

// tagMark is how far a tag queue has come.
type tagMark struct {
	tag uint64 // hash
	seq uint64 // the first block of the tag that is not done with
}

func hashTag(tag string) uint64 {
	sum := sha256.Sum256([]byte(tag))
	return binary.LittleEndian.Uint64(sum[:])
}

// tagMarks is how far the tag queues have come. The caller holds Queue.mu.
func (r *Reader) tagMarks() []tagMark {
	var marks []tagMark
	for _, l := range r.tagQueues {
		seq, _, ok := l.first()
		if !ok {
			seq = r.load.seq
		}
		for _, lease := range r.leases {
			for _, m := range lease.metas {
				if m.tag == l.tag && !m.seg.gone {
					seq = min(seq, m.seq)
				}
			}
		}
		marks = append(marks, tagMark{tag: hashTag(l.tag), seq: seq})
	}
	return marks
}

// rest is the first block that is not done with of those whose tags have no
// tag queue. The caller holds Queue.mu.
func (r *Reader) rest() uint64 {
	seq := r.load.seq
	if len(r.pending) > 0 {
		seq = min(seq, r.pending[0].seq)
	}
	for _, lease := range r.leases {
		for _, m := range lease.metas {
			if r.tagQueue(m.tag) == nil && !m.seg.gone {
				seq = min(seq, m.seq)
			}
		}
	}
	return seq
}

// chooseAndTake takes the blocks to lease now, or returns the time after which to look
// again; 0 when nothing is waiting. Tag queues and all others take turns. The caller holds
// Queue.mu.
func (r *Reader) chooseAndTake(w BatchLimits, now int64) (metas []meta, wait time.Duration) {
	tag, wait, ok := r.choose(w, now)
	if len(r.tagQueues) == 0 && !ok {
		return nil, wait
	}
	l, left := r.chooseTagQueue(w, now)
	switch {
	case l != nil && (r.tagTurn || !ok):
		r.tagTurn = false
		return r.takeFromTagQueue(l, w), 0
	case ok:
		r.tagTurn = true
		return r.take(tag, w), 0
	case wait == 0 || left > 0 && time.Duration(left) < wait:
		wait = time.Duration(left)
	}
	return nil, wait
}

// putBack adds blocks of one tag that had been leased to what is waiting. The
// caller holds Queue.mu.
func (r *Reader) putBack(metas []meta) {
	if len(metas) == 0 {
		return
	}
	if l := r.tagQueue(metas[0].tag); l != nil {
		l.putBack(metas)
		return
	}
	for _, m := range metas {
		r.push(m)
	}
	slices.SortFunc(r.pending, func(a, b meta) int { return cmp.Compare(a.seq, b.seq) })
}
