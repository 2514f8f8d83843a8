package dockerproxy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"collector/pkg/docker"
	"collector/pkg/docker/dockertest"
)

// logBuffer is a log that is read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// open makes a proxy in front of host.
func open(t testing.TB, host string) (*Proxy, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
	p, err := New(host, Filter{}, "test", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return p, log
}

// serve serves p on l until the test ends.
func serve(t testing.TB, p *Proxy, l net.Listener) {
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// inFrontOf serves a proxy in front of host on a socket.
func inFrontOf(t testing.TB, host string) (socket string, log *logBuffer) {
	t.Helper()
	p, log := open(t, host)
	socket = filepath.Join(shortDir(t), "docker.sock")
	l, err := Socket{Path: socket, Mode: 0o600, Group: -1}.Listen()
	if err != nil {
		t.Fatal(err)
	}
	serve(t, p, l)
	return socket, log
}

// roundTripper is an Engine of one function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answerOf(status int, body io.ReadCloser) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Api-Version": {"1.41"}}, ContentLength: -1, Body: body}
}

func ok() *http.Response { return answerOf(http.StatusOK, io.NopCloser(strings.NewReader("OK"))) }

// pipes is a listener of connections in memory, as a bubble needs it.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn, 1)} }

func (p *pipes) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.conns) })
	return nil
}

func (p *pipes) Addr() net.Addr { return user("pipe") }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// send writes a request as it is, and reads the response.
func send(t *testing.T, socket, text string) (int, string) {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// TestAllThatTheCollectorDoesWorksThroughTheProxy makes every request of pkg/docker.
func TestAllThatTheCollectorDoesWorksThroughTheProxy(t *testing.T) {
	d := dockertest.New(t)
	socket, log := inFrontOf(t, d.Host())
	container := d.Run(dockertest.Container{})
	d.Print(container, "stdout", "hello\n")
	e, err := docker.NewPool(nil).Engine(docker.Config{Host: "unix://" + socket})
	if err != nil {
		t.Fatal(err)
	}
	running := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	go func() { defer close(running); e.Run(ctx, 0) }()
	defer func() { stop(); <-running }()
	r, err := e.Logs(ctx, container, docker.LogOptions{Follow: true, Since: time.Unix(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if frame, err := r.Next(); err != nil || string(frame.Text) != "hello" {
		t.Errorf("the log begins with %+v, %v", frame, err)
	}
	for snapshot, changed := e.Snapshot(); !snapshot.Listed; snapshot, changed = e.Snapshot() {
		<-changed
	}
	d.AwaitSubscribers(1)
	later := d.Run(dockertest.Container{})
	d.AddNetwork(dockertest.Network{ID: "later", Name: "later"})
	d.Connect(later, "later", "10.9.9.9")
	d.AwaitCount("/networks/", 1)
	d.AwaitCount("/containers/"+later+"/json", 1)
	for what, ask := range map[string]func() error{
		"info":    func() error { _, err := e.Info(ctx); return err },
		"inspect": func() error { _, err := e.Inspect(ctx, container); return err },
		"details": func() error { _, err := e.Details(ctx, container); return err },
		"usage":   func() error { _, err := e.Usage(ctx, container); return err },
		"running": func() error { _, err := e.Running(ctx); return err },
		"match":   func() error { _, err := e.Match(ctx, map[string][]string{"label": {"a=b"}}); return err },
		"last logs": func() error {
			r, err := e.Logs(ctx, container, docker.LogOptions{Tail: 5})
			if err != nil {
				return err
			}
			return r.Close()
		},
	} {
		if err := ask(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if log.String() != "" || len(e.Status().Refused) > 0 {
		t.Errorf("refused: %v\n%s", e.Status().Refused, log)
	}
	for _, request := range []string{"/_ping", "/events", "/networks", "/info", "/containers/json", "/containers/" + container + "/stats"} {
		if d.Count(request) == 0 {
			t.Errorf("%s was not asked for", request)
		}
	}
}

// TestARejectionSaysWhichRequestAndWhy sends each request as it is: the Engine gets
// none of them.
func TestARejectionSaysWhichRequestAndWhy(t *testing.T) {
	engine := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the Engine gets %s %s", r.Method, r.RequestURI)
	}))
	defer engine.Close()
	socket, log := inFrontOf(t, engine.URL)
	type request struct{ head, why string }
	requests := []request{
		{"POST /v1.41/containers/create HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "it has a body"},
		{"DELETE /v1.41/containers/x HTTP/1.1\r\n\r\n", "only GET is allowed"},
		{"GET /info HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /", "it has a body"},
		{"GET /info HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "it has a body"},
		{"GET /info HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "it has a body"},
		{"GET /info HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "upgrade"},
		{"POST /v1.41/containers/x/attach?stream=1 HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n", "upgrade"},
		{"CONNECT docker:80 HTTP/1.1\r\n\r\n", "only GET is allowed"},
		{"OPTIONS * HTTP/1.1\r\n\r\n", "only GET is allowed"},
	}
	for target, why := range rejectedTargets() {
		if target != "" && !strings.ContainsAny(target, " ") { // these are no requests at all
			requests = append(requests, request{"GET " + target + " HTTP/1.1\r\n\r\n", why})
		}
	}
	for _, r := range requests {
		status, body := send(t, socket, strings.Replace(r.head, "HTTP/1.1\r\n", "HTTP/1.1\r\nHost: docker\r\n", 1))
		var said struct{ Message string }
		if err := json.Unmarshal([]byte(body), &said); err != nil || status != http.StatusForbidden {
			if status == http.StatusBadRequest {
				continue // net/http itself rejects what is not HTTP
			}
			t.Errorf("%q: %d %s, %v", r.head, status, body, err)
		}
		method, _, _ := strings.Cut(r.head, " ")
		if !strings.Contains(said.Message, "rejects "+method) || !strings.Contains(said.Message, r.why) {
			t.Errorf("%q: %s, want %s", r.head, said.Message, r.why)
		}
	}
	for _, want := range []string{`level=WARN msg="rejected a request to the Docker Engine" request="POST /v1.41/containers/create" reason="it has a body"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
}

// TestNothingBehindABodyIsRead: to a server that counts otherwise, a body could be
// another request.
func TestNothingBehindABodyIsRead(t *testing.T) {
	var asked []string
	p, _ := open(t, "tcp://engine")
	p.engine.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.Path)
		return ok(), nil
	})
	socket := filepath.Join(shortDir(t), "s")
	l, err := Socket{Path: socket, Mode: 0o600, Group: -1}.Listen()
	if err != nil {
		t.Fatal(err)
	}
	serve(t, p, l)
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /_ping HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /version HTTP/1.1\r\nHost: d\r\n\r\n")
	answers, _ := io.ReadAll(c) // the proxy closes the connection
	if n := strings.Count(string(answers), "HTTP/1.1 "); n != 1 || len(asked) > 0 {
		t.Errorf("%d answers, the Engine was asked for %v:\n%s", n, asked, answers)
	}
}

func TestALargeHeaderIsRejected(t *testing.T) {
	p, _ := open(t, "tcp://engine")
	p.engine.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		t.Errorf("the Engine gets %s", r.URL)
		return ok(), nil
	})
	socket := filepath.Join(shortDir(t), "s")
	l, err := Socket{Path: socket, Mode: 0o600, Group: -1}.Listen()
	if err != nil {
		t.Fatal(err)
	}
	serve(t, p, l)
	if status, body := send(t, socket, "GET /_ping HTTP/1.1\r\nHost: d\r\nX: "+strings.Repeat("x", 2*maxHeader)+"\r\n\r\n"); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%d %s", status, body)
	}
}

// TestTheEngineGetsNoHeaderOfTheClient: not one field.
func TestTheEngineGetsNoHeaderOfTheClient(t *testing.T) {
	got := make(chan *http.Request, 1)
	p, _ := open(t, "tcp://engine")
	p.engine.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		got <- r
		return ok(), nil
	})
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/v1.41/info", nil)
	r.Header = http.Header{"Authorization": {"x"}, "X-Registry-Auth": {"x"}, "User-Agent": {"x"}, "Accept": {"x"}, "Cookie": {"x"}}
	r.Host = "other"
	p.ServeHTTP(w, r)
	asked := <-got
	if asked.Host != "engine" || len(asked.Header) != 1 || asked.Header.Get("User-Agent") != "test" || asked.Body != nil {
		t.Errorf("the Engine gets host %s, %v", asked.Host, asked.Header)
	}
	if w.Code != http.StatusOK || w.Body.String() != "OK" || w.Header().Get("Api-Version") != "1.41" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

// TestRejectionsAreCountedInTheLog: a client that asks again and again fills no log.
func TestRejectionsAreCountedInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, log := open(t, "tcp://engine")
		rejected := func() {
			p.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/secrets", nil))
		}
		for range 1000 {
			rejected()
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("%d lines:\n%s", n, log)
		}
		time.Sleep(time.Minute)
		rejected()
		if !strings.Contains(log.String(), `request="GET /secrets"`) || !strings.Contains(log.String(), "suppressed=999") {
			t.Errorf("log:\n%s", log)
		}
	})
}

// TestAStreamIsForwardedAsItComesAndEndsWithItsClient follows events, of which there
// are none at first.
func TestAStreamIsForwardedAsItComesAndEndsWithItsClient(t *testing.T) {
	d := dockertest.New(t)
	socket, _ := inFrontOf(t, d.Host())
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /events%s HTTP/1.1\r\nHost: d\r\n\r\n", query("filters", lifecycle))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", resp, err)
	}
	d.AwaitSubscribers(1)
	for range 3 {
		container := d.Run(dockertest.Container{})
		for found := false; !found; {
			var event struct {
				Action string
				Actor  struct{ ID string }
			}
			if err := json.NewDecoder(io.LimitReader(&oneByOne{resp.Body}, 1<<20)).Decode(&event); err != nil {
				t.Fatal(err)
			}
			found = event.Action == "start" && event.Actor.ID == container
		}
	}
	c.Close()
	d.AwaitSubscribers(0)
}

// oneByOne reads no byte more than is wanted.
type oneByOne struct{ io.Reader }

func (o *oneByOne) Read(p []byte) (int, error) { return o.Reader.Read(p[:min(1, len(p))]) }

// TestATruncatedLogDoesNotEndCleanly: the client must not take the end for the log's.
func TestATruncatedLogDoesNotEndCleanly(t *testing.T) {
	d := dockertest.New(t)
	socket, _ := inFrontOf(t, d.Host())
	container := d.Run(dockertest.Container{})
	d.Print(container, "stdout", "hello\n")
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /containers/%s/logs?follow=1&stdout=1&timestamps=1 HTTP/1.1\r\nHost: d\r\n\r\n", container)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	d.CutConnections()
	if _, err := io.Copy(io.Discard, resp.Body); err != io.ErrUnexpectedEOF {
		t.Errorf("the log ends with %v", err)
	}
}

func TestAnUnreachableEngineIsExplained(t *testing.T) {
	d := dockertest.New(t)
	socket, log := inFrontOf(t, d.Host())
	d.Shutdown()
	status, body := send(t, socket, "GET /info HTTP/1.1\r\nHost: d\r\n\r\n")
	if status != http.StatusBadGateway || !strings.Contains(body, `{"message":"collector docker-proxy: connect to the Docker Engine at unix:///`) {
		t.Errorf("%d %s", status, body)
	}
	if !strings.Contains(log.String(), "cannot reach the Docker Engine") {
		t.Errorf("log:\n%s", log)
	}
	d.Restart()
	if status, body := send(t, socket, "GET /info HTTP/1.1\r\nHost: d\r\n\r\n"); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
}

// TestSlowClientsAreCut: those that send a request slowly, and those that read the
// response to one slowly that is no stream.
func TestSlowClientsAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := open(t, "tcp://engine")
		p.engine.Transport = roundTripper(func(*http.Request) (*http.Response, error) {
			return answerOf(http.StatusOK, io.NopCloser(bytes.NewReader(make([]byte, 1<<20)))), nil
		})
		l := newPipes()
		serve(t, p, l)
		for request, want := range map[string]time.Duration{
			"GET /_ping HTTP/1.1\r\nX: ": headerTime, "": headerTime,
			"GET /v1.41/networks HTTP/1.1\r\nHost: d\r\n\r\n": answerTime,
		} {
			c := l.dial()
			io.WriteString(c, request)
			begun := time.Now()
			time.Sleep(want + time.Second)
			n, err := io.Copy(io.Discard, c)
			if n >= 1<<20 || time.Since(begun) > want+2*time.Second {
				t.Errorf("%q: %d bytes after %v, %v", request, n, time.Since(begun), err)
			}
			c.Close()
		}
		// The connection of one that was quick enough is used again, however late, and
		// for a stream, too.
		c := l.dial()
		for _, path := range []string{"/networks", "/containers/x/logs"} {
			io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: d\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, resp.Body); n != 1<<20 || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
			time.Sleep(answerTime + time.Minute)
		}
		c.Close()
	})
}

// TestASlowReaderOfALogKeepsItsStream: the collector stops reading while its queue
// is full.
func TestASlowReaderOfALogKeepsItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := open(t, "tcp://engine")
		p.engine.Transport = roundTripper(func(*http.Request) (*http.Response, error) {
			return answerOf(http.StatusOK, io.NopCloser(bytes.NewReader(make([]byte, 1<<20)))), nil
		})
		l := newPipes()
		serve(t, p, l)
		c := l.dial()
		defer c.Close()
		io.WriteString(c, "GET /containers/x/logs HTTP/1.1\r\nHost: d\r\n\r\n")
		time.Sleep(24 * time.Hour)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); n != 1<<20 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// TestAClientThatFloodsKeepsNobodyWaiting: of one user's requests a few are made at a
// time, and those of another pass.
func TestAClientThatFloodsKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inProgress, most int
		var mu sync.Mutex
		p, _ := open(t, "tcp://engine")
		p.engine.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/_ping" {
				return ok(), nil
			}
			mu.Lock()
			inProgress++
			most = max(most, inProgress)
			mu.Unlock()
			<-r.Context().Done()
			mu.Lock()
			inProgress--
			mu.Unlock()
			return nil, r.Context().Err()
		})
		ctx, gone := context.WithCancel(t.Context())
		var flood sync.WaitGroup
		for range 1000 {
			flood.Go(func() {
				r := httptest.NewRequest(http.MethodGet, "/info", nil).WithContext(ctx)
				r.RemoteAddr = "user 1"
				p.ServeHTTP(httptest.NewRecorder(), r)
			})
		}
		synctest.Wait()
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/_ping", nil)
		r.RemoteAddr = "user 2"
		p.ServeHTTP(w, r)
		if w.Code != http.StatusOK || inProgress != perClient {
			t.Errorf("%d %s, beside %d requests in progress", w.Code, w.Body, inProgress)
		}
		gone()
		flood.Wait()
		if most != perClient || len(p.turns.clients) > 0 {
			t.Errorf("%d were in progress; %d clients are left", most, len(p.turns.clients))
		}
	})
}
