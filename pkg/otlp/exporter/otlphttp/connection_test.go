package otlphttp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/otlp/exporter/exportertest"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/security"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// inMemory is a transport, in a bubble of synctest, for which dial connects; the watch
// watches its end of the connections.
func inMemory(t *testing.T, change func(*Config), dial func(context.Context) (net.Conn, error)) (*transport, *otlptest.Watch) {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.Client.Endpoint, c.Client.Compression, c.Client.Timeout = "http://127.0.0.1:4318", "none", 0
	change(&c)
	h, err := newTransport(c, component.Options{}.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	watch := new(otlptest.Watch)
	h.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		return watch.Conn(conn), nil
	}
	t.Cleanup(h.Close)
	return h, watch
}

// send sends a request of that size, and returns the outcome.
func send(t *testing.T, h *transport, s pipeline.Signal, size int) <-chan error {
	data := otlptest.Request(t, s, 1, 1, 1, size)
	ended := make(chan error, 1)
	go func() {
		_, err := h.Send(t.Context(), s, []queue.Block{{Data: data, Items: 1}})
		ended <- err
	}()
	return ended
}

// after lets time pass.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// busy is a server in memory that answers no request before leave is closed.
func busy(t *testing.T) (dial func(context.Context) (net.Conn, error), leave chan struct{}) {
	l, leave := listen.NewMemory(), make(chan struct{})
	s := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-leave })}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return l.Dial, leave
}

// connections says how many connections of a transport are open while five requests
// of each signal are under way, and when they have been answered.
func connections(t *testing.T, change func(*Config), signals ...pipeline.Signal) (atMost, idle int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		dial, leave := busy(t)
		h, watch := inMemory(t, change, dial)
		var ended []<-chan error
		for range 5 {
			for _, s := range signals {
				ended = append(ended, send(t, h, s, 1))
			}
		}
		synctest.Wait()
		atMost = watch.Passed().Open
		close(leave)
		for _, c := range ended {
			if err := <-c; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		idle = watch.Passed().Open
	})
	return atMost, idle
}

func TestThereAreAsManyConnectionsAsConfigured(t *testing.T) {
	f := func(atMost, idle int, change func(*Config), signals ...pipeline.Signal) {
		t.Helper()
		if gotMost, gotIdle := connections(t, change, signals...); gotMost != atMost || gotIdle != idle {
			t.Errorf("%d connections are open, then %d idle; want %d and %d", gotMost, gotIdle, atMost, idle)
		}
	}
	f(5, 2, func(*Config) {}, pipeline.SignalTraces) // 2 are the library's own
	f(3, 2, func(c *Config) { c.Client.MaxConnsPerHost = 3 }, pipeline.SignalTraces)
	f(5, 1, func(c *Config) { c.Client.MaxIdleConnsPerHost = 1 }, pipeline.SignalTraces)
	f(5, 4, func(c *Config) { c.Client.MaxIdleConnsPerHost = 4 }, pipeline.SignalTraces)
	f(5, 3, func(c *Config) { c.Client.MaxIdleConns, c.Client.MaxIdleConnsPerHost = 3, 4 }, pipeline.SignalTraces)

	elsewhere := func(c *Config) { c.LogsEndpoint = "http://127.0.0.2:4318/v1/logs" }
	f(10, 4, elsewhere, pipeline.SignalTraces, pipeline.SignalLogs)
	f(10, 3, func(c *Config) { elsewhere(c); c.Client.MaxIdleConns = 3 }, pipeline.SignalTraces, pipeline.SignalLogs)
}

func TestAnIdleConnectionIsClosedAfterItsTimeout(t *testing.T) {
	for timeout, want := range map[time.Duration]int{time.Minute: 0, 0: 1} {
		synctest.Test(t, func(t *testing.T) {
			dial, leave := busy(t)
			close(leave)
			h, watch := inMemory(t, func(c *Config) { c.Client.IdleConnTimeout = timeout }, dial)
			if err := <-send(t, h, pipeline.SignalTraces, 1); err != nil {
				t.Fatal(err)
			}
			if after(59 * time.Second); watch.Passed().Open != 1 {
				t.Error("it is closed before its time")
			}
			if after(2 * time.Second); watch.Passed().Open != want {
				t.Errorf("with a timeout of %s, it is closed: %t", timeout, want == 1)
			}
		})
	}
}

func TestTheBuffersOfAConnectionAreAsLargeAsConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial, leave := busy(t)
		close(leave)
		h, watch := inMemory(t, func(c *Config) { c.Client.ReadBufferSize, c.Client.WriteBufferSize = 3000, 2000 }, dial)
		if err := <-send(t, h, pipeline.SignalTraces, 10_000); err != nil {
			t.Fatal(err)
		}
		passed := watch.Passed()
		// What comes after a full buffer is written without one.
		if read, _ := passed.Largest(); read != 3000 || passed.Writes[0] != 2000 {
			t.Errorf("at most %d bytes are read at a time, and %d are written first", read, passed.Writes[0])
		}
	})
}

// byHTTP2 is a transport that sends a request over HTTP/2 to a server that does not
// answer it.
func byHTTP2(t *testing.T, change func(*Client), server func(testing.TB, net.Conn) *otlptest.Peer) *otlptest.Peer {
	t.Helper()
	certified, client := exportertest.Certified(t)
	config, err := certified.Config("h2")
	if err != nil {
		t.Fatal(err)
	}
	var p *otlptest.Peer
	h, _ := inMemory(t, func(c *Config) {
		c.Client.Endpoint, c.Client.TLS = "https://127.0.0.1:4318", client
		change(&c.Client)
	}, func(context.Context) (net.Conn, error) {
		if p != nil {
			return nil, errors.New("the server has stopped")
		}
		near, far := net.Pipe()
		p = server(t, tls.Server(far, config))
		return near, nil
	})
	send(t, h, pipeline.SignalTraces, 1)
	synctest.Wait()
	return p
}

func TestAServerOfHTTP2ThatHasVanishedIsFoundOut(t *testing.T) {
	configured := func(c *Client) { c.HTTP2ReadIdleTimeout, c.HTTP2PingTimeout = 30*time.Second, 7*time.Second }
	synctest.Test(t, func(t *testing.T) {
		p := byHTTP2(t, configured, otlptest.SilentPeer)
		if after(29 * time.Second); p.Seen().Pings > 0 {
			t.Error("it is asked before time")
		}
		after(7 * time.Second)
		if seen := p.Seen(); seen.Pings != 1 || seen.Closed {
			t.Errorf("it is asked %d times; closed: %t", seen.Pings, seen.Closed)
		}
		if after(2 * time.Second); !p.Seen().Closed {
			t.Error("it does not answer in time, and the connection is kept")
		}
	})
	f := func(want int, change func(*Client)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			p := byHTTP2(t, change, otlptest.ServingPeer)
			after(100 * time.Second)
			if seen := p.Seen(); seen.Pings != want || seen.Closed {
				t.Errorf("one that answers is asked %d times, want %d; closed: %t", seen.Pings, want, seen.Closed)
			}
		})
	}
	f(3, configured)
	f(0, func(*Client) {})
}

func TestHTTP2IsSpokenAsConfigured(t *testing.T) {
	for attempted, want := range map[bool]int64{true: 2, false: 1} {
		var spoken atomic.Int64
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { spoken.Store(int64(r.ProtoMajor)) }))
		s.EnableHTTP2 = true
		s.StartTLS()
		defer s.Close()
		e := start(t, s.URL, t.TempDir(), func(c *Config) {
			c.Client.ForceAttemptHTTP2, c.Client.TLS = attempted, security.TLSClient{InsecureSkipVerify: true}
		})
		e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
		e.Settled(t)
		if got := spoken.Load(); got != want {
			t.Errorf("with force_attempt_http2 = %t, HTTP/%d is spoken", attempted, got)
		}
	}
}

func TestRequestsAreCompressedAtTheLevelThatIsConfigured(t *testing.T) {
	data := otlptest.Request(t, pipeline.SignalTraces, 2, 3, 500, 20)
	size := func(name string, params *CompressionParams) int {
		t.Helper()
		var c Config
		c.SetToDefault()
		c.Client.Endpoint, c.Client.Compression, c.Client.CompressionParams = "http://127.0.0.1:4318", name, params
		h, err := newTransport(c, component.Options{}.WithDefaults())
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		if err := h.encode(&body, pipeline.SignalTraces, []queue.Block{{Data: data}}); err != nil {
			t.Fatal(err)
		}
		return body.Len()
	}
	for name, best := range map[string]int{"gzip": 9, "zlib": 9, "deflate": 9, "zstd": 22} {
		fastest := size(name, &CompressionParams{Level: 1})
		if smallest := size(name, &CompressionParams{Level: best}); smallest >= fastest {
			t.Errorf("%s: %d bytes at level 1, %d at level %d", name, fastest, smallest, best)
		}
		if got := size(name, nil); got != fastest {
			t.Errorf("%s: %d bytes without a level, want %d", name, got, fastest)
		}
		if byDefault, want := size(name, &CompressionParams{Level: 0}), size(name, &CompressionParams{Level: -1}); byDefault != want {
			t.Errorf("%s: %d bytes at level 0, want %d as by default", name, byDefault, want)
		}
	}
}
