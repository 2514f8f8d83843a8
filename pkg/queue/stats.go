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

// Capacity is the most that the queue takes on disk.
func (q *Queue) Capacity() int64 { return q.cap }

// Size is what the queue takes on disk.
func (q *Queue) Size() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.disk
}
