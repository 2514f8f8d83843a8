package harness

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// EngineRequest is a request that passed a SocketProxy.
type EngineRequest struct {
	At    time.Time
	Path  string // without the version
	Query url.Values
	// Status is 0 until the Engine has answered.
	Status int
}

// SocketProxy is in front of an Engine's socket: it sees every request, and cuts
// connections or takes the socket away on demand.
type SocketProxy struct {
	Host string // unix://…, what a collector is given

	path      string
	transport *http.Transport

	mu       sync.Mutex
	server   *http.Server
	served   chan struct{}
	conns    map[net.Conn]struct{}
	requests []EngineRequest
	streams  map[string]int // open streams by path
	opened   map[string]int // requests by path that were answered
	frozen   map[string]int // by path: the last of opened that is frozen
}

var versionPrefix = regexp.MustCompile(`^/v\d+\.\d+`)

// StartSocketProxy starts a proxy for the Engine at host, unix://….
func StartSocketProxy(t testing.TB, host string) *SocketProxy {
	t.Helper()
	// A socket's path is limited to 107 bytes, which t.TempDir may exceed.
	dir, err := os.MkdirTemp("", "proxy")
	if err != nil {
		t.Fatal(err)
	}
	target := strings.TrimPrefix(host, "unix://")
	p := &SocketProxy{
		path: filepath.Join(dir, "docker.sock"), streams: make(map[string]int), opened: make(map[string]int), frozen: make(map[string]int),
		transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", target)
		}},
	}
	p.Host = "unix://" + p.path
	p.Restore(t)
	t.Cleanup(func() {
		p.Vanish()
		os.RemoveAll(dir)
	})
	return p
}

// Restore puts the socket back after Vanish.
func (p *SocketProxy) Restore(t testing.TB) {
	t.Helper()
	l, err := net.Listen("unix", p.path)
	if err != nil {
		t.Fatal(err)
	}
	server, served := &http.Server{Handler: p, ConnState: p.track}, make(chan struct{})
	p.mu.Lock()
	p.server, p.served, p.conns = server, served, make(map[net.Conn]struct{})
	p.mu.Unlock()
	go func() {
		defer close(served)
		server.Serve(l)
	}()
}

// Vanish removes the socket and cuts every connection.
func (p *SocketProxy) Vanish() {
	p.mu.Lock()
	server, served := p.server, p.served
	p.server = nil
	p.mu.Unlock()
	if server == nil {
		return
	}
	server.Close()
	<-served
	p.Cut()
}

// Cut closes every connection, in the middle of whatever it carries.
func (p *SocketProxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

func (p *SocketProxy) track(c net.Conn, state http.ConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch state {
	case http.StateNew:
		p.conns[c] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(p.conns, c)
	}
}

// Requests returns the requests so far.
func (p *SocketProxy) Requests() []EngineRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]EngineRequest(nil), p.requests...)
}

// Streams is how many answers are in progress for a path, such as
// "/containers/<id>/logs".
func (p *SocketProxy) Streams(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.streams[path]
}

// Freeze lets the streams that are open for a path stall and bring nothing more, without
// an end: like a daemon that has lost track of a log file.
func (p *SocketProxy) Freeze(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen[path] = p.opened[path]
}

func (p *SocketProxy) isFrozen(path string, number int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return number <= p.frozen[path]
}

// Opened is how many requests for a path the Engine has answered so far.
func (p *SocketProxy) Opened(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened[path]
}

// count counts a stream, and returns its number.
func (p *SocketProxy) count(path string, streams, opened int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams[path] += streams
	p.opened[path] += opened
	return p.opened[path]
}

func (p *SocketProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := versionPrefix.ReplaceAllString(r.URL.Path, "")
	p.mu.Lock()
	index := len(p.requests)
	p.requests = append(p.requests, EngineRequest{At: time.Now(), Path: path, Query: r.URL.Query()})
	p.mu.Unlock()

	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = "http", "docker", ""
	resp, err := p.transport.RoundTrip(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	p.mu.Lock()
	p.requests[index].Status = resp.StatusCode
	p.mu.Unlock()
	number := p.count(path, 1, 1)
	defer p.count(path, -1, 0)
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	buf := make([]byte, 32<<10)
	for {
		// The beginning of an answer that has no bytes yet is an answer, too.
		w.(http.Flusher).Flush()
		n, err := resp.Body.Read(buf)
		if p.isFrozen(path, number) {
			<-r.Context().Done()
			return
		}
		if _, writeErr := w.Write(buf[:n]); writeErr != nil {
			return
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler) // the client has to see that it is cut
		}
	}
}
