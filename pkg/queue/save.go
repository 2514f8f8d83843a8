package queue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"collector/pkg/durable"
)

// syncEvery is how long a block waits at most before it is synced.
const syncEvery = time.Second

// state is the cursor of r as it is now. The caller holds Queue.mu.
func (r *Reader) state() cursor {
	seq, before := r.cursor()
	c := cursor{generation: r.generation + 1, seq: seq, rest: seq, before: before}
	if len(r.tagQueues) > 0 {
		c.rest, c.tags = r.rest(), r.tagMarks()
	}
	known := uint64(len(r.pending))
	for _, l := range r.leases {
		known += uint64(len(l.metas))
		for _, m := range l.metas {
			if m.seg.gone {
				known--
				c.unsaved += uint64(m.items)
			}
		}
	}
	if len(r.tagQueues) == 0 && known == r.load.seq-seq {
		return c // nothing beyond the cursor is done with
	}
	bits := min(r.load.seq-c.rest, maxAhead)
	done := make([]byte, (bits+7)/8)
	for i := range bits {
		done[i/8] |= 1 << (i % 8)
	}
	waits := func(metas []meta) {
		for _, m := range metas {
			if i := m.seq - c.rest; m.seq >= c.rest && i < bits {
				done[i/8] &^= 1 << (i % 8)
			}
		}
	}
	waits(r.pending)
	for _, l := range r.leases {
		waits(l.metas)
	}
	for len(done) > 0 && done[len(done)-1] == 0 {
		done = done[:len(done)-1]
	}
	c.done = done
	return c
}

// save writes the cursor if it has moved since it was last written.
func (r *Reader) save() error {
	q := r.q
	r.saving.Lock()
	defer r.saving.Unlock()
	q.mu.Lock()
	if !r.unsaved {
		q.mu.Unlock()
		return nil
	}
	c := r.state()
	r.unsaved = false
	q.mu.Unlock()

	err := r.openCursor()
	if err == nil {
		_, err = q.system.write(r.file, c.encode(), int64(c.generation%2)*slotLen)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil {
		// The other slot is still whole, so retry this one.
		r.unsaved = true
		q.needSync()
		return err
	}
	r.generation = c.generation
	r.unsynced = true
	q.needSync()
	return nil
}

// openCursor opens the cursor file and takes all the room that it will ever
// need, so that a full disk does not stop acknowledgments. The caller holds
// r.saving.
func (r *Reader) openCursor() error {
	if r.file != nil {
		return nil
	}
	f, err := durable.OpenFile(filepath.Join(r.q.dir, r.name), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() < rosterAt {
		_, err = r.q.system.write(f, make([]byte, rosterAt), 0)
	}
	if err == nil {
		_, err = r.q.system.write(f, r.roster, rosterAt)
	}
	if err == nil {
		err = f.Truncate(r.fileSize)
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	r.file = f
	return nil
}

func (q *Queue) saveCursors() {
	for _, r := range q.readers {
		if err := r.save(); err != nil {
			q.complain("cannot save the position of a reader of the queue; retrying", "reader", r.id, "err", err)
		}
	}
}

// complain logs a failure that recurs at each attempt.
func (q *Queue) complain(msg string, args ...any) {
	q.complaints.Warn(q.log, fmt.Sprint(args...), msg, args...)
}

// needSync makes the syncer sync what has just been written. The caller holds q.mu.
func (q *Queue) needSync() {
	if q.syncing {
		return
	}
	q.syncing = true
	select {
	case q.wakeSync <- struct{}{}:
	default:
	}
}

// runSyncer ticks for as long as there is anything to sync, and sleeps
// otherwise. With two ticks to each period, a block has been seen waiting by one
// before it is due at the next.
func (q *Queue) runSyncer() {
	for {
		select {
		case <-q.wakeSync:
		case <-q.done:
			return
		}
		ticker := time.NewTicker(syncEvery / 2)
		mark := uint64(0)
		for busy := true; busy; {
			select {
			case <-ticker.C:
				mark, busy = q.tick(mark)
			case <-q.done:
				ticker.Stop()
				return
			}
		}
		ticker.Stop()
	}
}

// tick syncs if any block below mark still waits. It returns the mark of the
// next tick, and whether one is needed. A tick that syncs leaves nothing for the
// next one to do.
func (q *Queue) tick(mark uint64) (next uint64, busy bool) {
	q.lookAfterFiles()
	if q.maxAge > 0 {
		for _, r := range q.readers {
			_ = r.fill(0) // the reader itself will meet the error
			r.expire()
		}
	}
	q.reap(true)
	q.mu.Lock()
	next = q.seq
	waiting := q.lowest() < mark
	q.mu.Unlock()
	if waiting {
		next = 0
		if err := q.sync(); err != nil {
			q.complain("cannot sync the queue; retrying", "err", err)
		}
	} else {
		q.saveCursors() // if that has failed before
	}

	q.mu.Lock()
	defer q.mu.Unlock()
	busy = q.unsyncedData() || (q.maxAge > 0 && !q.idle())
	q.syncing = busy
	return next, busy
}

// unsyncedData reports whether the syncer has to come back. An idle queue needs
// it no more, whatever the cursors on disk say. The caller holds q.mu.
func (q *Queue) unsyncedData() bool {
	for _, r := range q.readers {
		if r.unsaved || (r.unsynced && !q.idle()) {
			return true
		}
	}
	return len(q.unsynced) > 0 || (q.active != nil && q.active.size > segmentLen && q.active.synced < q.active.size)
}

// sync makes what has been written so far durable: first the blocks, then the
// cursors.
func (q *Queue) sync() error {
	q.saveCursors()
	type dirty struct {
		seg  *segment
		file *os.File
		size int64
	}
	var files []dirty
	q.mu.Lock()
	for _, s := range q.unsynced {
		files = append(files, dirty{s, s.file, s.size})
	}
	if a := q.active; a != nil && a.synced < a.size {
		files = append(files, dirty{a, a.file, a.size})
	}
	newFiles := q.newFiles
	q.newFiles = false
	q.mu.Unlock()

	var err error
	for _, d := range files {
		serr := q.system.sync(d.file)
		if errors.Is(serr, os.ErrClosed) {
			continue // all readers were past it in the meantime
		}
		err = errors.Join(err, serr)
		if serr == nil {
			q.synced(d.seg, d.size)
		}
	}
	if newFiles {
		if derr := q.syncDir(); derr != nil {
			err = errors.Join(err, derr)
			q.mu.Lock()
			q.newFiles = true
			q.mu.Unlock()
		}
	}
	for _, r := range q.readers {
		err = errors.Join(err, r.sync())
	}
	return err
}

// synced records that the first size bytes of s are durable.
func (q *Queue) synced(s *segment, size int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.synced = min(size, s.size)
	if i := slices.Index(q.unsynced, s); i >= 0 && s.synced == s.size {
		q.unsynced = slices.Delete(q.unsynced, i, i+1)
		s.close()
	}
}

// sync makes the cursor durable if it was written since the last time.
func (r *Reader) sync() error {
	r.q.mu.Lock()
	unsynced := r.unsynced
	r.unsynced = false
	r.q.mu.Unlock()
	r.saving.Lock()
	defer r.saving.Unlock()
	if !unsynced || r.file == nil {
		return nil
	}
	err := r.q.system.sync(r.file)
	if err != nil {
		r.q.mu.Lock()
		r.unsynced = true
		r.q.mu.Unlock()
	}
	return err
}

func (r *Reader) close() {
	r.saving.Lock()
	defer r.saving.Unlock()
	if r.file != nil {
		_ = r.file.Close()
	}
}

func (q *Queue) syncDir() error {
	d, err := os.Open(q.dir)
	if err != nil {
		return err
	}
	return errors.Join(q.system.sync(d), d.Close())
}
