package listen

import (
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/throttle"
)

const (
	// IdleTimeout is how long servers leave a connection open on which no request
	// comes. Clients that send once a minute keep theirs.
	IdleTimeout = 5 * time.Minute

	maxConnections = 2048
	// connectionCost is about what a connection takes that is open.
	connectionCost = 32 << 10
	// idleAtLimit is how long nothing has passed on a connection that is closed so
	// that another client gets one.
	idleAtLimit = 10 * time.Second
)

// MaxConnections is how many connections a receiver has at most: 2,048, or fewer
// where the program's memory limit is low.
func MaxConnections() int {
	return int(WithinMemory(maxConnections*connectionCost) / connectionCost)
}

// Limit bounds the connections of a receiver. When there are as many as there may
// be, the client that has the most gives up the one that has been idle longest. It
// keeps those that are in use only from a client that has its share already: then
// the new one is closed at once. A client's share is the limit divided by the
// number of clients.
type Limit struct {
	most   int
	idle   time.Duration
	logger *slog.Logger
	closed *prometheus.CounterVec // by reason
	quiet  throttle.Log
	begun  time.Time

	mu    sync.Mutex
	conns map[*limited]struct{} // guarded by mu
	held  map[string]int        // connections by client; guarded by mu
}

// NewLimit makes a Limit of so many connections, with its metrics.
func NewLimit(most int, reg prometheus.Registerer, logger *slog.Logger) *Limit {
	l := &Limit{
		most: most, idle: idleAtLimit, logger: logger, begun: time.Now(),
		conns: make(map[*limited]struct{}), held: make(map[string]int),
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "collector_receiver_closed_connections_total",
			Help: "Connections that a receiver closed because it had reached its limit: idle ones, ones in use by the client with the most connections, and new ones.",
		}, []string{"reason"}),
	}
	reg.MustRegister(l.closed, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "collector_receiver_connections", Help: "Connections that a receiver has open.",
	}, func() float64 { return float64(l.count()) }))
	return l
}

func (l *Limit) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// Listener returns a listener of the same connections, within the limit.
func (l *Limit) Listener(inner net.Listener) net.Listener { return limitedListener{inner, l} }

type limitedListener struct {
	net.Listener
	limit *Limit
}

// Accept implements net.Listener.
func (l limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if admitted := l.limit.admit(c); admitted != nil {
			return admitted, nil
		}
		c.Close()
	}
}

// admit takes c in, or returns nil.
func (l *Limit) admit(c net.Conn) net.Conn {
	admitted := &limited{Conn: c, limit: l, client: ClientOf(c.RemoteAddr().String())}
	admitted.passed()
	l.mu.Lock()
	var victim *limited
	reason, full := "limit", len(l.conns) >= l.most
	if full {
		if victim = l.victim(admitted.client); victim != nil {
			reason = "idle"
			if time.Since(l.begun)-victim.last() < l.idle {
				reason = "share"
			}
			l.remove(victim)
		}
	}
	ok := !full || victim != nil
	if ok {
		l.conns[admitted] = struct{}{}
		l.held[admitted.client]++
	}
	l.mu.Unlock()
	if full {
		l.closed.WithLabelValues(reason).Inc()
		l.quiet.Warn(l.logger, reason, "a receiver has reached its connection limit; closing idle connections or rejecting new ones", "connections", l.most, "client", c.RemoteAddr().String())
	}
	if victim != nil {
		victim.Conn.Close()
	}
	if !ok {
		return nil
	}
	return admitted
}

// victim is the connection that is closed for one of client; nil: there is none.
// The caller holds mu.
func (l *Limit) victim(client string) (victim *limited) {
	greedy, now := client, time.Since(l.begun)
	for other, n := range l.held {
		if n > l.held[greedy] {
			greedy = other
		}
	}
	within := l.withinShare(client)
	var since time.Duration // when something last passed on victim
	for c := range l.conns {
		last := c.last()
		if c.client == greedy && (within || now-last >= l.idle) && (victim == nil || last < since) {
			victim, since = c, last
		}
	}
	return victim
}

// withinShare reports whether client has less than its share. The caller holds mu.
func (l *Limit) withinShare(client string) bool {
	clients := len(l.held)
	if l.held[client] == 0 {
		clients++
	}
	return l.held[client] < l.most/clients
}

// remove takes c out. The caller holds mu.
func (l *Limit) remove(c *limited) {
	if _, ok := l.conns[c]; !ok {
		return
	}
	delete(l.conns, c)
	if l.held[c.client]--; l.held[c.client] == 0 {
		delete(l.held, c.client)
	}
}

// limited is a connection that counts.
type limited struct {
	net.Conn
	limit  *Limit
	client string
	at     atomic.Int64 // when something last passed, since limit.begun
}

func (c *limited) passed()             { c.at.Store(int64(time.Since(c.limit.begun))) }
func (c *limited) last() time.Duration { return time.Duration(c.at.Load()) }

// Read implements net.Conn.
func (c *limited) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.passed()
	return n, err
}

// Write implements net.Conn.
func (c *limited) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.passed()
	return n, err
}

// CloseWrite tells the client that nothing more is written, where the connection
// can.
func (c *limited) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close implements net.Conn.
func (c *limited) Close() error {
	c.limit.mu.Lock()
	c.limit.remove(c)
	c.limit.mu.Unlock()
	return c.Conn.Close()
}
