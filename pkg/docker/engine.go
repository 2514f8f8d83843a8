package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/filters"
)

const (
	// An attempt to connect is cheap, and what happens in the meantime is missed, so
	// even a long outage is tried at this interval.
	minBackoff = 500 * time.Millisecond
	maxBackoff = 4 * time.Second
	// steady is how long a connection has to last to start afresh with
	// minBackoff.
	steady = 30 * time.Second
	// tooLargeBackoff is for an Engine whose answers are too large: what they
	// cost is not spent every few seconds.
	tooLargeBackoff = 30 * time.Second
	// minRefresh bounds what a refresh interval may ask of the Engine.
	minRefresh = time.Second
	// quietError is how long a changed error goes unlogged, so that an error whose text
	// changes each time does not fill the log.
	quietError = time.Minute
)

// Engine is one Docker Engine, shared by everyone who uses the same host.
type Engine struct {
	endpoint *endpoint
	logger   *slog.Logger

	connecting sync.Mutex // held while a connection is made by a request

	mu      sync.Mutex
	conn    *connection   // guarded by mu; nil until the version is negotiated
	status  Status        // guarded by mu
	snap    Snapshot      // guarded by mu
	changed chan struct{} // guarded by mu; closed when snap is replaced
	users   map[int]time.Duration
	nextID  int
	cancel  context.CancelFunc // guarded by mu; ends the loop
	done    chan struct{}      // guarded by mu; closed when the loop has ended
	kick    chan struct{}      // holds a value when refresh may have changed

	// state belongs to the loop, of which there is one at a time.
	state *state

	logged   string    // the last error; belongs to the loop
	loggedAt time.Time // belongs to the loop
	// withoutNetworks is set while requests for networks are refused; it
	// belongs to the loop.
	withoutNetworks bool

	rights   rights
	oversize atomic.Uint64 // answers over a limit
}

func newEngine(e *endpoint, logger *slog.Logger) *Engine {
	return &Engine{
		endpoint: e, logger: logger.With("host", e.host), status: Status{Host: e.host}, changed: make(chan struct{}),
		users: make(map[int]time.Duration), kick: make(chan struct{}, 1), state: newState(), rights: newRights(),
	}
}

// Run keeps the snapshot up to date until ctx ends. Whoever calls it first
// starts that, and the last to return ends it. The containers are listed again
// at the shortest interval that any caller asks for, whatever events say; 0
// asks for none.
func (e *Engine) Run(ctx context.Context, refresh time.Duration) error {
	e.mu.Lock()
	id := e.nextID
	e.nextID++
	e.users[id] = refresh
	if len(e.users) == 1 {
		e.start()
	}
	e.poke()
	e.mu.Unlock()

	<-ctx.Done()

	e.mu.Lock()
	delete(e.users, id)
	e.poke()
	var done chan struct{}
	if len(e.users) == 0 {
		e.cancel()
		done = e.done
	}
	e.mu.Unlock()
	if done != nil {
		<-done
	}
	return nil
}

// start starts the loop once the one before has ended. The caller holds mu.
func (e *Engine) start() {
	ctx, cancel := context.WithCancel(context.Background())
	before, done := e.done, make(chan struct{})
	e.cancel, e.done = cancel, done
	go func() {
		defer close(done)
		if before != nil {
			<-before
		}
		e.loop(ctx)
	}()
}

// poke makes the loop look at the refresh intervals.
func (e *Engine) poke() {
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// refresh returns the shortest interval that is asked for; 0 if there is none.
func (e *Engine) refresh() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	shortest := time.Duration(0)
	for _, r := range e.users {
		if r > 0 && (shortest == 0 || r < shortest) {
			shortest = r
		}
	}
	if shortest > 0 {
		shortest = max(shortest, minRefresh)
	}
	return shortest
}

// Snapshot returns what is known, and a channel that is closed when that
// changes.
func (e *Engine) Snapshot() (Snapshot, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.snap, e.changed
}

// Known returns what is known, without asking the Engine, of a container that
// runs or has just ended. It knows none before it was inspected, nor while the
// connection is lost.
func (e *Engine) Known(id string) (Container, bool) {
	e.mu.Lock()
	snap, connected := e.snap, e.status.Connected
	e.mu.Unlock()
	found := snap.find(id)
	if found == nil || !connected {
		return Container{}, false
	}
	c := *found
	return c, (c.Running || c.Ended) && c.LogDriver != ""
}

// Status returns how the connection to the Engine is.
func (e *Engine) Status() Status {
	e.mu.Lock()
	s := e.status
	e.mu.Unlock()
	s.Refused, s.Oversize = e.rights.list(), e.oversize.Load()
	return s
}

func (e *Engine) publish() {
	snap := e.state.snapshot()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.snap = snap
	close(e.changed)
	e.changed = make(chan struct{})
}

// loop connects, again and again.
func (e *Engine) loop(ctx context.Context) {
	delay := minBackoff
	for ctx.Err() == nil {
		begun := time.Now()
		connected, err := e.attempt(ctx)
		if ctx.Err() != nil {
			break
		}
		if connected && time.Since(begun) >= steady {
			delay = minBackoff
		}
		e.failed(err, connected)
		if IsTooLarge(err) {
			delay = tooLargeBackoff
		}
		select {
		case <-ctx.Done():
		case <-time.After(delay/2 + rand.N(delay/2+1)):
		}
		delay = min(2*delay, maxBackoff)
	}
	e.endpoint.http.CloseIdleConnections()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conn = nil
	e.status.Connected, e.status.Since = false, time.Now()
}

// failed records why an attempt has ended. The loss of a working connection is logged
// only if reconnecting fails.
func (e *Engine) failed(err error, connected bool) {
	now := time.Now()
	e.countOversize(err)
	e.mu.Lock()
	e.conn = nil
	if e.status.Connected || e.status.Err == nil || e.status.Err.Error() != err.Error() {
		e.status.Connected, e.status.Err, e.status.Since = false, err, now
	}
	e.mu.Unlock()
	switch {
	case connected && IsTooLarge(err): // and may be so each time
		e.warnOversize(toEvents, err)
	case connected:
		e.logger.Debug("the connection to the Docker Engine was closed", "err", err)
	case e.logged == "" || e.logged != err.Error() && now.Sub(e.loggedAt) >= quietError:
		message := "cannot reach the Docker Engine; retrying"
		switch {
		case IsRefused(err):
			message = "the Docker Engine, or a proxy in front of it, rejects a required request; retrying"
		case IsTooLarge(err):
			message = "a response of the Docker Engine exceeds a limit; retrying; the container list is frozen until then"
		}
		e.logger.Error(message, "err", err)
		e.logged, e.loggedAt = err.Error(), now
	}
}

// countOversize counts an answer over a limit, once.
func (e *Engine) countOversize(err error) {
	var t *TooLargeError
	if errors.As(err, &t) && !t.counted {
		t.counted = true
		e.oversize.Add(1)
	}
}

// connected notes that the containers are known.
func (e *Engine) connected(c *connection) {
	e.mu.Lock()
	e.status = Status{Host: e.endpoint.host, Connected: true, Since: time.Now(), APIVersion: c.version}
	e.mu.Unlock()
	level := slog.LevelDebug
	if e.logged != "" || e.loggedAt.IsZero() {
		level = slog.LevelInfo
	}
	e.logged, e.loggedAt = "", time.Now()
	e.logger.Log(context.Background(), level, "connected to the Docker Engine", "api_version", c.version, "containers", len(e.state.records))
}

// connection returns the current connection, or makes one.
func (e *Engine) connection(ctx context.Context) (*connection, error) {
	e.mu.Lock()
	c := e.conn
	e.mu.Unlock()
	if c != nil {
		return c, nil
	}
	e.connecting.Lock()
	defer e.connecting.Unlock()
	e.mu.Lock()
	c = e.conn
	e.mu.Unlock()
	if c != nil {
		return c, nil
	}
	c, err := e.endpoint.connect(ctx)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conn = c
	return c, nil
}

// request makes a request, and repeats it with another version of the API if the Engine
// has been replaced by one that does not speak the previous version.
func request[T any](ctx context.Context, e *Engine, do func(*connection) (T, error)) (T, error) {
	for again := false; ; again = true {
		c, err := e.connection(ctx)
		if err != nil {
			return *new(T), err
		}
		v, err := do(c)
		if !isVersionError(err) || again {
			return v, err
		}
		e.mu.Lock()
		if e.conn == c {
			e.conn = nil
		}
		e.mu.Unlock()
	}
}

// inspect asks for one container. Where that is refused, it is not asked again
// for a while.
func (e *Engine) inspect(ctx context.Context, id string) (Container, error) {
	if err := e.unasked(toInspect); err != nil {
		return Container{}, err
	}
	r, err := ask(ctx, e, toInspect, requestTimeout, func(ctx context.Context, c *connection) (*inspectAnswer, error) {
		r := new(inspectAnswer)
		return r, c.object(ctx, "/containers/"+url.PathEscape(id)+"/json", maxObject, r)
	})
	if err != nil {
		e.noteRefusal(toInspect, err, "without inspections, the address of a new container is known only with the next list")
		return Container{}, err
	}
	return fromInspect(r), nil
}

// list lists all containers that filters let through.
func (e *Engine) list(ctx context.Context, by map[string][]string) ([]listed, error) {
	args := filters.NewArgs()
	for name, values := range by {
		for _, v := range values {
			args.Add(name, v)
		}
	}
	filter, err := filters.ToJSON(args)
	if err != nil {
		return nil, err
	}
	query := url.Values{"all": {"1"}}
	if args.Len() > 0 {
		query.Set("filters", filter)
	}
	return ask(ctx, e, toList, listTimeout, func(ctx context.Context, c *connection) ([]listed, error) {
		var out []listed
		room := HeldLimit()
		err := each(ctx, c, "/containers/json", query, func(s *summaryAnswer) error {
			l := fromSummary(s)
			if room -= l.weight(); room < 0 {
				return tooLarge("the Engine's data about all containers is too large", mebibytes(HeldLimit()))
			}
			if len(out) == maxContainers {
				return tooLarge("there are too many containers", fmt.Sprint(maxContainers))
			}
			out = append(out, l)
			return nil
		})
		return out, err
	})
}

func (e *Engine) network(ctx context.Context, id string) (*Network, error) {
	n, err := ask(ctx, e, toInspectNetwork, requestTimeout, func(ctx context.Context, c *connection) (*networkAnswer, error) {
		n := new(networkAnswer)
		return n, c.object(ctx, "/networks/"+url.PathEscape(id), maxNetwork, n)
	})
	if err != nil {
		return nil, err
	}
	return fromNetwork(n), nil
}

func (e *Engine) listNetworks(ctx context.Context) ([]*Network, error) {
	return ask(ctx, e, toListNetworks, requestTimeout, func(ctx context.Context, c *connection) ([]*Network, error) {
		var out []*Network
		room := HeldLimit() / 4
		err := each(ctx, c, "/networks", nil, func(n *networkAnswer) error {
			made := fromNetwork(n)
			if room -= made.weight(); room < 0 || len(out) == maxNetworks {
				return tooLarge("there are too many networks", fmt.Sprintf("%d, or %s", maxNetworks, mebibytes(HeldLimit()/4)))
			}
			out = append(out, made)
			return nil
		})
		return out, err
	})
}

func fromNetwork(n *networkAnswer) *Network {
	return &Network{ID: n.ID, Name: n.Name, Scope: n.Scope, Internal: n.Internal, Ingress: n.Ingress, Labels: n.Labels}
}
