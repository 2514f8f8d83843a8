package syslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/listen"
)

const (
	// maxDatagram is the longest that there is.
	maxDatagram = 64 << 10
	// datagramCost is about what a datagram takes besides its text.
	datagramCost = 128
	// workBytes is about how many bytes of datagrams are forwarded at once.
	workBytes = 256 << 10
)

// datagram is one that waits for receivers.
type datagram struct {
	listener *listener
	from     netip.Addr
	at       time.Time
	text     []byte
	size     int // more than text has if it was cut
}

func (d *datagram) cost() int { return len(d.text) + datagramCost }

// queue holds datagrams that receivers have not taken yet, up to a bound.
type queue struct {
	max int

	mu      sync.Mutex
	waiting []datagram // guarded by mu
	bytes   int        // of waiting, and of what is being forwarded; guarded by mu
	closed  bool       // guarded by mu
	wake    chan struct{}
}

func newQueue(max int64) *queue { return &queue{max: int(max), wake: make(chan struct{}, 1)} }

// size is how many bytes wait.
func (q *queue) size() float64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return float64(q.bytes)
}

// add reports whether there was room for d.
func (q *queue) add(d datagram) bool {
	q.mu.Lock()
	ok := q.bytes+d.cost() <= q.max
	if ok {
		q.bytes += d.cost()
		q.waiting = append(q.waiting, d)
	}
	q.mu.Unlock()
	q.signal()
	return ok
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// open says that datagrams will come.
func (q *queue) open() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = false
}

// close says that nothing more comes.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}

// next waits for datagrams and returns the oldest of them, which still take their
// room until they are done; ok is false when none will come.
func (q *queue) next() (some []datagram, ok bool) {
	for {
		q.mu.Lock()
		n, size := 0, 0
		for n < len(q.waiting) && n < batchEntries && size < workBytes {
			size += len(q.waiting[n].text)
			n++
		}
		some = append(some, q.waiting[:n]...)
		clear(q.waiting[:n])
		if q.waiting = q.waiting[n:]; len(q.waiting) == 0 {
			q.waiting = nil
		}
		closed := q.closed
		q.mu.Unlock()
		if n > 0 || closed {
			return some, n > 0
		}
		<-q.wake
	}
}

// done gives back the room of what next returned.
func (q *queue) done(some []datagram) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range some {
		q.bytes -= some[i].cost()
	}
}

// readPackets reads datagrams until ctx ends, and never waits for receivers.
func (l *listener) readPackets(ctx context.Context, from *listen.Packets) error {
	defer from.Close()
	stop := context.AfterFunc(ctx, func() { from.Close() })
	defer stop()
	s, longest := l.source, l.config.longest()
	buf := make([]byte, maxDatagram)
	var lost uint64
	for {
		n, address, err := from.Read(buf)
		if now := from.Lost(); now > lost {
			l.lose(reasonKernel, now-lost)
			lost = now
		}
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read syslog datagrams on %s: %w", from.Addr(), err)
		}
		d := datagram{listener: l, from: address.Addr().Unmap(), at: time.Now(), text: bytes.Clone(buf[:min(n, longest)]), size: n}
		if !s.queue.add(d) {
			l.lose(reasonFull, 1)
		}
	}
}

// lose counts datagrams that are dropped.
func (l *listener) lose(reason string, n uint64) {
	s := l.source
	s.metrics.datagrams.WithLabelValues(reason).Add(float64(n))
	l.counts.lost(n)
	s.quiet.Warn(s.options.Logger, reason, "datagrams dropped: they arrive faster than receivers accept them", "address", l.Address(), "where", reason, "datagrams", n)
}

// work forwards datagrams until there will be no more.
func (s *Source) work(lasting context.Context) {
	w := worker{source: s, parsers: make(map[*listener]*sender)}
	for {
		some, ok := s.queue.next()
		if !ok {
			return
		}
		w.forward(lasting, some)
		s.queue.done(some)
	}
}

// worker makes entries of datagrams.
type worker struct {
	source  *Source
	parsers map[*listener]*sender
	batch   batch
	reader  bytes.Reader
}

// sender is the sender of the last datagram to a listener.
type sender struct {
	parser
	frames  frames
	address netip.Addr
	at      time.Time // when labels were made
	labels  labels.Labels
}

// forward forwards datagrams, those of one listener after the other at once.
func (w *worker) forward(lasting context.Context, some []datagram) {
	for i := range some {
		d := &some[i]
		if w.batch.from != d.listener {
			_ = w.source.forward(lasting, &w.batch) // what is not accepted is counted
			w.batch.from = d.listener
		}
		w.take(d)
	}
	_ = w.source.forward(lasting, &w.batch)
}

// take adds the messages of a datagram to the batch.
func (w *worker) take(d *datagram) {
	l := d.listener
	p := w.parsers[l]
	if p == nil {
		p = &sender{parser: parser{listener: l}, frames: l.config.frames()}
		w.parsers[l] = p
	}
	if p.address != d.from || d.at.Sub(p.at) > lookupAge {
		var named bool
		p.address, p.at = d.from, d.at
		if p.labels, named = l.clientSoFar(d.from); !named {
			p.at = time.Time{} // the next datagram looks again
		}
	}
	w.reader.Reset(d.text)
	p.frames.max = max(l.config.longest(), len(d.text))
	p.frames.reset(&w.reader)
	for {
		m, err := p.frames.next()
		switch {
		case err == io.EOF && len(d.text) > 0:
			return
		case err == io.EOF:
			l.source.metrics.empty.Inc()
			l.counts.lost(1)
			return
		case err != nil:
			l.malformed(d.from.String(), err)
			return
		}
		if w.reader.Len() == 0 && p.frames.start == p.frames.end { // the last one, which may be cut
			m.size += d.size - len(d.text)
		}
		p.take(&w.batch, m, p.labels, d.at)
	}
}
