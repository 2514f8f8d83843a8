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
	// maxLanes bounds the tags that a reader holds apart from the others, in
	// memory and in the file of its cursor.
	maxLanes = 64
	// laneWindow is how many waiting blocks of a lane are known one by one; of
	// the others, a run for each segment is known.
	laneWindow = 256
)

// lane has the waiting blocks of one tag apart from the others, so that the
// others can pass them. Its fields are guarded by Queue.mu.
type lane struct {
	tag    string
	window int    // how many blocks are known one by one at least, when there are more
	held   bool   // nothing of it is handed out
	metas  []meta // by seq
	runs   []run  // what follows metas, by seq
}

// run is what is known of a lane's blocks in one segment that are not loaded.
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

// Hold keeps the blocks of a tag from being handed out until Free, and lets the
// others pass them. It returns false, and does nothing, when that is so for as
// many tags as a reader can keep apart, or while a lease of the tag is out: a
// lane knows only of blocks that are done with in their order.
func (r *Reader) Hold(tag string) bool {
	r.q.mu.Lock()
	defer r.q.mu.Unlock()
	l := r.lane(tag)
	if r.out(tag) || l == nil && len(r.lanes) >= maxLanes {
		return false
	}
	if l == nil {
		l = r.addLane(tag)
		kept := r.pending[:0]
		for _, m := range r.pending {
			if m.tag != tag {
				kept = append(kept, m)
				continue
			}
			r.count(m, -1)
			// Some may be missing in between, as damaged ones are: a run could not
			// tell of that.
			l.metas = append(l.metas, m)
		}
		r.keep(kept)
		r.unsaved = true
	}
	l.held = true
	r.wakeAll() // there may be others to load
	return true
}

// Free lets the blocks of a tag be handed out again. They take turns with the
// others until they have caught up.
func (r *Reader) Free(tag string) {
	r.q.mu.Lock()
	defer r.q.mu.Unlock()
	if l := r.lane(tag); l != nil {
		l.held = false
		r.closeLanes()
		r.wakeAll()
	}
}

// lane returns the lane of a tag, or nil. The caller holds Queue.mu.
func (r *Reader) lane(tag string) *lane {
	for _, l := range r.lanes {
		if l.tag == tag {
			return l
		}
	}
	return nil
}

func (r *Reader) addLane(tag string) *lane {
	l := &lane{tag: tag, window: r.q.system.laneWindow}
	r.lanes = append(r.lanes, l)
	return l
}

// unloaded tells whether a lane that may hand out blocks has only such as are
// not loaded. The caller holds Queue.mu.
func (r *Reader) unloaded() bool {
	return slices.ContainsFunc(r.lanes, func(l *lane) bool { return !l.held && len(l.metas) == 0 && len(l.runs) > 0 })
}

// closeLanes forgets the lanes that have caught up. The caller holds Queue.mu.
func (r *Reader) closeLanes() {
	n := len(r.lanes)
	r.lanes = slices.DeleteFunc(r.lanes, func(l *lane) bool {
		return !l.held && len(l.metas) == 0 && len(l.runs) == 0 && !r.out(l.tag)
	})
	r.unsaved = r.unsaved || len(r.lanes) < n
}

// out tells whether a lease of the tag is out. The caller holds Queue.mu.
func (r *Reader) out(tag string) bool {
	return slices.ContainsFunc(r.leases, func(l *Lease) bool { return len(l.metas) > 0 && l.metas[0].tag == tag })
}

// add adds a block that follows all others of the lane.
func (l *lane) add(m meta) {
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

// putBack adds blocks that had been handed out.
func (l *lane) putBack(metas []meta) {
	l.metas = append(l.metas, metas...)
	slices.SortFunc(l.metas, func(a, b meta) int { return cmp.Compare(a.seq, b.seq) })
}

// first is the lane's first block that is on disk. The caller holds Queue.mu.
func (l *lane) first() (seq, before uint64, ok bool) {
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

// oldest is when the lane's first block was appended; 0 when it has none.
func (l *lane) oldest() int64 {
	switch {
	case len(l.metas) > 0:
		return l.metas[0].appended
	case len(l.runs) > 0:
		return l.runs[0].appended
	}
	return 0
}

// total sums up what waits.
func (l *lane) total() (blocks int, items uint64, size int64) {
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

// lose drops what the lane has in the segment s, and returns its items.
func (l *lane) lose(s *segment) (items uint64) {
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

// ready is what the lane has to hand out, as a group.
func (l *lane) ready() group {
	g := group{tag: l.tag, blocks: len(l.metas)}
	for _, m := range l.metas {
		g.items += m.items
		g.bytes += m.dataLen
	}
	return g
}

// chooseLane tells which lane is to hand out blocks now, or after which time to
// look again; 0 when none waits. The caller holds Queue.mu.
func (r *Reader) chooseLane(w Want, now int64) (l *lane, wait int64) {
	for _, l := range r.lanes {
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

// takeLane moves the first blocks out of a lane, within the limits, and lets
// the other lanes go first the next time. The caller holds Queue.mu.
func (r *Reader) takeLane(l *lane, w Want) []meta {
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
	i := slices.Index(r.lanes, l)
	r.lanes = append(append(r.lanes[:i], r.lanes[i+1:]...), l)
	return taken
}

// fillLanes loads the next blocks of lanes that may hand some out.
func (r *Reader) fillLanes() error {
	q := r.q
	r.filling.Lock()
	defer r.filling.Unlock()
	for {
		q.mu.Lock()
		i := slices.IndexFunc(r.lanes, func(l *lane) bool { return !l.held && len(l.metas) == 0 && len(l.runs) > 0 })
		if i < 0 || q.closed {
			q.mu.Unlock()
			return nil
		}
		l := r.lanes[i]
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
			found, err = scanLane(s, from, l.tag, l.window)
			_ = f.Close()
		}
		if err != nil && !isDamage(err) {
			return fmt.Errorf("read queue %q: %w", q.dir, err)
		}
		if r.loadedLane(l, from, found, s.off) {
			_ = r.moved() // the next save tries again
		}
	}
}

// scanLane reads the headers of the next blocks of a run.
func scanLane(s *scanner, from run, tag string, window int) (found []meta, err error) {
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

// loadedLane moves blocks that were found from a run to its lane. What is no
// longer found is counted as damaged. It tells whether there was any such.
func (r *Reader) loadedLane(l *lane, from run, found []meta, off int64) (passed bool) {
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

// laneMark is how far a lane has come.
type laneMark struct {
	tag uint64 // hash
	seq uint64 // the first block of the tag that is not done with
}

func hashTag(tag string) uint64 {
	sum := sha256.Sum256([]byte(tag))
	return binary.LittleEndian.Uint64(sum[:])
}

// laneMarks is how far the lanes have come. The caller holds Queue.mu.
func (r *Reader) laneMarks() []laneMark {
	var marks []laneMark
	for _, l := range r.lanes {
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
		marks = append(marks, laneMark{tag: hashTag(l.tag), seq: seq})
	}
	return marks
}

// rest is the first block that is not done with of those whose tags have no
// lane. The caller holds Queue.mu.
func (r *Reader) rest() uint64 {
	seq := r.load.seq
	if len(r.pending) > 0 {
		seq = min(seq, r.pending[0].seq)
	}
	for _, lease := range r.leases {
		for _, m := range lease.metas {
			if r.lane(m.tag) == nil && !m.seg.gone {
				seq = min(seq, m.seq)
			}
		}
	}
	return seq
}

// chooseAndTake takes the blocks that are to be handed out now, or tells after
// which time to look again; 0 when none waits. Lanes and all others take turns.
// The caller holds Queue.mu.
func (r *Reader) chooseAndTake(w Want, now int64) (metas []meta, wait time.Duration) {
	tag, wait, ok := r.choose(w, now)
	if len(r.lanes) == 0 && !ok {
		return nil, wait
	}
	l, left := r.chooseLane(w, now)
	switch {
	case l != nil && (r.laneTurn || !ok):
		r.laneTurn = false
		return r.takeLane(l, w), 0
	case ok:
		r.laneTurn = true
		return r.take(tag, w), 0
	case wait == 0 || left > 0 && time.Duration(left) < wait:
		wait = time.Duration(left)
	}
	return nil, wait
}

// putBack adds blocks of one tag that had been handed out to what waits. The
// caller holds Queue.mu.
func (r *Reader) putBack(metas []meta) {
	if len(metas) == 0 {
		return
	}
	if l := r.lane(metas[0].tag); l != nil {
		l.putBack(metas)
		return
	}
	for _, m := range metas {
		r.push(m)
	}
	slices.SortFunc(r.pending, func(a, b meta) int { return cmp.Compare(a.seq, b.seq) })
}
