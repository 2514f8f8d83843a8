// Package queue is a durable log of opaque blocks on disk, shared by several
// readers that each have a cursor of their own.
package queue

import (
	"context"
	"log/slog"
	"time"
)

// Block is what is stored: bytes that only the writer and the sender
// understand, and what the queue has to know of them.
type Block struct {
	Data  []byte
	Tag   string // only blocks of an equal tag are handed out together
	Items int    // log entries, samples, spans, profiles …
	// MinTime and MaxTime bound the timestamps of the items, in nanoseconds
	// since the epoch; 0 when unknown.
	MinTime, MaxTime int64
}

// Policy is what happens to an Append when the queue is at its cap.
//
// With every policy, a queue in which at least one reader has kept up takes the
// room from the readers that lag: they lose their oldest blocks (counted,
// reason "queue_full"), so that a dead endpoint never delays a live one. The
// policy decides when all readers lag.
type Policy int

// The policies.
const (
	DropOldest Policy = iota // the laggards lose their oldest blocks
	Wait                     // Append blocks until there is room or ctx ends
	Refuse                   // Append fails with pipeline.ErrFull
)

// DefaultMaxBytes caps a queue for which no cap is set.
const DefaultMaxBytes = 1 << 30

// Options say where a queue lives and how large it may grow.
type Options struct {
	Dir      string
	Readers  []string      // ids of the readers; at least one
	MaxBytes int64         // on disk; 0: DefaultMaxBytes
	MaxAge   time.Duration // older blocks are dropped, reason "too_old"; 0: no limit
	WhenFull Policy
	Logger   *slog.Logger
}

// Want says when enough blocks wait to be handed out together.
type Want struct {
	MinItems int // hand out at once when so many items wait; 0: no such limit
	MinBytes int // hand out at once when so many bytes wait; 0: no such limit
	MaxItems int // hand out no more items than this, but at least one block; 0: no limit
	MaxBytes int // hand out no more bytes than this, but at least one block; 0: no limit
	// MaxWait is how long the oldest waiting block may be held back to gather
	// MinItems or MinBytes; 0 hands out what is there.
	MaxWait time.Duration
}

// Queue is an open queue. It is safe for concurrent use.
type Queue struct{}

// Open opens or creates the queue in o.Dir, which this process must be alone to use.
func Open(o Options) (*Queue, error) { panic("BUG: to be written") }

// Append stores b. It keeps nothing of b. When it returns nil, b survives the
// death of the process.
func (q *Queue) Append(ctx context.Context, b Block) error { panic("BUG: to be written") }

// Reader returns the reader of that id, one of Options.Readers.
func (q *Queue) Reader(id string) *Reader { panic("BUG: to be written") }

// Close syncs and closes the queue. Readers' and writers' calls under way end with pipeline.ErrClosed.
func (q *Queue) Close() error { panic("BUG: to be written") }

// Reader hands out the blocks of one queue in their order.
type Reader struct{}

// Lease is a run of blocks with one tag that a reader has handed out and that
// wait for Ack or Release.
type Lease struct {
	Blocks []Block
}

// Next waits until Want is met, and hands out the blocks that follow the last
// ones handed out. Several leases may be out at once.
func (r *Reader) Next(ctx context.Context, w Want) (*Lease, error) { panic("BUG: to be written") }

// Ack ends a lease whose blocks are done with: delivered or dropped.
func (r *Reader) Ack(l *Lease) error { panic("BUG: to be written") }

// Release ends a lease whose blocks are to be handed out again.
func (r *Reader) Release(l *Lease) { panic("BUG: to be written") }
