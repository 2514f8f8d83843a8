package otlp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"collector/pkg/listen"
	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/compression"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/rawgrpc"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

// holdingSink holds each request until leave is closed.
type holdingSink struct{ entered, leave chan struct{} }

func (s holdingSink) WriteOTLP(ctx context.Context, _ pipeline.OTLP) error {
	select {
	case s.entered <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-s.leave:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func newHoldingSink() holdingSink {
	return holdingSink{entered: make(chan struct{}), leave: make(chan struct{})}
}

func TestAGRPCRequestHoldsItsClaimUntilItIsQueued(t *testing.T) {
	to := newHoldingSink()
	sv := serve(t, otlptest.All(to), nil)
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 500_000)
	answered := make(chan error, 1)
	go func() { answered <- export(t, sv.grpc, pipeline.SignalTraces, data) }()
	<-to.entered
	if used := sv.inFlight.Used(); used < int64(len(data)) {
		t.Errorf("%d bytes are claimed while a request of %d is queued", used, len(data))
	}
	close(to.leave)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	listentest.Eventually(t, "the claim is given back", func() bool { return sv.inFlight.Used() == 0 })
}

// unfinished begins a message of that size by gRPC, of which begin arrives and
// then nothing, and returns the status that it ends with. stop ends it.
func unfinished(t *testing.T, transport *http.Transport, address string, size uint32, begin int) (code <-chan string, stop func()) {
	t.Helper()
	body, client := io.Pipe()
	r, err := http.NewRequest(http.MethodPost, "http://"+address+"/"+rawgrpc.Service(pipeline.SignalTraces)+"/Export", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	ended := make(chan string, 1)
	go func() {
		answer, err := transport.RoundTrip(r)
		if err != nil {
			ended <- err.Error()
			return
		}
		defer answer.Body.Close()
		_, _ = io.Copy(io.Discard, answer.Body) // the trailer follows it
		ended <- answer.Header.Get("Grpc-Status") + answer.Trailer.Get("Grpc-Status")
	}()
	go func() {
		_, _ = client.Write(binary.BigEndian.AppendUint32([]byte{0}, size))
		_, _ = client.Write(make([]byte, begin)) // fails where the message is refused
	}()
	return ended, func() { client.CloseWithError(errors.New("the client stops")) }
}

func http2Transport(t testing.TB) *http.Transport { return http2TransportFrom(t, goodClient) }

// goodClient is the address from which good senders send.
const goodClient = "127.0.0.1"

// badClients are the addresses from which others send, with a share of the memory beside
// the good one's, or within it.
func badClients() map[string]string {
	return map[string]string{"of another address": "127.0.0.2", "of the same address": goodClient}
}

// http2TransportFrom sends from an address of this machine.
func http2TransportFrom(t testing.TB, from string) *http.Transport {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{Protocols: new(http.Protocols), DialContext: dialer.DialContext}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// The messages of a hundred streams of one connection, which never end, take no
// more than the budget lets one request take.
func TestUnfinishedGRPCMessagesStayWithinTheBudget(t *testing.T) {
	for name, from := range badClients() {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it takes seconds, and no CPU time
			unfinishedMessagesFrom(t, from)
		})
	}
}

func unfinishedMessagesFrom(t *testing.T, from string) {
	const budget = 4 << 20
	var to otlptest.Sink
	sv := serveWithin(t, budget, otlptest.All(&to), func(c *Config) { c.GRPC.MaxConcurrentStreams = 100 })
	transport := http2TransportFrom(t, from)
	var refused, most int64
	for range 100 {
		code, stop := unfinished(t, transport, sv.grpc, 10<<20, 512<<10)
		defer stop()
		most = max(most, sv.inFlight.Used())
		select {
		case c := <-code:
			if c != "14" {
				t.Fatalf("a message is refused with status %s", c)
			}
			refused++
		default:
		}
	}
	listentest.Eventually(t, "most are refused", func() bool {
		most = max(most, sv.inFlight.Used())
		return otlptest.Counter(t, sv.metrics, "otelcol_receiver_refused_requests_total", "overload") > 50
	})
	if most > 4*budget {
		t.Errorf("%d bytes are claimed", most)
	}
	// Good requests get through beside them, and stalled ones make room.
	for range 20 {
		data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 300_000)
		listentest.Eventually(t, "a good request is taken", func() bool {
			err := export(t, sv.grpc, pipeline.SignalTraces, data)
			if err != nil && status.Code(err) != codes.Unavailable {
				t.Fatal(err)
			}
			return err == nil
		})
	}
}

// Clients that have disconnected hold no places among the few that may wait for room.
func TestADisconnectedGRPCClientWaitsForNoRoom(t *testing.T) {
	const more = 10 // than may wait of one client
	synctest.Test(t, func(t *testing.T) {
		var to otlptest.Sink
		budget := listen.NewBudget(1 << 20)
		m := serveInMemory(t, otlptest.All(&to), func(r *Receiver) { r.intake.Budget = budget })
		var others []*listen.Claim
		for _, taken := range []int{2 << 20, 64 << 10, 64 << 10} { // all, and what is left to small requests
			c := budget.Claim("other", nil)
			if err := c.Grow(taken); err != nil {
				t.Fatal(err)
			}
			others = append(others, c)
		}
		conn := m.client(t)
		send := func(ctx context.Context) <-chan error {
			data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 10)
			answered := make(chan error, 1)
			go func() {
				answered <- conn.Invoke(ctx, "/"+rawgrpc.Service(pipeline.SignalTraces)+"/Export", mem.BufferSlice{mem.SliceBuffer(data)}, new(rawgrpc.Message), grpc.ForceCodecV2(rawgrpc.Codec{}))
			}()
			synctest.Wait()
			return answered
		}
		for range more {
			ctx, cancel := context.WithCancel(t.Context())
			answered := send(ctx)
			cancel()
			<-answered
			synctest.Wait()
		}
		answered := send(t.Context())
		for _, c := range others {
			c.Release()
		}
		if err := <-answered; err != nil || len(to.Got()) != 1 {
			t.Errorf("one whose client is there does not wait for room: %v", err)
		}
		if got := otlptest.Counter(t, m.metrics, "otelcol_receiver_refused_requests_total", "overload"); got != 0 {
			t.Errorf("%v requests are counted as refused, though their clients had gone", got)
		}
	})
}

// A message that stalls ends when others need its memory, and its client is asked to
// retry.
func TestAStalledGRPCMessageMakesRoom(t *testing.T) {
	for name, from := range badClients() {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it takes seconds, and no CPU time
			stalledMessagesFrom(t, from)
		})
	}
}

func stalledMessagesFrom(t *testing.T, from string) {
	var to otlptest.Sink
	sv := serveWithin(t, 2<<20, otlptest.All(&to), nil)
	transport := http2TransportFrom(t, from)
	var codes []<-chan string
	for range 2 { // one of them exceeds the budget
		code, stop := unfinished(t, transport, sv.grpc, 900<<10, 100<<10)
		defer stop()
		codes = append(codes, code)
	}
	listentest.Eventually(t, "both hold memory", func() bool { return sv.inFlight.Used() > 1800<<10 })
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 600_000)
	listentest.Eventually(t, "a good request is taken", func() bool {
		return export(t, sv.grpc, pipeline.SignalTraces, data) == nil
	})
	select {
	case code := <-codes[0]:
		if code != "14" {
			t.Errorf("it ends with status %s", code)
		}
	case code := <-codes[1]:
		if code != "14" {
			t.Errorf("it ends with status %s", code)
		}
	case <-t.Context().Done():
	}
}

// What compressed messages unpack to is claimed as it grows, and until they are
// queued.
func TestUnpackedGRPCMessagesTakeNoMoreThanTheBudget(t *testing.T) {
	const budget, clients = 4 << 20, 50
	to := newHoldingSink()
	sv := serveWithin(t, budget, otlptest.All(to), nil)
	// An unknown field makes it large.
	data := append(otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 0), otlptest.Nested(100, make([]byte, 3<<20))...)
	var wg sync.WaitGroup
	answers := make(chan error, clients)
	conn := dial(t, sv.grpc)
	for range clients {
		wg.Go(func() { answers <- exportOn(t, conn, data, grpc.UseCompressor("gzip")) })
	}
	<-to.entered
	for range clients - 4 { // 3 times the budget is room for four, with one that enters
		if err := <-answers; status.Code(err) != codes.Unavailable {
			t.Errorf("answered %v", err)
		}
	}
	if used := sv.inFlight.Used(); used > 4*budget || used < int64(len(data)) {
		t.Errorf("%d bytes are claimed", used)
	}
	go func() {
		for range to.entered {
		}
	}()
	close(to.leave)
	wg.Wait()
	close(to.entered)
	listentest.Eventually(t, "the claims are given back", func() bool { return sv.inFlight.Used() == 0 })
}

// A few kilobytes of empty messages are decoded into gigabytes.
func TestARequestThatGrowsWhenItIsDecodedIsRejected(t *testing.T) {
	var to otlptest.Sink
	sv := serveWithin(t, 16<<20, otlptest.All(&to), nil)
	const n = 4 << 20
	bodies := map[string][]byte{
		"resources":  bytes.Repeat(otlptest.Nested(1), n),
		"spans":      otlptest.Nested(1, 2, bytes.Repeat(otlptest.Nested(2), n)),
		"attributes": otlptest.Nested(1, 1, bytes.Repeat(otlptest.Nested(1), n)),
		"unknown":    bytes.Repeat(otlptest.Nested(15), n),
	}
	for name, data := range bodies {
		resp, _ := post(t, "http://"+sv.http+"/v1/traces", wire.TypeProtobuf, "gzip", otlptest.Compress(t, compression.New("gzip", compression.Fastest, 0), data))
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: by HTTP: %s", name, resp.Status)
		}
		err := export(t, sv.grpc, pipeline.SignalTraces, data, grpc.UseCompressor("gzip"))
		if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "send smaller batches") {
			t.Errorf("%s: by gRPC: %v", name, err)
		}
	}
	if got := otlptest.Counter(t, sv.metrics, "otelcol_receiver_refused_requests_total", "too_large"); got != float64(2*len(bodies)) {
		t.Errorf("%v requests are counted as too large", got)
	}
	if len(to.Got()) > 0 {
		t.Errorf("%d requests were taken", len(to.Got()))
	}
	// A large request with what SDKs send is not charged for.
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 10_000, 3)
	if _, decoded, err := wire.Measure(pipeline.SignalTraces, data); err != nil || decoded > 8*len(data) {
		t.Errorf("%d bytes are decoded into %d: %v", len(data), decoded, err)
	}
}
