package queue

import (
	"errors"
	"os"
	"slices"

	"collector/pkg/durable"
)

// holdsTags reports whether blocks of some tags wait apart, so that later ones of other
// tags may be finished. The caller holds q.mu.
func (q *Queue) holdsTags() bool {
	return slices.ContainsFunc(q.readers, func(r *Reader) bool { return len(r.tagQueues) > 0 })
}

// emptyDone empties the segments that no reader needs although one before them is needed,
// so that a tag that is held does not take the others' room. Of several such segments in
// a row, one is left to represent all. It reports whether that has made room; the
// segments that it returns are to be passed to unlink. The caller holds q.writing and
// q.mu.
func (q *Queue) emptyDone() (doomed []*segment, freed bool) {
	if !q.holdsTags() {
		return nil, false
	}
	needed := q.needed()
	for i := 1; i+1 < len(q.segments); {
		s, last := q.segments[i], q.segments[i-1]
		switch {
		case needed[s]:
			i++
		case last.doneTo > 0 && q.empty(i-1, i+1):
			doomed = append(doomed, q.detach(i))
			freed = true
		case s.doneTo > 0:
			i++
		default:
			freed = q.empty(i, i+1) || freed
			i++
		}
	}
	return doomed, freed
}

// needed is the segments that have blocks that some reader is not done with. The
// caller holds q.mu.
func (q *Queue) needed() map[*segment]bool {
	needed := make(map[*segment]bool)
	add := func(metas []meta) {
		for _, m := range metas {
			needed[m.seg] = true
		}
	}
	for _, r := range q.readers {
		for i, s := range q.segments {
			if i+1 == len(q.segments) || q.segments[i+1].first > r.load.seq {
				needed[s] = true
			}
		}
		add(r.pending)
		for _, l := range r.leases {
			add(l.metas)
		}
		for _, l := range r.tagQueues {
			add(l.metas)
			for _, run := range l.runs {
				needed[run.seg] = true
			}
		}
	}
	return needed
}

// empty takes all blocks out of the i-th segment, and makes it say that nothing up to the
// next-th one is missing. It reports whether that has worked. The header is synced first:
// without it, a power cut would make what is removed look lost. The caller holds q.mu.
func (q *Queue) empty(i, next int) bool {
	s, n := q.segments[i], q.segments[next]
	f, err := durable.OpenFile(s.path, os.O_WRONLY)
	if err != nil {
		q.complain("cannot empty a segment of the queue", "err", err)
		return false
	}
	defer func() { _ = f.Close() }()
	doneTo, doneBefore := s.doneTo, s.doneBefore
	s.doneTo, s.doneBefore = n.first, n.before
	if _, err = q.system.write(f, q.header(s), 0); err == nil {
		err = q.system.sync(f)
	}
	if err == nil {
		err = f.Truncate(segmentLen)
	}
	if err != nil {
		s.doneTo, s.doneBefore = doneTo, doneBefore
		q.complain("cannot empty a segment of the queue", "err", err)
		return false
	}
	q.leave(i)
	q.disk -= s.size - segmentLen
	s.size = segmentLen
	s.synced = segmentLen
	return true
}

// finishEmptying completes an emptying that a crash interrupted.
func (s *segment) finishEmptying() error {
	if s.doneTo == 0 || s.size <= segmentLen {
		return nil
	}
	f, err := durable.OpenFile(s.path, os.O_WRONLY)
	if err != nil {
		return err
	}
	s.size = segmentLen
	return errors.Join(f.Truncate(segmentLen), f.Close())
}
