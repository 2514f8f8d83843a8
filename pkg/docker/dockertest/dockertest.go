// Package dockertest is a Docker Engine for tests: a real HTTP server that
// speaks the part of the Engine API that the collector uses, with containers
// that a test scripts.
//
// It fails the test when a request arrives that a read-only proxy in front of
// the Engine would refuse: another method than GET, or an unexpected path.
package dockertest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Container is a container as a test describes it. Only ID, Name or neither
// need be given.
type Container struct {
	ID          string // made up when empty
	Name        string // without the leading slash; made up when empty
	Image       string
	Labels      map[string]string
	TTY         bool
	LogDriver   string // "json-file" when empty; "none" cannot be read
	NetworkMode string // "default" when empty
	// Networks are the IP addresses by network name; networks that do not
	// exist are made. Nil means one address on the network "bridge", unless
	// NetworkMode is "host", "none" or "container:…".
	Networks      map[string]string
	Ports         []Port
	RestartPolicy string // "no" when empty; the fake itself restarts nothing
	Env           []string
	PID           int    // of the first process while it runs
	RestartCount  int    // what an inspection says
	UpperDir      string // of the storage driver
	LogPath       string
	Memory        int64 // the limit in bytes
	CPUQuota      int64
	Usage         string // the answer to GET /containers/{id}/stats; "{}" when empty
	// AutoRemove removes the container when it stops, as docker run --rm does.
	AutoRemove bool
}

// Port is an exposed port; Public is 0 unless it is published.
type Port struct {
	Private, Public uint16
	Type            string // "tcp" when empty
	IP              string
}

// Network is a network.
type Network struct {
	ID, Name, Scope   string
	Internal, Ingress bool
	Labels            map[string]string
}

// Entry is one message of a container's log, as a logging driver stores it:
// Text ends in "\n" when it ends a line, and is at most 16 KiB of a longer one
// otherwise.
type Entry struct {
	Stream string // "stdout" when empty
	Time   time.Time
	Text   string
	// Err, when set, is what the Engine fails to read: it ends the output with
	// this message.
	Err string
}

// Request is a request that arrived.
type Request struct {
	Method  string
	Path    string // without the version
	Version string // such as "1.41"; empty if the path has none
	Query   url.Values
}

type state struct {
	Container
	status                     string // created, running, paused, exited
	exitCode                   int
	created, started, finished time.Time
	log                        []Entry
	removed                    bool
	followers                  int
	changed                    chan struct{} // closed and replaced whenever anything above changes
}

func (s *state) running() bool { return s.status == "running" || s.status == "paused" }

// pid is the number of the first process; 0 if none runs.
func (s *state) pid() int {
	if !s.running() {
		return 0
	}
	return s.PID
}

type failure struct {
	status  int
	message string
}

// Daemon is the Engine. Its methods are safe for concurrent use.
type Daemon struct {
	t    testing.TB
	path string        // of the socket; empty with NewPipe
	pipe *pipeListener // with NewPipe

	mu          sync.Mutex
	containers  map[string]*state
	networks    map[string]Network // by name
	requests    []Request
	requested   chan struct{} // closed and replaced with every request and follower
	subscribers map[chan event]bool
	failures    map[string]failure
	refusals    map[string]int // by path, with {id}
	conns       map[net.Conn]bool
	minAPI      string
	maxAPI      string
	next        int
	server      *http.Server
	stopped     chan struct{} // closed when server stops
	served      sync.WaitGroup
	podman      bool
}

// New starts an Engine on a unix socket. It ends with the test.
func New(t testing.TB) *Daemon {
	d := newDaemon(t)
	// The path of a socket may have 107 bytes only, which t.TempDir exceeds
	// for long test names.
	dir, err := os.MkdirTemp("", "docker")
	if err != nil {
		t.Fatal(err)
	}
	d.path = filepath.Join(dir, "docker.sock")
	d.Restart()
	t.Cleanup(func() {
		d.Shutdown()
		os.RemoveAll(dir)
	})
	return d
}

// NewPipe starts an Engine that is reached over connections in memory, which
// a synctest bubble can hold. Use Host and Client together.
func NewPipe(t testing.TB) *Daemon {
	d := newDaemon(t)
	d.Restart()
	t.Cleanup(d.Shutdown)
	return d
}

func newDaemon(t testing.TB) *Daemon {
	d := &Daemon{
		t: t, containers: map[string]*state{}, networks: map[string]Network{},
		requested: make(chan struct{}), subscribers: map[chan event]bool{}, failures: map[string]failure{}, refusals: map[string]int{},
		conns: map[net.Conn]bool{}, minAPI: "1.24", maxAPI: "1.51",
	}
	for _, name := range []string{"bridge", "host", "none"} {
		d.networks[name] = Network{ID: id(name), Name: name, Scope: "local"}
	}
	return d
}

// Host is what a component's argument host is set to.
func (d *Daemon) Host() string {
	if d.path == "" {
		return "http://docker.test"
	}
	return "unix://" + d.path
}

// Client reaches an Engine made by NewPipe.
func (d *Daemon) Client() *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		d.mu.Lock()
		pipe := d.pipe
		d.mu.Unlock()
		if pipe == nil {
			return nil, fmt.Errorf("dial docker.test: the test's Engine is down or listens on a socket")
		}
		return pipe.dial(ctx)
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial}}
}

// Shutdown stops the server and cuts all connections. The containers run on.
func (d *Daemon) Shutdown() {
	d.mu.Lock()
	server := d.server
	d.server, d.pipe = nil, nil
	if server != nil {
		close(d.stopped)
	}
	d.mu.Unlock()
	if server == nil {
		return
	}
	server.Close()
	d.CutConnections()
	d.served.Wait()
}

// Restart starts the server after Shutdown, at the same address.
func (d *Daemon) Restart() {
	var listener net.Listener
	pipe := newPipeListener()
	listener = pipe
	if d.path != "" {
		l, err := net.Listen("unix", d.path)
		if err != nil {
			d.t.Fatal(err)
		}
		listener, pipe = l, nil
	}
	server := &http.Server{Handler: d.handler(), ConnState: d.track}
	d.mu.Lock()
	d.server, d.pipe, d.stopped = server, pipe, make(chan struct{})
	d.mu.Unlock()
	d.served.Go(func() { server.Serve(listener) })
}

// CutConnections closes every connection, follow streams included.
func (d *Daemon) CutConnections() {
	d.mu.Lock()
	conns := slices.Collect(maps.Keys(d.conns))
	d.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}

func (d *Daemon) track(c net.Conn, s http.ConnState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch s {
	case http.StateNew:
		d.conns[c] = true
	case http.StateClosed, http.StateHijacked:
		delete(d.conns, c)
	}
}

// SetAPI sets the lowest and highest version of the API that is offered.
func (d *Daemon) SetAPI(lowest, highest string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.minAPI, d.maxAPI = lowest, highest
}

// Fail answers every request whose path, without the version, starts with
// prefix by an error. Status 0 ends that.
func (d *Daemon) Fail(prefix string, status int, message string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if status == 0 {
		delete(d.failures, prefix)
		return
	}
	d.failures[prefix] = failure{status, message}
}

// Hang is the status of a request that is never answered.
const Hang = -1

// Refuse answers the requests with a path, such as /containers/{id}/json, as a
// proxy does that does not allow them, or never if status is Hang. Status 0 ends
// that.
func (d *Daemon) Refuse(path string, status int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refusals[path] = status
}

// Requests returns the requests so far.
func (d *Daemon) Requests() []Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.requests)
}

// Count counts the requests so far whose path starts with prefix.
func (d *Daemon) Count(prefix string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count(prefix)
}

func (d *Daemon) count(prefix string) int {
	n := 0
	for _, r := range d.requests {
		if strings.HasPrefix(r.Path, prefix) {
			n++
		}
	}
	return n
}

// AwaitCount waits until at least n requests have arrived whose path starts
// with prefix. It fails the test when the test's time ends before.
func (d *Daemon) AwaitCount(prefix string, n int) {
	d.t.Helper()
	d.await(fmt.Sprintf("%d requests for %s", n, prefix), func() bool { return d.count(prefix) >= n })
}

// AwaitFollowers waits until exactly n streams follow the container's log.
func (d *Daemon) AwaitFollowers(containerID string, n int) {
	d.t.Helper()
	d.await(fmt.Sprintf("%d followers of %s", n, containerID), func() bool {
		s := d.containers[containerID]
		return s != nil && s.followers == n
	})
}

// AwaitSubscribers waits until exactly n streams follow the events.
func (d *Daemon) AwaitSubscribers(n int) {
	d.t.Helper()
	d.await(fmt.Sprintf("%d event streams", n), func() bool { return len(d.subscribers) == n })
}

func (d *Daemon) await(what string, done func() bool) {
	d.t.Helper()
	timeout := time.After(time.Minute)
	for {
		d.mu.Lock()
		ok, requested := done(), d.requested
		d.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-requested:
		case <-timeout:
			d.t.Fatalf("dockertest: waited a minute for %s", what)
		}
	}
}

// wake makes those in await look again. The caller holds mu.
func (d *Daemon) wake() {
	close(d.requested)
	d.requested = make(chan struct{})
}
