// Package deliver is the one loop between a queue and its destinations: lease blocks,
// send, acknowledge; back off, honor Retry-After, cut a rejected batch down to the item
// at fault and drop that, with a reason.
package deliver

import (
	"context"
	"errors"
	"net"
	"time"

	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/cause"
	"collector/pkg/queue"
	"collector/pkg/spans"
)

// Sender encodes and sends to one destination. It is used by several
// goroutines when Destination.Concurrency is above 1.
type Sender interface {
	// Send sends blocks, which are in order and share a tag, as one request,
	// once, within a timeout of its own. Its error is *Error, or is taken as
	// one that a retry may fix. When ctx ends, Send ends.
	Send(ctx context.Context, blocks []queue.Block) (Result, error)
	// Split cuts a block into smaller ones that hold its items between them,
	// in order. It returns nil when b cannot be cut.
	Split(b queue.Block) []queue.Block
}

// Result is what a destination said of a request that it accepted.
type Result struct {
	Dropped int    // items that the destination rejected while it accepted the others
	Reason  string // why; "partial_success" when empty
	Message string // the destination's words
	Err     error  // the same, as an error that package cause explains; may be nil
	Unasked bool   // there was nothing to send: the answer is not the destination's
}

// Error is a failed send and what to do about it.
type Error struct {
	Err        error
	Rejected   bool          // the destination will never accept these bytes: bisect, then drop
	TooLarge   bool          // with Rejected: because of their size
	Reason     string        // with Rejected: value of the reason label; "rejected" when empty
	RetryAfter time.Duration // without Rejected: do not retry before; 10 min count as the most
	// Unreachable says, without Rejected, that no server answered at all. A
	// failure to dial or to resolve a name, wrapped in Err, says so by itself.
	Unreachable bool
	// OfTag says, without Rejected, that blocks of other tags may well be accepted: those
	// of this tag wait on their own.
	OfTag bool
}

func (e *Error) Error() string {
	if e.Err == nil {
		return "the send failed, and it is not known why"
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// ofTag returns err if it is about the tag of the blocks alone.
func ofTag(err error) *Error {
	if e := (*Error)(nil); errors.As(err, &e) && e.OfTag && !e.Rejected {
		return e
	}
	return nil
}

// unreachable reports whether err says that nobody answers at the destination.
func unreachable(err error) bool {
	var e *Error
	var dial *net.OpError
	var lookup *net.DNSError
	return errors.As(err, &e) && e.Unreachable || errors.As(err, &dial) && dial.Op == "dial" || errors.As(err, &lookup)
}

// Reasons for which a Writer drops items, besides those of the queue and those
// that a Sender gives.
const (
	ReasonRejected       = "rejected"        // the destination rejects the item
	ReasonTooLarge       = "too_large"       // the destination rejects the item because of its size
	ReasonPartialSuccess = "partial_success" // the destination accepted the others
	ReasonRetryDisabled  = "retry_disabled"  // failed once, with Destination.NoRetry
	ReasonNoDestination  = "no_destination"  // there is nowhere to send to
)

// Backoff is the wait between attempts: from Min, times Factor, up to Max,
// each time with jitter.
type Backoff struct {
	Min, Max time.Duration // 500 ms and 30 s when 0
	Factor   float64       // 2 when 0
	Jitter   float64       // ± this share of the wait; 0.2 when 0
}

// Destination is one endpoint of a writer.
type Destination struct {
	ID  string // stable name of the queue's reader and of the destination label
	URL string // for people; without credentials
	// Key tells the destination again when another writer sends there. Without it, data that is left when the writer is removed is
	// reported, but never delivered.
	Key         string
	Sender      Sender
	Batch       queue.BatchLimits
	Backoff     Backoff
	Concurrency int           // requests at once; 1 when 0. Above 1, requests may arrive out of order
	NoRetry     bool          // drop what fails once, reason "retry_disabled"
	MaxAge      time.Duration // drop blocks whose MaxTime is older when they are about to be sent, reason "too_old"; 0: none

	// Observe is called for every attempt, if it is set. OnDrop is called for every loss
	// that is decided here; those of the queue ("queue_full", "damaged" and its
	// "too_old") show in Status alone. bytes is an estimate where the destination
	// accepted a part. Both must be quick.
	Observe func(Attempt)
	OnDrop  func(items, bytes int, reason string)
}

// Attempt is one request that has ended.
type Attempt struct {
	Tag                  string // of the blocks
	Blocks, Items, Bytes int
	Duration             time.Duration
	Err                  error
	Outcome              Outcome
	Retries              int // failures in a row before it
}

// Outcome is how an attempt ended.
type Outcome string

// The outcomes.
const (
	OK       Outcome = "ok"
	Retry    Outcome = "retry"    // failed in a way that may pass
	Rejected Outcome = "rejected" // the destination will never accept these bytes
)

// Options make a Writer.
type Options struct {
	Component    string // its id, such as "loki.write.default"
	Dir          string // of the queue
	Orphans      *Orphans
	Signal       string // "logs", "metrics", "traces", "profiles": label of the accounting
	Destinations []Destination
	Off          string // why there are no destinations, if there are none
	MaxBytes     int64
	MaxAge       time.Duration
	WhenFull     queue.Policy
	Logger       *slog.Logger
	Metrics      prometheus.Registerer
	Spans        *spans.Provider // of requests; nil for none
}

// Status is a snapshot of a destination for people.
type Status struct {
	ID, URL                  string
	Signal                   string
	Received, Delivered      uint64 // items
	Queued                   uint64 // items
	QueuedBytes              int64
	Dropped                  map[string]uint64 // items by reason
	DamagedBlocks            uint64            // lost to damage on disk; their items are in Dropped as far as they could be counted
	LastSuccess, LastFailure time.Time
	LastError                string
	Cause                    cause.Cause // of LastError
	OldestQueued             time.Time   // when the oldest waiting block was appended; zero when nothing is waiting
	Waiting                  int         // tags (tenants) that the destination has told to wait, and that others pass
	// Unanswered is since when requests are in progress to which there is no answer
	// yet; zero while that is not for long.
	Unanswered time.Time
	// Healthy is false when the destination has been failing for ten seconds without a
	// success, has not answered for fifteen, or has rejected everything the last three
	// times. DownSince is then since when; Rejecting says that it answers, and accepts
	// nothing.
	Healthy   bool
	DownSince time.Time `json:",omitzero"`
	Rejecting bool
	// Off says that this is no destination: there is none, and all data is dropped.
	Off   bool  `json:",omitzero"`
	Queue Queue // that all destinations of the writer share
}
