package syslog

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/listen"
	"collector/pkg/pipeline"
)

const (
	// batchEntries is how many entries are forwarded at once, at most.
	batchEntries = 1000
	// entryCost is about what an entry takes besides its text.
	entryCost = 128
	// shortest is about how long the shortest messages are.
	shortest = 20
)

// batchCost is about what so many bytes of messages take until they have been
// forwarded: of short ones, that is mostly what is beside their texts.
func batchCost(bytes int) int { return bytes + entryCost*min(batchEntries, bytes/shortest+1) }

// batch gathers entries until they are forwarded.
type batch struct {
	streams []pipeline.Stream
	entries int
	bytes   int
	newest  time.Time
	from    *listener
}

func (b *batch) add(lset labels.Labels, e pipeline.Entry) {
	b.entries++
	b.bytes += len(e.Line)
	for i := len(b.streams) - 1; i >= 0; i-- {
		if labels.Equal(b.streams[i].Labels, lset) {
			b.streams[i].Entries = append(b.streams[i].Entries, e)
			return
		}
	}
	if n := len(b.streams); n < cap(b.streams) {
		b.streams = b.streams[:n+1]
	} else {
		b.streams = append(b.streams, pipeline.Stream{})
	}
	s := &b.streams[len(b.streams)-1]
	s.Labels, s.Entries = lset, append(s.Entries[:0], e)
}

// reset empties the batch. It keeps the room of streams, but no entry.
func (b *batch) reset() {
	for i := range b.streams {
		clear(b.streams[i].Entries)
		b.streams[i].Labels = labels.EmptyLabels()
	}
	*b = batch{streams: b.streams[:0], from: b.from}
}

// forward gives a batch to the receivers, to each until it takes it, and empties
// it. It fails when ctx ends; what is not forwarded then is counted.
func (s *Source) forward(ctx context.Context, b *batch) error {
	n := b.entries
	if n == 0 {
		return nil
	}
	defer b.reset()
	logs, refused := pipeline.Logs{Streams: b.streams}, false
	s.waiting.Add(1)
	_, err := pipeline.UntilAccepted(ctx, s.config.ForwardTo, 0,
		func(ctx context.Context, to pipeline.LogsSink) error { return to.WriteLogs(ctx, logs) },
		pipeline.Notify{
			Refused: func(to int, err error) {
				refused = true
				s.metrics.drop(reasonRejected, n)
				s.quiet.Warn(s.options.Logger, reasonRejected, "a receiver rejected log entries, which are dropped", "forward_to", to+1, "entries", n, "err", err)
			},
			Waiting: func(to int, err error) {
				s.quiet.Warn(s.options.Logger, "waiting", "a receiver does not accept log entries; retrying", "forward_to", to+1, "err", err)
			},
		})
	s.waiting.Add(-1)
	if err != nil {
		s.metrics.drop(reasonStopped, n)
		b.from.counts.dropped.Add(uint64(n))
		return err
	}
	if refused {
		b.from.counts.dropped.Add(uint64(n))
		return nil
	}
	s.metrics.entries.Add(float64(n))
	b.from.counts.forwarded(b)
	return nil
}

// claim claims so much memory for client, and waits for it as long as it takes.
func (s *Source) claim(ctx context.Context, client string, n int) (*listen.Claim, error) {
	for {
		c := s.budget.Claim(client, nil)
		c.Wait(time.Minute)
		c.Counted()
		c.Until(ctx.Done())
		err := c.Grow(n)
		if err == nil {
			return c, nil
		}
		c.Release()
		if !errors.Is(err, listen.ErrNoRoom) || ctx.Err() != nil {
			return nil, err
		}
	}
}

// counts are what a listener shows.
type counts struct {
	// received are all messages: those that are forwarded or dropped, or wait.
	received, lines, bytes, dropped, invalid atomic.Uint64
	connections                              atomic.Int64
	newest                                   atomic.Int64 // Unix nanoseconds; 0: none

	mu      sync.Mutex
	problem problem // with what came last that was not valid; guarded by mu
}

// problem is what was wrong, and when.
type problem struct {
	text string
	at   time.Time
}

// lost counts messages that are dropped before anybody looks into them.
func (c *counts) lost(n uint64) {
	c.received.Add(n)
	c.dropped.Add(n)
}

// wrong keeps what was wrong with what a client sent.
func (c *counts) wrong(client string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problem = problem{client + ": " + err.Error(), time.Now()}
}

func (c *counts) lastProblem() problem {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.problem
}

func (c *counts) forwarded(b *batch) {
	c.lines.Add(uint64(b.entries))
	c.bytes.Add(uint64(b.bytes))
	c.newest.Store(b.newest.UnixNano())
}
