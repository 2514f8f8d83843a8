package queue

import (
	"maps"
	"time"
)

// Stats is the account of a reader since Open. It balances:
// Received = Delivered + Queued + the sum of Dropped.
type Stats struct {
	Received    uint64 // items: those that Open found, and those since
	Delivered   uint64
	Queued      uint64
	QueuedBytes int64 // on disk
	Dropped     map[string]uint64
	// DamagedBlocks counts blocks that were lost to damage. Their items are in
	// Dropped, but for those that were lost without a trace at the end of the log.
	DamagedBlocks uint64
	Oldest        time.Time // when the oldest waiting block was appended; zero when nothing is waiting
}

// Stats returns the accounts of all readers, in the order of Options.Readers,
// all as of one moment.
func (q *Queue) Stats() []Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]Stats, 0, len(q.readers))
	for _, r := range q.readers {
		s := Stats{
			Received: r.received, Delivered: r.delivered, Queued: r.queued(), QueuedBytes: r.queuedBytes(),
			Dropped: maps.Clone(r.dropped), DamagedBlocks: r.damaged,
		}
		oldest := int64(0)
		look := func(metas []meta) {
			for _, m := range metas {
				if oldest == 0 || m.appended < oldest {
					oldest = m.appended
				}
			}
		}
		look(r.pending[:min(1, len(r.pending))])
		for _, l := range r.leases {
			look(l.metas)
		}
		for _, l := range r.tagQueues {
			if at := l.oldest(); at != 0 && (oldest == 0 || at < oldest) {
				oldest = at
			}
		}
		if oldest != 0 {
			s.Oldest = q.ages.time(oldest)
		}
		all = append(all, s)
	}
	return all
}

// Fill is how full a queue is.
type Fill struct {
	Size, Capacity int64 // bytes on disk, and the most that they may be
	// Since is since when there has not been room for everything; zero while there is.
	Since   time.Time
	Waiting int // calls of Append that wait for room
}

// Fill returns how full the queue is.
func (q *Queue) Fill() Fill {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.noteRoom()
	f := q.fill
	f.Size, f.Capacity = q.disk, q.cap
	return f
}

// noteFull records that there was no room for size bytes, or only because others were
// dropped. The caller holds q.mu.
func (q *Queue) noteFull(size int64) {
	if q.fill.Since.IsZero() {
		q.fill.Since = q.system.now()
	}
	q.crowded = size
}

// noteRoom records that the queue is no longer full, if that is so: room is made by the
// segment, and the one that was made last may be in use already. The caller holds q.mu.
func (q *Queue) noteRoom() {
	if q.fill.Since.IsZero() || q.fill.Waiting > 0 {
		return
	}
	if q.idle() || q.disk+max(q.crowded, 2*q.segmentSize)+segmentLen <= q.cap {
		q.fill.Since = time.Time{}
	}
}
