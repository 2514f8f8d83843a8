package jaeger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/otlp/server"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

const (
	// maxWaiting bounds the bytes of the datagrams of one protocol that wait, however
	// many of them may.
	maxWaiting = 8 << 20
	// datagramCost is about what a datagram takes besides its bytes.
	datagramCost = 128
	// stopPatience is how long waiting datagrams may take to be queued when the receiver stops.
	stopPatience = 2 * time.Second
	// longestDatagram is more than a datagram may have.
	longestDatagram = 64 << 10
)

// Reasons of otelcol_receiver_dropped_datagrams_total.
const (
	lostInKernel = "kernel"     // nobody read it in time
	lostFull     = "queue_full" // destinations accept too little
	lostTooLong  = "too_large"  // longer than max_packet_size
)

func newLost(r prometheus.Registerer) *prometheus.CounterVec {
	lost := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "otelcol_receiver_dropped_datagrams_total",
		Help: "Datagrams that were dropped before they were decoded, by reason. Their senders do not learn of it.",
	}, []string{"transport", "reason"})
	r.MustRegister(lost)
	return lost
}

// udp receives a protocol by UDP.
type udp struct {
	config    UDP
	transport string
	protocol  newThrift
	intake    *server.Intake
	lost      *prometheus.CounterVec // by transport and reason
	logger    *slog.Logger
	quiet     throttle.Log
	waiting   *queue
}

func newUDP(c UDP, transport string, protocol newThrift, in *server.Intake, lost *prometheus.CounterVec, logger *slog.Logger) *udp {
	return &udp{
		config: c, transport: transport, protocol: protocol, intake: in, lost: lost, logger: logger,
		waiting: newQueue(c.QueueSize, int(listen.WithinMemory(maxWaiting))),
	}
}

// socket is what is used of listen.Packets.
type socket interface {
	Read(b []byte) (n int, from netip.AddrPort, err error)
	Lost() uint64
	SetReadBuffer(bytes int) error
	Close() error
}

// serve receives datagrams until ctx ends, or p cannot be read, and closes p. Those that are waiting then are
// still forwarded, for as long as stopPatience.
func (u *udp) serve(ctx context.Context, p socket) error {
	if size := int(u.config.SocketBufferSize); size > 0 {
		if err := p.SetReadBuffer(size); err != nil {
			p.Close()
			return component.At("socket_buffer_size", err)
		}
	}
	if !u.intake.Wired(pipeline.SignalTraces) {
		<-ctx.Done()
		return p.Close()
	}
	lasting, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	stop := context.AfterFunc(ctx, func() { p.Close() })
	defer stop()
	var workers sync.WaitGroup
	u.waiting.open()
	for range u.config.Workers {
		workers.Go(func() { u.work(lasting) })
	}
	err := u.read(p)
	u.waiting.close()
	patience := time.AfterFunc(stopPatience, end)
	defer patience.Stop()
	workers.Wait()
	return err
}

// read reads datagrams until p is closed, and never waits for the workers.
func (u *udp) read(p socket) error {
	defer p.Close()
	buf := make([]byte, longestDatagram)
	var inKernel uint64
	for {
		n, from, err := p.Read(buf)
		if now := p.Lost(); now > inKernel {
			u.lose(lostInKernel, now-inKernel)
			inKernel = now
		}
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read datagrams: %w", err)
		}
		switch client := from.String(); {
		case n > int(u.config.MaxPacketSize):
			u.lose(lostTooLong, 1)
		case !u.waiting.add(datagram{client, bytes.Clone(buf[:n])}):
			u.lose(lostFull, 1)
		}
	}
}

// lose counts datagrams that are dropped.
func (u *udp) lose(reason string, n uint64) {
	u.lost.WithLabelValues(u.transport, reason).Add(float64(n))
	u.intake.Tally.Refuse(reason, "", fmt.Errorf("%d datagrams were dropped", n))
	u.quiet.Warn(u.logger, reason, "datagrams dropped", "transport", u.transport, "reason", reason, "datagrams", n)
}

// work forwards datagrams until there will be no more.
func (u *udp) work(ctx context.Context) {
	for {
		d, ok := u.waiting.next()
		if !ok {
			return
		}
		claim := u.intake.Budget.Claim(listen.ClientBy("UDP", d.client), nil)
		u.intake.Keep(ctx, pipeline.SignalTraces, claim, server.Sender{Transport: u.transport, Client: d.client}, func(claim *listen.Claim) (server.Payload, error) {
			return decodeCall(claim, d.data, u.protocol)
		})
		u.waiting.done(d)
	}
}

// datagram is one that waits for a worker.
type datagram struct {
	client string
	data   []byte
}

func (d datagram) cost() int { return len(d.data) + datagramCost }

// queue holds the datagrams that wait, up to a number and bytes.
type queue struct {
	most, mostBytes int

	mu      sync.Mutex
	some    sync.Cond // there are datagrams, or the queue is closed
	waiting []datagram
	bytes   int // of waiting, and of what the workers have
	closed  bool
}

func newQueue(most, mostBytes int) *queue {
	q := &queue{most: most, mostBytes: mostBytes}
	q.some.L = &q.mu
	return q
}

// add reports whether there was room for d.
func (q *queue) add(d datagram) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= q.most || q.bytes+d.cost() > q.mostBytes {
		return false
	}
	q.waiting = append(q.waiting, d)
	q.bytes += d.cost()
	q.some.Signal()
	return true
}

// next waits for a datagram; false: there will be none. It goes back by done.
func (q *queue) next() (datagram, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 {
		if q.closed {
			return datagram{}, false
		}
		q.some.Wait()
	}
	d := q.waiting[0]
	q.waiting[0] = datagram{}
	if q.waiting = q.waiting[1:]; len(q.waiting) == 0 {
		q.waiting = nil
	}
	return d, true
}

// done gives back the room of a datagram.
func (q *queue) done(d datagram) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= d.cost()
}

// open says that datagrams will come.
func (q *queue) open() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = false
}

// close says that no more datagrams come.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.some.Broadcast()
}
