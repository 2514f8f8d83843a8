package listen

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// hammer posts to url from several clients that keep their connections, until
// stop is called, which returns the number of requests.
//
// A client that may not repeat a request cannot retry in secret. Over
// HTTP/2 it has to: a request that crosses the server's farewell is one that,
// by the protocol, the server has not looked at.
func hammer(t *testing.T, url string, transport func() http.RoundTripper, repeat bool) (stop func() int64) {
	var ending atomic.Bool
	var sent atomic.Int64
	var clients sync.WaitGroup
	for range 4 {
		client := &http.Client{Transport: transport(), Timeout: 30 * time.Second}
		clients.Go(func() {
			defer client.CloseIdleConnections()
			for !ending.Load() {
				sent.Add(1)
				var body io.Reader = strings.NewReader("x")
				if !repeat {
					body = io.NopCloser(body) // the request has no GetBody
				}
				answer, err := client.Post(url, "text/plain", body)
				if err != nil {
					t.Errorf("a request was lost: %v", err)
					continue
				}
				io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					t.Errorf("a request was answered %s", answer.Status)
				}
			}
		})
	}
	return func() int64 {
		ending.Store(true)
		clients.Wait()
		return sent.Load()
	}
}

func testHandovers(t *testing.T, transport func() http.RoundTripper, repeat bool) {
	p := NewPool()
	l, address := mustListen(t, p)
	var answered atomic.Int64
	progress := make(chan struct{}, 1)
	// start serves l until the returned function is called.
	start := func(l net.Listener) (end func()) {
		s := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			answered.Add(1)
			select {
			case progress <- struct{}{}:
			default:
			}
		})}
		s.Protocols.SetHTTP1(true)
		s.Protocols.SetUnencryptedHTTP2(true)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if cutOff, err := ServeHTTP(ctx, s, l, time.Minute); err != nil || cutOff > 0 {
				t.Errorf("%d connections were cut off: %v", cutOff, err)
			}
		}()
		return func() { cancel(); <-done }
	}
	end := start(l)
	stop := hammer(t, "http://"+address, transport, repeat)
	for range 50 {
		before := answered.Load()
		next, err := p.Listen("tcp", address, "a")
		if err != nil {
			t.Fatal(err)
		}
		end()
		end = start(next)
		for answered.Load() < before+20 {
			<-progress
		}
	}
	sent := stop()
	end()
	if got := answered.Load(); got != sent {
		t.Errorf("%d requests were answered, of %d", got, sent)
	}
}

func TestFiftyHandoversLoseNoRequest(t *testing.T) {
	t.Run("HTTP/1", func(t *testing.T) {
		testHandovers(t, func() http.RoundTripper { return &http.Transport{} }, false)
	})
	t.Run("a connection for each request", func(t *testing.T) {
		testHandovers(t, func() http.RoundTripper { return &http.Transport{DisableKeepAlives: true} }, false)
	})
	t.Run("HTTP/2", func(t *testing.T) {
		testHandovers(t, func() http.RoundTripper {
			tr := &http.Transport{Protocols: new(http.Protocols)}
			tr.Protocols.SetUnencryptedHTTP2(true)
			return tr
		}, true)
	})
}

func TestServeHTTPWaitsForRequestsUnderWayAndNoLonger(t *testing.T) {
	l, address := mustListen(t, NewPool())
	entered := make(chan struct{})
	left := make(chan struct{})
	s := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(left)
	})}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type result struct {
		cutOff int
		err    error
	}
	done := make(chan result, 1)
	go func() {
		cutOff, err := ServeHTTP(ctx, s, l, time.Millisecond)
		done <- result{cutOff, err}
	}()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	cancel()
	if got := <-done; got.cutOff != 1 || got.err != nil {
		t.Errorf("%d connections were cut off: %v", got.cutOff, got.err)
	}
	<-left
}

// A client of HTTP/2 that is between two requests when the server stops is notified, even
// if it sends a request before it has read that: by the protocol, it may send the request
// again.
func TestAClientOfHTTP2ReadsThatItsConnectionEnds(t *testing.T) {
	l, address := mustListen(t, NewPool())
	s := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	s.Protocols.SetUnencryptedHTTP2(true)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := ServeHTTP(ctx, s, l, time.Minute)
		ended <- err
	}()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, conn)
	var header bytes.Buffer
	names := hpack.NewEncoder(&header)
	ask := func(stream uint32) {
		t.Helper()
		header.Reset()
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "x"}} {
			_ = names.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: header.Bytes(), EndHeaders: true, EndStream: true}); err != nil {
			t.Errorf("request %d: %v", stream, err)
		}
	}
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	ask(1)
	told := false
	for {
		frame, err := framer.ReadFrame()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("told: %t, then: %v", told, err)
		}
		switch f := frame.(type) {
		case *http2.HeadersFrame: // the answer
			cancel()
		case *http2.GoAwayFrame:
			if !told && f.LastStreamID >= 1 {
				ask(3) // it crosses the farewell
			}
			told = true
		}
	}
	if !told {
		t.Error("the connection ends without a farewell")
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestServeHTTPReturnsTheErrorOfItsListener(t *testing.T) {
	l, _ := mustListen(t, NewPool())
	l.Close()
	if _, err := ServeHTTP(t.Context(), &http.Server{Handler: http.NotFoundHandler()}, l, time.Minute); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// pipeListener accepts the connections that are sent to it.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// A client that has connected and is slow to ask is answered when the server
// ends; one that never asks holds up the end for a second.
func TestServeHTTPAnswersTheFirstRequestOfANewConnection(t *testing.T) {
	for _, asks := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
			client, server := net.Pipe()
			defer client.Close()
			ctx, cancel := context.WithCancel(t.Context())
			var ended sync.WaitGroup
			ended.Go(func() {
				s := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
				if cutOff, err := ServeHTTP(ctx, s, l, time.Minute); cutOff > 0 || err != nil {
					t.Errorf("%d connections were cut off: %v", cutOff, err)
				}
			})
			l.conns <- server
			synctest.Wait()
			begun := time.Now()
			cancel()
			if asks {
				<-time.After(firstCall - time.Millisecond)
				fmt.Fprint(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				if answer, err := http.ReadResponse(bufio.NewReader(client), nil); err != nil || answer.StatusCode != http.StatusOK {
					t.Errorf("answered %v, %v", answer, err)
				}
			}
			ended.Wait()
			if took := time.Since(begun); took > firstCall {
				t.Errorf("the end took %s", took)
			}
		})
	}
}
