// Package docker is the Engine as the collector sees it: connect, list the
// containers, follow events, read container output. Only GET requests are sent.
package docker

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
	"weak"
)

// DefaultHost is where an Engine listens unless configured otherwise.
const DefaultHost = "unix:///var/run/docker.sock"

// HostOrDefault is the host of a configuration, which may be empty, as from an
// environment variable that is not set: then it warns, and returns DefaultHost.
func HostOrDefault(host string, warn func(name, why string)) string {
	if host != "" {
		return host
	}
	warn("host", "it is empty: "+DefaultHost+" is used; write coalesce(sys.env(\"DOCKER_HOST\"), \""+DefaultHost+"\") to say so")
	return DefaultHost
}

// Pool shares Engines between components, by host and client settings.
type Pool struct {
	logger *slog.Logger

	mu sync.Mutex
	// engines holds no Engine in memory: one that no component refers to any
	// more goes. Guarded by mu.
	engines map[engineKey]weak.Pointer[Engine]
}

type engineKey struct{ host, client string }

// NewPool makes an empty pool. A nil logger discards.
func NewPool(logger *slog.Logger) *Pool {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Pool{logger: logger, engines: make(map[engineKey]weak.Pointer[Engine])}
}

// Config says how to reach an Engine.
type Config struct {
	Host string // unix://, tcp://, http://, https://
	// Client is used for http and https hosts, and for tcp with TLS; nil otherwise. Key
	// distinguishes two clients.
	Client *http.Client
	Key    string
}

// Engine returns the Engine for c; it connects to nothing yet.
func (p *Pool) Engine(c Config) (*Engine, error) {
	target, err := newEndpoint(c)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := engineKey{c.Host, c.Key}
	for k, v := range p.engines {
		e := v.Value()
		if e == nil {
			delete(p.engines, k)
		} else if k == key {
			return e, nil
		}
	}
	e := newEngine(target, p.logger)
	p.engines[key] = weak.Make(e)
	return e, nil
}

// Status is how the connection to an Engine is.
type Status struct {
	Host       string
	Connected  bool
	Err        error     // why it is not connected; nil before the first attempt
	Since      time.Time // of the last change of Connected or Err
	APIVersion string    // as negotiated; empty before the first connection
	Refused    []string  // requests that are not allowed, such as "GET /events"
	Oversize   uint64    // answers over a limit
}

// Inspect asks the Engine about one container. IsNotFound reports that it does
// not exist. Where inspections are refused, the answer is what the list says,
// without a LogDriver.
func (e *Engine) Inspect(ctx context.Context, id string) (Container, error) {
	c, err := e.inspect(ctx, id)
	if IsRefused(err) {
		c, err = e.listed(ctx, id, err)
	}
	if err != nil {
		return Container{}, fmt.Errorf("inspect container %s: %w", short(id), err)
	}
	return c, nil
}

// listed returns a container as the last list and the events since then say. It
// asks for a list where nobody runs the Engine, and returns err if there is none.
func (e *Engine) listed(ctx context.Context, id string, err error) (Container, error) {
	e.mu.Lock()
	snap, connected := e.snap, e.status.Connected
	e.mu.Unlock()
	if snap.Listed && connected {
		if c := snap.find(id); c != nil {
			return *c, nil
		}
		return Container{}, errNotListed()
	}
	found, listErr := e.list(ctx, map[string][]string{"id": {id}})
	if listErr != nil {
		return Container{}, err
	}
	for i := range found {
		if found[i].ID == id {
			return found[i].Container, nil
		}
	}
	return Container{}, errNotListed()
}

func errNotListed() error {
	return &answerError{http.StatusNotFound, "404 Not Found", "no such container in the list"}
}

// Match asks the Engine which containers, running or not, the filters of its
// list operation let through. The keys of the result are container IDs.
func (e *Engine) Match(ctx context.Context, filters map[string][]string) (map[string]bool, error) {
	found, err := e.list(ctx, filters)
	if err != nil {
		return nil, fmt.Errorf("list containers by filter: %w", err)
	}
	out := make(map[string]bool, len(found))
	for i := range found {
		out[found[i].ID] = true
	}
	return out, nil
}

// short is how the docker command abbreviates a container's ID.
func short(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}
