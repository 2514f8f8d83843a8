package otlp

import (
	"context"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/rawgrpc"
	"collector/pkg/otlp/server"
	"collector/pkg/pipeline"
)

// inMemory is a server of gRPC that is reached in memory, in a bubble of synctest.
type inMemory struct {
	listener *listen.Memory
	watch    otlptest.Watch // its side of the connections
	metrics  *prometheus.Registry
}

// serveInMemory starts a server, which change may change before.
func serveInMemory(t *testing.T, to flow.Output, change func(*Receiver)) *inMemory {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.GRPC, c.Output = new(GRPCServer), to
	c.GRPC.SetToDefault()
	m := &inMemory{listener: listen.NewMemory(), metrics: prometheus.NewRegistry()}
	r, err := New(c, component.Options{Metrics: m.metrics})
	if err != nil {
		t.Fatal(err)
	}
	change(r)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.grpc.Serve(ctx, m.watch.Listener(m.listener)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return m
}

// configured starts a server that reads requests, but never queues them.
func configured(t *testing.T, change func(*server.GRPCConfig)) *inMemory {
	t.Helper()
	never := otlptest.SinkFunc(func(ctx context.Context, _ pipeline.OTLP) error {
		<-ctx.Done()
		return ctx.Err()
	})
	return serveInMemory(t, otlptest.All(never), func(r *Receiver) { change(&r.grpc.Config) })
}

// dial connects with a client that acknowledges pings, or does not.
func (m *inMemory) dial(t *testing.T, client func(testing.TB, net.Conn) *otlptest.Peer) *otlptest.Peer {
	t.Helper()
	conn, err := m.listener.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := client(t, conn)
	synctest.Wait()
	return p
}

// client is the library's own client.
func (m *inMemory) client(t *testing.T) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return m.listener.Dial(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// call begins a request, which is never answered.
func call(p *otlptest.Peer, stream uint32) {
	p.Call(stream, "/"+rawgrpc.Service(pipeline.SignalTraces)+"/Export", nil)
	synctest.Wait()
}

// parameters configures when connections end.
func parameters(p server.ServerParameters) func(*server.GRPCConfig) {
	return func(c *server.GRPCConfig) { c.Keepalive = &server.ServerKeepalive{ServerParameters: &p} }
}

// after lets time pass, and says what the client has seen by then.
func after(d time.Duration, p *otlptest.Peer) otlptest.Seen {
	time.Sleep(d)
	synctest.Wait()
	return p.Seen()
}

func TestIdleConnectionsOfGRPCEndAsTheUserSays(t *testing.T) {
	f := func(want time.Duration, change func(*server.GRPCConfig)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			p := configured(t, change).dial(t, otlptest.CallingPeer)
			if seen := after(want-time.Second, p); len(seen.GoAways) > 0 || seen.Closed {
				t.Errorf("it ends before %s", want)
			}
			if seen := after(2*time.Second, p); want < time.Hour && len(seen.GoAways) == 0 {
				t.Errorf("it does not end after %s", want)
			}
		})
	}
	var byDefault server.ServerParameters
	byDefault.SetToDefault()
	f(5*time.Minute, func(*server.GRPCConfig) {})
	f(5*time.Minute, func(c *server.GRPCConfig) { c.Keepalive = &server.ServerKeepalive{} })
	f(5*time.Minute, parameters(byDefault))
	f(24*time.Hour, parameters(server.ServerParameters{MaxConnectionIdle: 0})) // never
	f(30*time.Minute, parameters(server.ServerParameters{MaxConnectionIdle: 30 * time.Minute}))
}

// A connection ends at its age, give or take a tenth, also one that is in use; what is
// under way has the grace.
func TestConnectionsOfGRPCEndAtTheirAge(t *testing.T) {
	for _, grace := range []time.Duration{0, 30 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			p := configured(t, parameters(server.ServerParameters{MaxConnectionAge: time.Hour, MaxConnectionAgeGrace: grace})).dial(t, otlptest.CallingPeer)
			call(p, 1)
			if seen := after(53*time.Minute, p); len(seen.GoAways) > 0 || seen.Closed {
				t.Error("the connection ends before its time")
			}
			var seen otlptest.Seen
			for range 14 {
				if seen = after(time.Minute, p); len(seen.GoAways) > 0 {
					break
				}
			}
			if len(seen.GoAways) == 0 || seen.Closed {
				t.Errorf("after its time: %+v", seen)
			}
			if seen := after(28*time.Minute, p); seen.Closed {
				t.Errorf("with a grace of %s, it ends before", grace)
			}
			if seen := after(3*time.Minute, p); seen.Closed != (grace > 0) {
				t.Errorf("with a grace of %s, it has ended then: %t", grace, seen.Closed)
			}
		})
	}
}

func TestAGRPCClientThatHasVanishedIsFoundOut(t *testing.T) {
	found := parameters(server.ServerParameters{Time: 30 * time.Second, Timeout: 7 * time.Second})
	synctest.Test(t, func(t *testing.T) {
		p := configured(t, found).dial(t, otlptest.SilentCaller)
		if seen := after(29*time.Second, p); seen.Pings > 0 {
			t.Error("it is asked before time")
		}
		if seen := after(7*time.Second, p); seen.Pings != 1 || seen.Closed {
			t.Errorf("it is asked %d times; closed: %t", seen.Pings, seen.Closed)
		}
		if seen := after(2*time.Second, p); !seen.Closed {
			t.Error("it does not answer in time, and its connection is kept")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p := configured(t, found).dial(t, otlptest.CallingPeer)
		if seen := after(100*time.Second, p); seen.Pings != 3 || seen.Closed {
			t.Errorf("one that answers is asked %d times; closed: %t", seen.Pings, seen.Closed)
		}
	})
}

func TestAGRPCClientMayPingAsOftenAsConfigured(t *testing.T) {
	f := func(policy *server.EnforcementPolicy, busy, want bool) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			p := configured(t, func(c *server.GRPCConfig) {
				c.Keepalive = &server.ServerKeepalive{EnforcementPolicy: policy}
			}).dial(t, otlptest.CallingPeer)
			if busy {
				call(p, 1)
			}
			var seen otlptest.Seen
			for range 6 {
				p.Ping()
				seen = after(10*time.Second, p)
			}
			if may := !slices.Contains(seen.GoAways, http2.ErrCodeEnhanceYourCalm); may != want {
				t.Errorf("by %+v, a client may ping each 10 s: %t, want %t; a request is under way: %t", policy, may, want, busy)
			}
		})
	}
	f(nil, true, false) // gRPC's own policy is five minutes
	f(&server.EnforcementPolicy{MinTime: 5 * time.Second}, true, true)
	f(&server.EnforcementPolicy{MinTime: 20 * time.Second}, true, false)
	f(&server.EnforcementPolicy{MinTime: 5 * time.Second}, false, false)
	f(&server.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}, false, true)
	f(&server.EnforcementPolicy{MinTime: 20 * time.Second, PermitWithoutStream: true}, false, false)
}

func TestAConnectionHasAsManyGRPCCallsAsConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := configured(t, func(c *server.GRPCConfig) { c.MaxConcurrentStreams = 2 }).dial(t, otlptest.CallingPeer)
		for stream := range uint32(3) {
			call(p, 2*stream+1)
		}
		seen := p.Seen()
		if told := seen.Settings[http2.SettingMaxConcurrentStreams]; told != 2 {
			t.Errorf("clients are told that there may be %d", told)
		}
		if code, refused := seen.Resets[5]; len(seen.Resets) != 1 || !refused || code != http2.ErrCodeRefusedStream {
			t.Errorf("of three calls, %v are refused, want the last", seen.Resets)
		}
	})
}

func TestTheBuffersOfGRPCConnectionsAreAsLargeAsConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := configured(t, func(c *server.GRPCConfig) { c.ReadBufferSize, c.WriteBufferSize = 3000, 16 })
		p := m.dial(t, otlptest.CallingPeer)
		m.watch.Passed() // the server's first words are held back, and written as one
		p.Call(1, "/none/None", nil)
		synctest.Wait()
		if read, written := m.watch.Passed().Largest(); read != 3000 || written != 16 {
			t.Errorf("at most %d bytes are read at a time, and %d written", read, written)
		}
	})
}

func TestGRPCIsServedOnAUnixSocket(t *testing.T) {
	var to otlptest.Sink
	path := filepath.Join(t.TempDir(), "otlp.sock")
	serve(t, otlptest.All(&to), func(c *Config) { c.HTTP, c.GRPC.Transport, c.GRPC.Endpoint = nil, "unix", path })
	if err := export(t, "unix:"+path, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1)); err != nil {
		t.Fatal(err)
	}
	to.One(t)
}
