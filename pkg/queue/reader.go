package queue

import (
	"context"
	"os"
	"slices"
	"sync"
	"time"

	"collector/pkg/pipeline"
)

const (
	// window is how many waiting blocks a reader knows of at once; the others
	// are on disk alone. It also bounds the blocks of a lease.
	window = 2048
	// maxLease bounds the bytes of a lease, whatever BatchLimits allow.
	maxLease = 4 << 20
)

// meta is what is known of a block without reading it.
type meta struct {
	seg      *segment
	off      int64
	size     int64 // of the record
	seq      uint64
	before   uint64
	items    int
	dataLen  int
	appended int64
	tag      string
}

// place is where the next record to load is.
type place struct {
	seg    *segment
	off    int64
	seq    uint64
	before uint64
}

// group sums up the pending blocks of one tag.
type group struct {
	tag                  string
	blocks, items, bytes int
}

// Reader leases the blocks of one queue in their order; blocks of different
// tags may overtake one another.
type Reader struct {
	q        *Queue
	id       string
	name     string // of the cursor file
	roster   []byte
	fileSize int64

	filling sync.Mutex // held while headers are loaded; taken before Queue.mu
	saving  sync.Mutex // held while the cursor is written; taken before Queue.mu
	file    *os.File   // guarded by saving

	// What follows is guarded by Queue.mu. Of the blocks below load, those in
	// pending, tag queues and leases are not done with.
	load       place
	pending    []meta // loaded and not leased, by seq
	groups     []group
	tagQueues  []*tagQueue // blocks of some tags, waiting apart from pending; the next to lease first
	tagTurn    bool        // the next blocks to lease come from a tag queue, if it has any
	leases     []*Lease
	ahead      cursor // what a former process had done with
	generation uint64 // of the cursor last written
	unsaved    bool   // the cursor has moved since
	unsynced   bool   // the cursor has been written since the last sync
	waiters    []*waiter
	received   uint64
	delivered  uint64
	dropped    map[string]uint64
	damaged    uint64 // blocks
}

type waiter struct {
	limits BatchLimits
	wake   chan struct{}
}

// Lease is a run of blocks with one tag that a reader has leased and that
// wait for Ack, Settle or Release.
type Lease struct {
	Blocks []Block
	metas  []meta
}

// Items counts the items of all blocks.
func (l *Lease) Items() int {
	n := 0
	for i := range l.Blocks {
		n += l.Blocks[i].Items
	}
	return n
}

// Bytes sums up the data of all blocks.
func (l *Lease) Bytes() int {
	n := 0
	for i := range l.Blocks {
		n += len(l.Blocks[i].Data)
	}
	return n
}

// Next waits until enough blocks wait for the limits, and leases those that follow the last
// ones leased, 4 MiB at most unless one block is larger. Several leases may
// be out at once. Blocks of other tags in between are left for a later call.
func (r *Reader) Next(ctx context.Context, w BatchLimits) (*Lease, error) {
	wt := &waiter{limits: w, wake: make(chan struct{}, 1)}
	defer r.leave(wt)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		l, wait, err := r.try(w, wt)
		if l != nil || err != nil {
			return l, err
		}
		var expired <-chan time.Time
		if wait > 0 {
			timer.Reset(wait)
			expired = timer.C
		}
		select {
		case <-wt.wake:
		case <-expired:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-r.q.done:
			return nil, pipeline.ErrClosed
		}
	}
}

// TryNext is Next without waiting. It returns nil when fewer wait.
func (r *Reader) TryNext(w BatchLimits) (*Lease, error) {
	l, _, err := r.try(w, nil)
	return l, err
}

// try leases what w asks for. When that is not there, it enters wt among
// those to be woken and reports after which time the oldest block will have
// waited long enough; 0 when nothing is waiting.
func (r *Reader) try(w BatchLimits, wt *waiter) (*Lease, time.Duration, error) {
	q := r.q
	for {
		if err := r.fill(0); err != nil {
			return nil, 0, err
		}
		if err := r.fillTagQueues(); err != nil {
			return nil, 0, err
		}
		r.expire()
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return nil, 0, pipeline.ErrClosed
		}
		metas, wait := r.chooseAndTake(w, q.ages.steady(q.ages.now()))
		if metas == nil {
			if wt != nil && !slices.Contains(r.waiters, wt) {
				r.waiters = append(r.waiters, wt)
			}
			more := len(r.pending) == 0 && !r.atEnd() || r.unloaded()
			q.mu.Unlock()
			if more {
				continue
			}
			return nil, wait, nil
		}
		l := &Lease{metas: metas}
		files, err := openSegments(l.metas)
		r.leases = append(r.leases, l)
		q.mu.Unlock()
		if err != nil {
			r.Release(l)
			return nil, 0, err
		}
		if r.read(l, files); len(l.Blocks) > 0 {
			return l, 0, nil
		}
		r.end(l)
	}
}

func (r *Reader) leave(wt *waiter) {
	r.q.mu.Lock()
	defer r.q.mu.Unlock()
	if i := slices.Index(r.waiters, wt); i >= 0 {
		r.waiters = slices.Delete(r.waiters, i, i+1)
	}
}

// wakeAll makes the waiters look again. The caller holds Queue.mu.
func (r *Reader) wakeAll() {
	for _, wt := range r.waiters {
		select {
		case wt.wake <- struct{}{}:
		default:
		}
	}
}

// appended records a new block. The caller holds Queue.mu.
func (r *Reader) appended(m meta) {
	r.received += uint64(m.items)
	if r.load.seq != m.seq {
		return // there is older work on disk
	}
	r.load = place{seg: m.seg, off: m.off, seq: m.seq, before: m.before}
	l := r.tagQueue(m.tag)
	if l != nil || len(r.pending) < window {
		r.push(m)
		r.load = place{seg: m.seg, off: m.off + m.size, seq: m.seq + 1, before: m.before + uint64(m.items)}
	}
	if l != nil {
		if !l.held {
			r.wakeAll()
		}
		return
	}
	for _, wt := range r.waiters {
		// The first block starts the clock; later ones matter once they fill a batch.
		if len(r.pending) == 1 || r.full(r.group(m.tag), wt.limits) {
			r.wakeAll()
			return
		}
	}
}

// push adds m to the end of what is waiting. The caller holds Queue.mu.
func (r *Reader) push(m meta) {
	if l := r.tagQueue(m.tag); l != nil {
		l.add(m)
		return
	}
	r.pending = append(r.pending, m)
	r.count(m, 1)
}

// count adds m to its group, or with n = -1 removes it.
func (r *Reader) count(m meta, n int) {
	i := slices.IndexFunc(r.groups, func(g group) bool { return g.tag == m.tag })
	if i < 0 {
		i = len(r.groups)
		r.groups = append(r.groups, group{tag: m.tag})
	}
	g := &r.groups[i]
	g.blocks += n
	g.items += n * m.items
	g.bytes += n * m.dataLen
	if g.blocks == 0 {
		r.groups = slices.Delete(r.groups, i, i+1)
	}
}

func (r *Reader) group(tag string) group {
	for _, g := range r.groups {
		if g.tag == tag {
			return g
		}
	}
	return group{}
}

// full reports whether waiting could not add anything that w wants to g.
func (r *Reader) full(g group, w BatchLimits) bool {
	reached := func(n, limit int) bool { return limit > 0 && n >= limit }
	return reached(g.items, w.MinItems) || reached(g.bytes, w.MinBytes) ||
		reached(g.items, w.MaxItems) || reached(g.bytes, w.MaxBytes) ||
		g.bytes >= maxLease || len(r.pending) >= window
}

// choose returns the tag whose blocks to lease now, or the time after which to look
// again. The caller holds Queue.mu.
func (r *Reader) choose(w BatchLimits, now int64) (tag string, wait time.Duration, ok bool) {
	if len(r.pending) == 0 {
		return "", 0, false
	}
	front := r.pending[0]
	age := time.Duration(now - front.appended)
	// A block from the future has seen the clock being set; don't wait for it.
	if age >= w.MaxWait || age < 0 || r.full(r.group(front.tag), w) {
		return front.tag, 0, true
	}
	for _, g := range r.groups {
		if r.full(g, w) {
			return g.tag, 0, true
		}
	}
	return "", w.MaxWait - age, false
}

// take moves the first blocks of the tag out of pending, within the limits.
// The caller holds Queue.mu.
func (r *Reader) take(tag string, w BatchLimits) []meta {
	var taken []meta
	items, bytes, open := 0, 0, true
	kept := r.pending[:0]
	for i, m := range r.pending {
		over := bytes+m.dataLen > maxLease ||
			(w.MaxItems > 0 && items+m.items > w.MaxItems) ||
			(w.MaxBytes > 0 && bytes+m.dataLen > w.MaxBytes)
		if m.tag == tag && over && len(taken) > 0 {
			open = false
		}
		if !open {
			kept = append(kept, r.pending[i:]...)
			break
		}
		if m.tag != tag {
			kept = append(kept, m)
			continue
		}
		taken = append(taken, m)
		items += m.items
		bytes += m.dataLen
	}
	for _, m := range taken {
		r.count(m, -1)
	}
	r.keep(kept)
	return taken
}

// keep sets pending to a part of itself that has been moved to its start. The
// caller holds Queue.mu.
func (r *Reader) keep(kept []meta) {
	clear(r.pending[len(kept):])
	r.pending = kept
	if len(kept) == 0 && cap(kept) > 64 {
		r.pending = nil // a backlog is over
	}
}

// Ack ends a lease whose blocks are done with: delivered or dropped.
func (r *Reader) Ack(l *Lease) error { return r.Settle(l, nil) }

// Settle ends a lease: of its items, so many were dropped for each reason, and
// the others were delivered. Settling a lease that has ended changes nothing.
func (r *Reader) Settle(l *Lease, dropped map[string]int) error {
	q := r.q
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return pipeline.ErrClosed
	}
	if !r.remove(l) {
		q.mu.Unlock()
		return nil
	}
	items := uint64(0)
	for _, m := range l.metas {
		items += uint64(m.items)
	}
	for reason, n := range dropped {
		n := min(uint64(max(n, 0)), items)
		r.drop(reason, n)
		items -= n
	}
	r.delivered += items
	r.unsaved = true
	q.mu.Unlock()
	return r.moved()
}

// Split cuts a lease in two: l keeps its first n blocks, and what is returned
// has the others. It returns nil when there are no others.
func (r *Reader) Split(l *Lease, n int) *Lease {
	r.q.mu.Lock()
	defer r.q.mu.Unlock()
	if n <= 0 || n >= len(l.metas) || !slices.Contains(r.leases, l) {
		return nil
	}
	rest := &Lease{Blocks: l.Blocks[n:], metas: l.metas[n:]}
	l.Blocks, l.metas = l.Blocks[:n:n], l.metas[:n:n]
	r.leases = append(r.leases, rest)
	return rest
}

// Release ends a lease whose blocks are to be leased again. Those that the
// cap has taken from the disk in the meantime are dropped, reason "queue_full".
func (r *Reader) Release(l *Lease) {
	q := r.q
	q.mu.Lock()
	if q.closed || !r.remove(l) {
		q.mu.Unlock()
		return
	}
	kept := make([]meta, 0, len(l.metas))
	for _, m := range l.metas {
		if m.seg.gone {
			r.drop(ReasonFull, uint64(m.items))
			continue
		}
		kept = append(kept, m)
	}
	r.putBack(kept)
	r.unsaved = true
	r.wakeAll()
	q.mu.Unlock()
	_ = r.moved() // the next save retries
}

// end forgets a lease whose blocks have all been dropped.
func (r *Reader) end(l *Lease) {
	r.q.mu.Lock()
	r.remove(l)
	r.unsaved = true
	r.q.mu.Unlock()
	_ = r.moved() // the next save retries
}

// remove takes l out of the leases. The caller holds Queue.mu.
func (r *Reader) remove(l *Lease) bool {
	i := slices.Index(r.leases, l)
	if i < 0 {
		return false
	}
	r.leases = slices.Delete(r.leases, i, i+1)
	r.closeTagQueues()
	if len(r.tagQueues) > 0 {
		r.wakeAll() // a tag queue leases one lease at a time
	}
	return true
}

// moved saves the cursor and removes what no reader needs any more. The caller
// holds no lock.
func (r *Reader) moved() error {
	err := r.save()
	r.q.reap(false)
	return err
}

// drop counts items dropped for a reason. The caller holds Queue.mu.
func (r *Reader) drop(reason string, items uint64) {
	if items > 0 {
		r.dropped[reason] += items
	}
}

// atEnd reports whether all blocks have been loaded. The caller holds Queue.mu.
func (r *Reader) atEnd() bool { return r.load.seq >= r.q.seq }

// cursor is the first block on disk that r is not done with, and the number of
// items before it. The caller holds Queue.mu.
func (r *Reader) cursor() (seq, before uint64) {
	seq, before = r.load.seq, r.load.before
	first := func(metas []meta) {
		for _, m := range metas {
			if !m.seg.gone {
				if m.seq < seq {
					seq, before = m.seq, m.before
				}
				return
			}
		}
	}
	first(r.pending)
	for _, l := range r.leases {
		first(l.metas)
	}
	for _, l := range r.tagQueues {
		if s, b, ok := l.first(); ok && s < seq {
			seq, before = s, b
		}
	}
	return seq, before
}

// queuedBytes is what is waiting for r on disk. The caller holds Queue.mu.
func (r *Reader) queuedBytes() int64 {
	n := int64(0)
	if !r.atEnd() {
		n = r.q.end - r.load.seg.pos(r.load.off)
	}
	for _, m := range r.pending {
		n += m.size
	}
	for _, l := range r.leases {
		for _, m := range l.metas {
			if !m.seg.gone {
				n += m.size
			}
		}
	}
	for _, l := range r.tagQueues {
		_, _, size := l.total()
		n += size
	}
	return n
}

// queued is how many items r is not done with. The caller holds Queue.mu.
func (r *Reader) queued() uint64 {
	n := r.q.items - r.load.before
	for _, m := range r.pending {
		n += uint64(m.items)
	}
	for _, l := range r.leases {
		for _, m := range l.metas {
			n += uint64(m.items)
		}
	}
	for _, l := range r.tagQueues {
		_, items, _ := l.total()
		n += items
	}
	return n
}

// lose drops what r has in the oldest segment s, and continues at next. Blocks that are
// leased stay with whoever has them. The caller holds Queue.mu.
func (r *Reader) lose(s *segment, next place) {
	kept := r.pending[:0]
	for _, m := range r.pending {
		if m.seg != s {
			kept = append(kept, m)
			continue
		}
		r.count(m, -1)
		r.drop(ReasonFull, uint64(m.items))
	}
	r.keep(kept)
	for _, l := range r.tagQueues {
		r.drop(ReasonFull, l.lose(s))
	}
	r.closeTagQueues()
	if r.load.seg == s && !r.atEnd() {
		next.before = max(next.before, r.load.before)
		r.drop(ReasonFull, next.before-r.load.before)
		r.load = next
	}
	r.unsaved = true
}

// expire drops what has waited for longer than the queue keeps blocks.
func (r *Reader) expire() {
	q := r.q
	if q.maxAge <= 0 {
		return
	}
	oldest := q.ages.steady(q.ages.now()) - int64(q.maxAge)
	q.mu.Lock()
	n := 0
	for n < len(r.pending) && r.pending[n].appended < oldest {
		r.count(r.pending[n], -1)
		r.drop(ReasonTooOld, uint64(r.pending[n].items))
		n++
	}
	if n > 0 {
		r.keep(append(r.pending[:0], r.pending[n:]...))
		r.unsaved = true
	}
	for _, l := range r.tagQueues {
		for len(l.metas) > 0 && l.metas[0].appended < oldest {
			r.drop(ReasonTooOld, uint64(l.metas[0].items))
			l.metas = l.metas[1:]
			r.unsaved = true
			n++
		}
	}
	r.closeTagQueues()
	q.mu.Unlock()
	if n > 0 {
		_ = r.moved() // the next save retries
	}
}
