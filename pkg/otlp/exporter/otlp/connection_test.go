package otlp

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/rawgrpc"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// inMemory is a transport, in a bubble of synctest, for which the names of two servers
// are known and dial connects.
func inMemory(t *testing.T, change func(*Config), dial func(name string) (net.Conn, error)) *transport {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.Client.Endpoint, c.Client.Compression, c.Client.TLS.Insecure = "servers:4317", "none", true
	change(&c)
	rawgrpc.Setup()
	g, err := newTransport(c, component.Options{}.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	names := manual.NewBuilderWithScheme("test")
	names.InitialState(resolver.State{Endpoints: []resolver.Endpoint{
		{Addresses: []resolver.Address{{Addr: "first"}}}, {Addresses: []resolver.Address{{Addr: "second"}}},
	}})
	options := append(c.Client.dialOptions(insecure.NewCredentials(), "test"), grpc.WithResolvers(names),
		grpc.WithContextDialer(func(_ context.Context, name string) (net.Conn, error) { return dial(name) }))
	g.dial = func() (*grpc.ClientConn, error) { return grpc.NewClient("test:///servers", options...) }
	t.Cleanup(g.Close)
	return g
}

// dialed is a transport with a connection to a server, which answers nothing; watch
// watches the transport's end.
func dialed(t *testing.T, change func(*Config), server func(testing.TB, net.Conn) *otlptest.Peer, watch *otlptest.Watch) (*transport, *otlptest.Peer) {
	t.Helper()
	var p *otlptest.Peer
	g := inMemory(t, func(c *Config) {
		c.Timeout, c.Client.BalancerName = 0, "pick_first"
		change(c)
	}, func(string) (net.Conn, error) {
		if p != nil {
			return nil, errors.New("the server has stopped")
		}
		near, far := net.Pipe()
		p = server(t, far)
		return watch.Conn(near), nil
	})
	conn, err := g.connection()
	if err != nil {
		t.Fatal(err)
	}
	conn.Connect()
	synctest.Wait()
	return g, p
}

// send sends a request of that size, and returns the outcome.
func send(t *testing.T, g *transport, size int) <-chan error {
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, size)
	ended := make(chan error, 1)
	go func() {
		_, err := g.Send(t.Context(), pipeline.SignalTraces, []queue.Block{{Data: data, Items: 1}})
		ended <- err
	}()
	return ended
}

// after lets time pass, and says what the server has seen by then.
func after(d time.Duration, p *otlptest.Peer) otlptest.Seen {
	time.Sleep(d)
	synctest.Wait()
	return p.Seen()
}

func TestAGRPCServerThatHangsIsGivenUpAfterTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := dialed(t, func(c *Config) { c.Timeout = 7 * time.Second }, otlptest.ServingPeer, new(otlptest.Watch))
		begun := time.Now()
		if err := <-send(t, g, 1); err == nil || !strings.Contains(err.Error(), "DeadlineExceeded") || time.Since(begun) != 7*time.Second {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		g, p := dialed(t, func(c *Config) { c.Timeout = 0 }, otlptest.ServingPeer, new(otlptest.Watch))
		ended := send(t, g, 1)
		after(time.Hour, p)
		select {
		case err := <-ended:
			t.Errorf("without a timeout: %v", err)
		default:
		}
	})
}

func TestTheBuffersOfTheConnectionAreAsLargeAsConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var watch otlptest.Watch
		g, _ := dialed(t, func(c *Config) { c.Client.ReadBufferSize, c.Client.WriteBufferSize = 3000, 2000 }, otlptest.ServingPeer, &watch)
		send(t, g, 10_000)
		synctest.Wait()
		if read, written := watch.Passed().Largest(); read != 3000 || written != 2000 {
			t.Errorf("at most %d bytes are read at a time, and %d written", read, written)
		}
	})
}

func TestAServerThatHasVanishedIsFoundOut(t *testing.T) {
	configured := func(c *Config) {
		c.Client.Keepalive = &Keepalive{PingWait: 30 * time.Second, PingResponseTimeout: 7 * time.Second}
	}
	synctest.Test(t, func(t *testing.T) {
		g, p := dialed(t, configured, otlptest.SilentPeer, new(otlptest.Watch))
		ended := send(t, g, 1)
		synctest.Wait()
		if seen := after(29*time.Second, p); seen.Pings > 0 {
			t.Error("it is asked before time")
		}
		if seen := after(7*time.Second, p); seen.Pings != 1 || seen.Closed {
			t.Errorf("it is asked %d times; closed: %t", seen.Pings, seen.Closed)
		}
		if seen := after(2*time.Second, p); !seen.Closed {
			t.Error("it does not answer in time, and the connection is kept")
		}
		<-ended
	})
	synctest.Test(t, func(t *testing.T) {
		g, p := dialed(t, configured, otlptest.ServingPeer, new(otlptest.Watch))
		send(t, g, 1)
		synctest.Wait()
		if seen := after(100*time.Second, p); seen.Pings != 3 || seen.Closed {
			t.Errorf("one that answers is asked %d times; closed: %t", seen.Pings, seen.Closed)
		}
	})
}

func TestPingsWithoutARequestAreSentAsConfigured(t *testing.T) {
	for _, without := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			_, p := dialed(t, func(c *Config) {
				c.Client.Keepalive = &Keepalive{PingWait: 30 * time.Second, PingWithoutStream: without}
			}, otlptest.ServingPeer, new(otlptest.Watch))
			if seen := after(100*time.Second, p); (seen.Pings > 0) != without {
				t.Errorf("%d pings, with ping_without_stream = %t", seen.Pings, without)
			}
		})
	}
}

// serveInMemory starts a server that accepts requests.
func serveInMemory(t *testing.T) (*backend, *listen.Memory) {
	b, l := new(backend), listen.NewMemory()
	b.serve(t, l)
	return b, l
}

func TestARequestWaitsForTheConnectionAsConfigured(t *testing.T) {
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			_, l := serveInMemory(t)
			var up atomic.Bool
			g := inMemory(t, func(c *Config) { c.Timeout, c.Client.WaitForReady = time.Minute, waits }, func(string) (net.Conn, error) {
				if !up.Load() {
					return nil, errors.New("nobody listens")
				}
				return l.Dial(t.Context())
			})
			ended := send(t, g, 1)
			synctest.Wait()
			up.Store(true)
			if err := <-ended; (err == nil) != waits {
				t.Errorf("with wait_for_ready = %t: %v", waits, err)
			}
		})
	}
}

func TestRequestsAreBalancedAsConfigured(t *testing.T) {
	for balancer, want := range map[string][2]int{"": {5, 5}, "round_robin": {5, 5}, "pick_first": {10, 0}} {
		synctest.Test(t, func(t *testing.T) {
			first, l1 := serveInMemory(t)
			second, l2 := serveInMemory(t)
			listeners := map[string]*listen.Memory{"first": l1, "second": l2}
			g := inMemory(t, func(c *Config) { c.Client.BalancerName = balancer }, func(name string) (net.Conn, error) {
				return listeners[name].Dial(t.Context())
			})
			conn, err := g.connection()
			if err != nil {
				t.Fatal(err)
			}
			conn.Connect()
			synctest.Wait() // until both are connected, if both should be
			for range 10 {
				if err := <-send(t, g, 1); err != nil {
					t.Fatal(err)
				}
			}
			if got := [2]int{len(first.got(pipeline.SignalTraces)), len(second.got(pipeline.SignalTraces))}; got != want {
				t.Errorf("%q: the servers get %v requests, want %v", balancer, got, want)
			}
		})
	}
}
