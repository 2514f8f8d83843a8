package profiles

import (
	"bufio"
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
	"time"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/listen/listentest"
	"collector/pkg/pipeline"
)

func TestConnLimitHoldsFurtherClientsBack(t *testing.T) {
	c := receiveConfig(&sink{})
	c.HTTP.ConnLimit = 1
	r := start(t, c)
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	ask := func(conn net.Conn) error {
		fmt.Fprintf(conn, "POST /ingest?name=app HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil && resp.StatusCode != 200 {
			err = errors.New(resp.Status)
		}
		return err
	}
	first, second := dial(), (net.Conn)(nil)
	if err := ask(first); err != nil {
		t.Fatal(err)
	}
	second = dial()
	var closed atomic.Bool
	answered := make(chan error)
	go func() {
		err := ask(second)
		if err == nil && !closed.Load() {
			err = errors.New("answered while the first connection was open")
		}
		answered <- err
	}()
	for range 20 {
		if err := ask(first); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"pyroscope_receive_http_tcp_connections", "pyroscope_receive_http_tcp_connections_limit"} {
		if got := value(t, r.reg, name, "http"); got != 1 {
			t.Errorf("%s is %v", name, got)
		}
	}
	closed.Store(true)
	first.Close()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestAFullSinkAffectsNoOther(t *testing.T) {
	full := true
	a, b := &sink{}, &sink{answer: func(context.Context) error {
		if full {
			return fmt.Errorf("append: %w", pipeline.ErrFull)
		}
		return nil
	}}
	r := start(t, receiveConfig(a, b, b))
	ask := func() int {
		resp, _ := post(t, r.url+"/ingest?name=app", "", strings.NewReader("x 1\n"))
		return resp.StatusCode
	}
	// A refused client would retry, and the first sink would get the profile twice.
	if status := ask(); status != 200 || len(a.profiles()) != 1 {
		t.Errorf("answered %d, %d profiles arrived", status, len(a.profiles()))
	}
	if n := value(t, r.reg, "pyroscope_receive_http_lost_profiles_total", "queue_full"); n != 2 {
		t.Errorf("%v lost profiles counted, want 2", n)
	}
	full = false
	if status := ask(); status != 200 || len(a.profiles()) != 2 || len(b.profiles()) != 2 {
		t.Errorf("answered %d, %d and %d profiles arrived", status, len(a.profiles()), len(b.profiles()))
	}
}

func TestShutdownLetsRequestsEnd(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := &sink{answer: func(context.Context) error {
		close(entered)
		<-leave
		return nil
	}}
	r := start(t, receiveConfig(s))
	answered := make(chan int)
	go func() {
		resp, err := http.Post(r.url+"/ingest?name=app", "", strings.NewReader("x 1\n"))
		if err != nil {
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	<-entered
	stopped := make(chan error)
	go func() { stopped <- r.stop() }()
	close(leave)
	if status := <-answered; status != 200 {
		t.Errorf("answered %d", status)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := http.Get(r.url); err == nil {
		t.Error("the port is still open")
	}
}

func TestReplacingAReceiverLosesNoRequest(t *testing.T) {
	s := &sink{}
	c := receiveConfig(s)
	c.HTTP.ListenPort = listentest.FreePort(t)
	pool := listen.NewPool()
	r := startIn(t, pool.View(), c)
	url := r.url
	var clients sync.WaitGroup
	var finished atomic.Bool
	var sent atomic.Int64
	progress := make(chan struct{}, 1)
	for range 2 {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		clients.Go(func() {
			for !finished.Load() {
				// Without GetBody, the client cannot retry in secret.
				resp, err := client.Post(url+"/ingest?name=app", "", io.NopCloser(strings.NewReader("x 1\n")))
				if err != nil {
					t.Errorf("a request was lost: %v", err)
				} else if resp.Body.Close(); resp.StatusCode != 200 {
					t.Errorf("answered %s", resp.Status)
				}
				sent.Add(1)
				select {
				case progress <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 20 {
		next := startIn(t, pool.View(), c)
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		r = next
		for before := sent.Load(); sent.Load() < before+20; {
			<-progress
		}
	}
	finished.Store(true)
	clients.Wait()
	if n := int(sent.Load()); n != len(s.profiles()) {
		t.Errorf("%d requests were answered, %d arrived", n, len(s.profiles()))
	}
}

func TestShutdownIsBounded(t *testing.T) {
	c := receiveConfig(&sink{})
	c.GracefulShutdownTimeout = time.Millisecond
	c.HTTP.ReadTimeout = 0 // which would make the client give up, too
	r := start(t, c)
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A client that never sends what it announced.
	fmt.Fprintf(conn, "POST /ingest?name=app HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("%q, %v", line, err)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

func TestPortInUseNamesComponentAndOption(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := receiveConfig()
	c.HTTP.ListenPort = taken.Addr().(*net.TCPAddr).Port
	r, err := NewReceive(c, component.Options{ID: "pyroscope.receive_http.x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Bind(); err == nil || !strings.Contains(err.Error(), "pyroscope.receive_http.x: http > listen_address and listen_port") {
		t.Errorf("got %v", err)
	}
	r.Close()
}
