// Package deliver is the one loop between a queue and its destinations: take
// blocks, send, acknowledge; back off, honour Retry-After, cut a refused batch
// down to the item that is at fault and drop that, with a reason.
package deliver

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"log/slog"

	"collector/pkg/queue"
)

// Sender encodes and sends to one destination. It is used by several
// goroutines when Destination.Concurrency is above 1.
type Sender interface {
	// Send sends blocks, which are in order and share a tag, as one request,
	// once, within a time-out of its own. Its error is *Error, or is taken as
	// one that a retry may mend.
	Send(ctx context.Context, blocks []queue.Block) (Result, error)
	// Split cuts a block into smaller ones that hold its items between them,
	// in order. It returns nil when b cannot be cut.
	Split(b queue.Block) []queue.Block
}

// Result is what a destination said of a request that it took.
type Result struct {
	Dropped int    // items that the destination refused while it took the others
	Reason  string // why; "partial_success" when empty
	Message string // the destination's words
}

// Error is a failed send and what to do about it.
type Error struct {
	Err        error
	Rejected   bool          // the destination will never take these bytes: bisect, then drop
	TooLarge   bool          // with Rejected: because of their size
	Reason     string        // with Rejected: value of the reason label; "rejected" when empty
	RetryAfter time.Duration // without Rejected: do not try again before
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Backoff is the wait between attempts: from Min, times Factor, up to Max,
// each time with jitter.
type Backoff struct {
	Min, Max time.Duration
	Factor   float64 // 2 when 0
	Jitter   float64 // ± this share of the wait; 0.2 when 0
}

// Destination is one endpoint of a writer.
type Destination struct {
	ID          string // stable name of the queue's reader and of the destination label
	URL         string // for people; without credentials
	Sender      Sender
	Batch       queue.Want
	Backoff     Backoff
	Concurrency int           // requests at once; 1 when 0
	NoRetry     bool          // drop what fails once, reason "retry_disabled"
	MaxAge      time.Duration // drop blocks whose MaxTime is older when they are about to be sent, reason "too_old"; 0: none
}

// Options make a Writer.
type Options struct {
	Dir          string // of the queue
	Signal       string // "logs", "metrics", "traces", "profiles": label of the accounting
	Destinations []Destination
	MaxBytes     int64
	MaxAge       time.Duration
	WhenFull     queue.Policy
	Logger       *slog.Logger
	Metrics      prometheus.Registerer
}

// Writer is a queue and a delivery loop for each of its destinations.
type Writer struct{}

// New checks o and starts nothing.
func New(o Options) (*Writer, error) { panic("BUG: to be written") }

// Run opens the queue and delivers until ctx ends. It then stops waiting for batches to fill,
// gives what is queued up to a flush time of 2 s to be delivered, and closes the queue.
func (w *Writer) Run(ctx context.Context) error { panic("BUG: to be written") }

// Append queues b for every destination. It blocks until Run has opened the
// queue. nil means durable. With no destination it drops and counts b.
func (w *Writer) Append(ctx context.Context, b queue.Block) error { panic("BUG: to be written") }

// Drop counts items that never became a block, as received and dropped for reason at every destination.
func (w *Writer) Drop(items int, reason string) { panic("BUG: to be written") }

// SetBatch changes how the named destination's blocks are merged from now on.
func (w *Writer) SetBatch(id string, want queue.Want) { panic("BUG: to be written") }

// Status is a snapshot of a destination for people.
type Status struct {
	ID, URL                  string
	Signal                   string
	Received, Delivered      uint64 // items
	Queued                   uint64 // items
	QueuedBytes              int64
	Dropped                  map[string]uint64 // items by reason
	LastSuccess, LastFailure time.Time
	LastError                string
	OldestQueued             time.Time // when the oldest waiting block was appended; zero when none waits
	Healthy                  bool
}

// Status returns a snapshot for each destination. It never waits for a send.
func (w *Writer) Status() []Status { panic("BUG: to be written") }
