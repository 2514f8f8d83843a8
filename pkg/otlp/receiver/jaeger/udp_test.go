package jaeger

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/translate"
	"collector/pkg/pipeline"
)

// held is a sink that accepts nothing until it is opened.
type held struct {
	otlptest.Sink
	open   chan struct{}
	mu     sync.Mutex
	inside int // guarded by mu
}

func (h *held) WriteOTLP(ctx context.Context, r pipeline.OTLP) error {
	h.mu.Lock()
	h.inside++
	h.mu.Unlock()
	select {
	case <-h.open:
		return h.Sink.WriteOTLP(ctx, r)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *held) waiting() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.inside
}

const droppedDatagrams = "otelcol_receiver_dropped_datagrams_total"

func TestAsManyDatagramsAreForwardedAtOnceAsThereAreWorkers(t *testing.T) {
	for _, transport := range []string{udpBinary, udpCompact} {
		to := &held{open: make(chan struct{})}
		s := serve(t, to, func(p *Protocols) { p.ThriftBinary.Workers, p.ThriftCompact.Workers = 2, 2 })
		for range 4 {
			s.send(t, transport, encoded(t, transport, batch(1)))
		}
		listentest.Eventually(t, "both workers wait for the sink", func() bool { return to.waiting() == 2 })
		close(to.open)
		s.counts(t, "otelcol_receiver_accepted_spans_total", transport, 4)
		if got := len(to.Got()); got != 4 {
			t.Errorf("%s: %d datagrams have arrived", transport, got)
		}
	}
}

func TestDatagramsThatComeTooFastAreDroppedAndCounted(t *testing.T) {
	for _, transport := range []string{udpBinary, udpCompact} {
		to := &held{open: make(chan struct{})}
		s := serve(t, to, func(p *Protocols) {
			p.ThriftBinary.Workers, p.ThriftCompact.Workers = 1, 1
			p.ThriftBinary.QueueSize, p.ThriftCompact.QueueSize = 2, 2
		})
		s.send(t, transport, encoded(t, transport, batch(1)))
		listentest.Eventually(t, "the worker waits for the sink", func() bool { return to.waiting() == 1 })
		for range 5 {
			s.send(t, transport, encoded(t, transport, batch(1)))
		}
		s.counts(t, droppedDatagrams, lostFull, 3)
		close(to.open)
		s.counts(t, "otelcol_receiver_accepted_spans_total", transport, 3)
	}
}

func TestDatagramsThatAreTooLongAreDroppedAndCounted(t *testing.T) {
	for _, transport := range []string{udpBinary, udpCompact} {
		var to otlptest.Sink
		data := encoded(t, transport, batch(1))
		s := serve(t, &to, func(p *Protocols) {
			p.ThriftBinary.MaxPacketSize, p.ThriftCompact.MaxPacketSize = component.Bytes(len(data)), component.Bytes(len(data))
		})
		s.send(t, transport, encoded(t, transport, batch(2)))
		s.send(t, transport, data)
		s.counts(t, droppedDatagrams, lostTooLong, 1)
		s.counts(t, "otelcol_receiver_accepted_spans_total", transport, 1)
	}
}

func TestDatagramsThatAreNotBatchesAreCounted(t *testing.T) {
	var to otlptest.Sink
	s := serve(t, &to, nil)
	for _, data := range []string{"x", "\x80\x01\x00\x04\x00\x00\x00\x0femitZipkinBatch\x00\x00\x00\x01\x00", "\x80\x01\x00\x01\x00\x00\x00\x04ping\x00\x00\x00\x01\x00"} {
		s.send(t, udpBinary, []byte(data))
	}
	s.counts(t, "otelcol_receiver_refused_requests_total", "malformed", 3)
	if len(to.Got()) > 0 {
		t.Error("one is forwarded")
	}
}

// What no sender sends again is kept until the sink accepts it, unless it never will.
func TestADatagramIsOfferedUntilItIsAccepted(t *testing.T) {
	var to otlptest.Sink
	refusals := []error{pipeline.ErrFull, pipeline.ErrOverload}
	var mu sync.Mutex
	failing := otlptest.SinkFunc(func(ctx context.Context, r pipeline.OTLP) error {
		mu.Lock()
		defer mu.Unlock()
		if len(refusals) > 0 {
			err := refusals[0]
			refusals = refusals[1:]
			return err
		}
		return to.WriteOTLP(ctx, r)
	})
	s := serve(t, failing, nil)
	s.send(t, udpCompact, encoded(t, udpCompact, batch(1)))
	s.counts(t, "otelcol_receiver_accepted_spans_total", udpCompact, 1)
	mu.Lock()
	refusals = []error{pipeline.Permanent(pipeline.ErrClosed)}
	mu.Unlock()
	s.send(t, udpCompact, encoded(t, udpCompact, batch(1)))
	s.counts(t, "otelcol_receiver_refused_spans_total", udpCompact, 1)
	s.counts(t, "otelcol_receiver_refused_requests_total", "rejected", 1)
	if got := len(to.Got()); got != 1 {
		t.Errorf("%d datagrams have arrived", got)
	}
}

// broken is a socket of which one datagram can be read.
type broken struct {
	datagram []byte
	failed   error
}

func (b *broken) Read(to []byte) (int, netip.AddrPort, error) {
	if b.datagram == nil {
		synctest.Wait() // until a worker has the datagram
		return 0, netip.AddrPort{}, b.failed
	}
	n := copy(to, b.datagram)
	b.datagram = nil
	return n, netip.MustParseAddrPort("127.0.0.1:9"), nil
}

func (*broken) Lost() uint64            { return 0 }
func (*broken) SetReadBuffer(int) error { return nil }
func (*broken) Close() error            { return nil }

func TestASocketThatFailsEndsTheReceiverWhileNothingIsAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &held{open: make(chan struct{})}
		var c Config
		c.SetToDefault()
		c.Output.Traces = []pipeline.OTLPSink{to}
		c.Protocols.ThriftBinary = new(ThriftBinary)
		c.Protocols.ThriftBinary.SetToDefault()
		r, err := New(c, component.Options{ID: "otelcol.receiver.jaeger.test", Metrics: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		u := newUDP(c.Protocols.ThriftBinary.UDP, udpBinary, translate.Binary, r.intake, newLost(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
		failed := errors.New("broken for the test")
		err = u.serve(t.Context(), &broken{encoded(t, udpBinary, batch(1)), failed})
		if !errors.Is(err, failed) || to.waiting() != 1 {
			t.Errorf("got %v while %d datagrams are waiting", err, to.waiting())
		}
	})
}
