// Package queue is a durable log of opaque blocks on disk, shared by several readers that
// each have their own cursor.
//
// A queue is a directory:
//
//	lock                        held with flock by the process that uses the queue
//	0000000000000007-8d1f2a90.seg   segments: index and salt, both in hexadecimal
//	0000000000000008-11c0fe4d.seg   the last one is written to
//	5b0c…e1.cursor              how far a reader has come; named by a hash of its id
//	destinations.json           whose it is and where its readers send; older ones lack it
//
// All numbers are little-endian. "seq" numbers the blocks from 1 on; "before"
// counts the items of all earlier blocks, which makes the number of items
// between any two places known, whatever happened to the bytes between. A
// segment is a header and a run of records:
//
//	segment header      0      4      8       16      24       32      40             48        56            64
//	                    ┌──────┬──────┬───────┬───────┬────────┬───────┬──────────────┬─────────┬─────────────┐
//	                    │ CQS1 │ sum  │ index │ first │ before │ floor │ floor before │ done to │ done before │
//	                    └──────┴──────┴───────┴───────┴────────┴───────┴──────────────┴─────────┴─────────────┘
//	record       0      4     8          12         16        20      24    32       40       48    56    64
//	             ┌──────┬─────┬──────────┬──────────┬─────────┬───────┬─────┬────────┬────────┬─────┬─────┬─────┬──────┐
//	             │ CQR1 │ sum │ data sum │ data len │ tag len │ items │ seq │ before │ append │ min │ max │ tag │ data │
//	             └──────┴─────┴──────────┴──────────┴─────────┴───────┴─────┴────────┴────────┴─────┴─────┴─────┴──────┘
//
// The sums are CRC-32C. That of a header covers what follows it up to the data, and is
// seeded with the salt of the segment. All readers were done with everything below floor
// when the segment was begun. Where "done to" is not 0, they were done with all blocks
// from first up to there, which were removed to make room behind older ones that wait.
//
// A cursor file has two slots, which are written in turn, so that one is always
// whole, and the list of all readers:
//
//	slot         0      4     8            16    24       32        40         48         56      64
//	(at 0, 4096) ┌──────┬─────┬────────────┬─────┬────────┬─────────┬──────────┬──────────┬───────┬──────┬───────┐
//	             │ CQC1 │ sum │ generation │ seq │ before │ unsaved │ done len │ rest-seq │ tag queues │ done │ marks │
//	             └──────┴─────┴────────────┴─────┴────────┴─────────┴──────────┴──────────┴───────┴──────┴───────┘
//	readers      ┌──────┬─────┬─────┬──────────────────┐
//	(at 8192)    │ CQN1 │ sum │ len │ ids, JSON array  │
//	             └──────┴─────┴─────┴──────────────────┘
//
// "done" has a bit for each block from rest on. A mark is the hash of a tag that
// is held apart from the others and the first of its blocks that is not done
// with; all blocks of other tags before rest are done with.
//
// Appends and acknowledgments go to the page cache with one system call each,
// so that the death of the process loses nothing. What has waited for half a
// second is synced before it has waited for a whole one, with one sync a second
// at most: that second is what a power cut can cost. What is delivered sooner
// is never synced: the segment is emptied and used again, as a rule before the
// kernel has written it.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

// Block is what is stored: bytes that only the writer and the sender
// understand, and what the queue has to know of them.
type Block struct {
	Data  []byte
	Tag   string // only blocks of an equal tag are leased together
	Items int    // log entries, samples, spans, profiles …
	// MinTime and MaxTime bound the timestamps of the items, in nanoseconds
	// since the epoch; 0 when unknown.
	MinTime, MaxTime int64

	recorded int64     // when it was appended, by the machine's clock then
	since    time.Time // the same, by the queue's own clock
}

// Policy is what happens to an Append when the queue is at its cap.
//
// With every policy, a queue in which at least one reader has kept up takes the
// room from the readers that lag: they lose their oldest blocks (counted,
// reason "queue_full"), so that a dead endpoint never delays a live one. The
// policy decides when all readers lag. A reader has kept up when what is waiting for
// it is less than half the cap. Room is made by the segment, which is a
// sixteenth of the cap or 8 MiB.
type Policy int

// The policies.
const (
	DropOldest Policy = iota // the laggards lose their oldest blocks
	Wait                     // Append blocks until there is room or ctx ends
	Refuse                   // Append fails with pipeline.ErrFull
)

func (p Policy) String() string {
	switch p {
	case Wait:
		return "wait"
	case Refuse:
		return "refuse"
	}
	return "drop_oldest"
}

// DefaultMaxBytes caps a queue for which no cap is set.
const DefaultMaxBytes = 1 << 30

// Reasons for which the queue itself drops blocks.
const (
	ReasonFull    = "queue_full" // the cap needed the room
	ReasonTooOld  = "too_old"    // older than Options.MaxAge
	ReasonDamaged = "damaged"    // the bytes on disk are not what was written
)

// ErrInUse is returned, wrapped, by Open while the queue is open elsewhere, in
// this process or another.
var ErrInUse = errors.New("the queue is in use")

// reuseSize is how large the active segment grows before it is emptied at once
// when nothing waits. A smaller one is emptied within a second.
const reuseSize = 64 << 10

// Options say where a queue lives and how large it may grow.
type Options struct {
	Dir     string
	Readers []string // ids of the readers; at least one
	// MaxBytes is the cap on what the queue takes on disk, everything counted;
	// 0: DefaultMaxBytes. A queue takes at least 64 KiB and 12 KiB a reader,
	// however low the cap.
	MaxBytes int64
	MaxAge   time.Duration // older blocks are dropped, reason "too_old"; 0: no limit
	WhenFull Policy
	// Description is kept beside the queue, unless it is empty.
	Description Description
	Logger      *slog.Logger
}

// BatchLimits bounds the blocks that are leased together, and says when enough wait.
type BatchLimits struct {
	MinItems int // lease at once when so many items wait; 0: no such limit
	MinBytes int // lease at once when so many bytes wait; 0: no such limit
	MaxItems int // lease no more items than this, but at least one block; 0: no limit
	MaxBytes int // lease no more bytes than this, but at least one block; 0: no limit
	// MaxWait is how long the oldest waiting block may be held back to gather
	// MinItems or MinBytes, counted from its Append; 0 leases what is there.
	MaxWait time.Duration
}

// system is what tests replace, to make it fail.
type system struct {
	write      func(f *os.File, b []byte, off int64) (int, error)
	sync       func(f *os.File) error
	now        func() time.Time
	minSegment int64
	tagWindow  int
}

// Queue is an open queue. It is safe for concurrent use.
type Queue struct {
	dir         string
	log         *slog.Logger
	cap         int64
	segmentSize int64
	maxAge      time.Duration
	ages        ages
	policy      Policy
	description Description
	lock        *os.File
	system      system
	buffers     sync.Pool // of *[]byte, for encoding records
	syncer      sync.WaitGroup
	wakeSync    chan struct{}
	done        chan struct{} // closed by Close

	complaints throttle.Log

	// writing is held by whoever changes the active segment or makes room. It
	// is taken before mu.
	writing sync.Mutex

	// mu guards what follows, and the fields of segments and readers. It is not
	// held over reading or writing blocks.
	mu       sync.Mutex
	closed   bool
	readers  []*Reader
	segments []*segment // in order
	active   *segment   // the last of segments, when it can be written to
	index    uint64     // of the last segment that was begun
	seq      uint64     // of the next block
	items    uint64     // in all blocks ever
	end      int64      // bytes in all blocks since Open
	disk     int64      // bytes of all files
	doomed   int        // detached segments whose files are not yet gone
	room     chan struct{}
	fill     Fill       // but for what Fill fills in
	crowded  int64      // bytes of the last Append for which there was no room
	unsynced []*segment // no longer written to
	newFiles bool       // since the last sync
	syncing  bool       // the syncer has something to wait for
}

// Append stores blocks, all of them or none; they count as one against the cap. It keeps
// nothing of them. When it returns nil, they survive the death of the process. An error
// for which pipeline.IsPermanent is true means that they can never be stored; after any
// other, they may be retried.
func (q *Queue) Append(ctx context.Context, blocks ...Block) error {
	if err := q.check(blocks); err != nil {
		return pipeline.Permanent(err)
	}
	buf, _ := q.buffers.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	defer q.buffers.Put(buf)
	*buf = (*buf)[:0]
	for i := range blocks {
		*buf = encodeRecord(*buf, blocks[i])
	}
	records := *buf

	for {
		q.writing.Lock()
		room, err := q.makeRoom(int64(len(records)))
		if err == nil && room == nil {
			err = q.appendRecords(records, blocks)
			q.writing.Unlock()
			return err
		}
		q.writing.Unlock()
		if err != nil {
			return err
		}
		if err := q.waitForRoom(ctx, room); err != nil {
			return err
		}
	}
}

func (q *Queue) waitForRoom(ctx context.Context, room <-chan struct{}) error {
	q.mu.Lock()
	q.fill.Waiting++
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		q.fill.Waiting--
		q.mu.Unlock()
	}()
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-q.done:
		return pipeline.ErrClosed
	}
}

// check reports why blocks can never be stored.
func (q *Queue) check(blocks []Block) error {
	size := int64(0)
	for i := range blocks {
		b := &blocks[i]
		size += recordSize(len(b.Tag), len(b.Data))
		switch {
		case b.Items < 0 || b.Items > maxItems:
			return fmt.Errorf("append a block of %d items: the count is out of range", b.Items)
		case len(b.Tag) > maxTag:
			return fmt.Errorf("append a block: its tag of %d bytes is longer than %d", len(b.Tag), maxTag)
		case len(b.Data) > maxData || size+2*segmentLen > q.cap-q.overhead():
			return fmt.Errorf("append a block of %d bytes: the queue's limit is %d", size, q.cap)
		}
	}
	return nil
}

// overhead is what the queue takes when it is empty.
func (q *Queue) overhead() int64 {
	n := int64(0)
	for _, r := range q.readers {
		n += r.fileSize
	}
	return n
}

// makeRoom ensures that a record of size bytes stays below the cap. It returns a channel
// to wait on when there is no room yet. The caller holds q.writing.
func (q *Queue) makeRoom(size int64) (<-chan struct{}, error) {
	for {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return nil, pipeline.ErrClosed
		}
		if q.disk+size+segmentLen <= q.cap {
			q.noteRoom()
			q.mu.Unlock()
			return nil, nil
		}
		if q.doomed > 0 {
			// A reader is about to remove what it has finished.
			room := q.room
			q.mu.Unlock()
			return room, nil
		}
		if doomed, freed := q.emptyDone(); freed {
			q.mu.Unlock()
			q.unlink(doomed)
			continue
		}
		if len(q.segments) > 0 && (q.idle() || q.policy == DropOldest || q.laggardsHoldOldest()) {
			if !q.idle() {
				q.noteFull(size)
			}
			s := q.dropOldest()
			q.mu.Unlock()
			q.saveCursors()
			q.unlink([]*segment{s})
			continue
		}
		q.noteFull(size)
		room := q.room
		q.mu.Unlock()
		if q.policy == Wait {
			return room, nil
		}
		return nil, fmt.Errorf("append to queue %q: %w", q.dir, pipeline.ErrFull)
	}
}

// laggardsHoldOldest reports whether some reader has kept up, and only readers
// that lag need the oldest segment. The caller holds q.mu.
func (q *Queue) laggardsHoldOldest() bool {
	end := q.seq
	if len(q.segments) > 1 {
		end = q.segments[1].first
	}
	keptUp := false
	for _, r := range q.readers {
		if r.queuedBytes() < q.cap/2 {
			if seq, _ := r.cursor(); seq < end {
				return false
			}
			keptUp = true
		}
	}
	return keptUp
}

// dropOldest takes the oldest segment from all readers. The caller holds q.mu.
func (q *Queue) dropOldest() *segment {
	next := place{seq: q.seq, before: q.items}
	if len(q.segments) > 1 {
		n := q.segments[1]
		next = place{seg: n, off: segmentLen, seq: n.first, before: n.before}
	}
	for _, r := range q.readers {
		r.lose(q.segments[0], next)
	}
	return q.detach(0)
}

// appendRecords writes the records of blocks to the active segment, all to one, and
// notifies the readers. The caller holds q.writing and has made room.
func (q *Queue) appendRecords(records []byte, blocks []Block) error {
	if q.active != nil && q.active.size == segmentLen && q.removed() {
		// Nothing of it has been lost yet.
		if err := q.remake(); err != nil {
			return fmt.Errorf("append to queue %q: %w", q.dir, err)
		}
	}
	a := q.active
	if a == nil || a.missing.Load() || (a.size > segmentLen && a.size+int64(len(records)) > q.segmentSize) {
		if err := q.startSegment(); err != nil {
			return fmt.Errorf("append to queue %q: %w", q.dir, err)
		}
		a = q.active
	}
	now := q.ages.now()
	seq, before := q.seq, q.items
	for rest, i := records, 0; i < len(blocks); i++ {
		seal(rest, a.salt, seq, before, now.UnixNano())
		rest = rest[recordSize(len(blocks[i].Tag), len(blocks[i].Data)):]
		seq++
		before += uint64(blocks[i].Items)
	}
	if _, err := q.system.write(a.file, records, a.size); err != nil {
		if terr := a.file.Truncate(a.size); terr != nil {
			// What remains after the end is not a record; continue in another file.
			q.mu.Lock()
			q.retire(a)
			q.mu.Unlock()
		}
		return fmt.Errorf("append to queue %q: %w", q.dir, err)
	}

	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range blocks {
		b := &blocks[i]
		m := meta{
			seg: a, off: a.size, size: recordSize(len(b.Tag), len(b.Data)), seq: q.seq, before: q.items,
			items: b.Items, dataLen: len(b.Data), appended: q.ages.appended(q.seq, now), tag: b.Tag,
		}
		a.size += m.size
		q.disk += m.size
		q.end += m.size
		q.seq++
		q.items += uint64(b.Items)
		for _, r := range q.readers {
			r.appended(m)
		}
	}
	q.needSync()
	return nil
}

// Reader returns the reader of that id, one of Options.Readers.
func (q *Queue) Reader(id string) *Reader {
	for _, r := range q.readers {
		if r.id == id {
			return r
		}
	}
	panic(fmt.Sprintf("BUG: queue %q has no reader %q", q.dir, id))
}

// Close syncs and closes the queue. Readers' and writers' calls in progress end
// with pipeline.ErrClosed. Leases that are out are leased again after the
// next Open.
func (q *Queue) Close() error {
	q.writing.Lock()
	defer q.writing.Unlock()
	if !q.finish() {
		return nil
	}
	q.reuse()
	err := q.sync()
	if err = errors.Join(err, q.closeFiles()); err != nil {
		return fmt.Errorf("close queue %q: %w", q.dir, err)
	}
	return nil
}

// finish ends all calls in progress and the syncer. It reports whether that had not
// been done. The caller holds q.writing.
func (q *Queue) finish() bool {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return false
	}
	q.closed = true
	close(q.done)
	q.mu.Unlock()
	q.syncer.Wait()
	return true
}

// closeFiles closes all files, the lock last.
func (q *Queue) closeFiles() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.segments {
		s.close()
	}
	for _, r := range q.readers {
		r.close()
	}
	return q.lock.Close()
}
