package listen

import (
	"errors"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrNoRoom says that other requests hold the memory: the client should send
// again later.
var ErrNoRoom = errors.New("requests in progress have used up their memory limit; send again later")

// ErrGone says that a request's client disconnected while the request waited for room.
var ErrGone = errors.New("the client has disconnected")

// ErrTooLarge says that a request takes more memory than any request may: sending it
// again is of no use.
var ErrTooLarge = errors.New("the request needs more memory than one request may use")

const (
	// aloneShare is how many times the budget the requests in progress may take
	// with the one of them that may exceed it.
	aloneShare = 3
	// slowArrival is how long a request may take to arrive, and pause, before it is ended
	// when others need its memory, unless it arrives fast enough to be complete within
	// steadyArrival.
	slowArrival   = 2 * time.Second
	steadyArrival = 10 * time.Second
	// firstTime is how long the request that exceeds the budget is safe: otherwise
	// requests on a slow machine would keep ending each other.
	firstTime = 5 * time.Second
	// endingTime is how long a request waits for the memory of those that were
	// ended for it.
	endingTime = time.Second
	// mostUncounted is how many requests of one client, and allUncounted how many of all
	// clients, may wait before their data is counted anywhere.
	mostUncounted = 8
	allUncounted  = 32
)

// Budget bounds the memory that the requests in progress take: what has arrived of
// them, what it unpacks to, and what decoding makes of it. Each request has a
// Claim, which grows before the memory is made, and is released when the last of
// it is freed.
//
// One request at a time may exceed the budget, up to a bound: however many ask for the
// rest of it at once, one of them makes progress. Small requests find room for an eighth
// more when large ones have taken it all. When there is no room, requests that are still
// arriving end: the oldest of those that arrive slowly, of the clients that hold more
// than their share; or, if the other is within its own share, the youngest of the client
// that holds the most, and where none holds too much, the oldest of the slow ones. A
// client's share is the budget divided by the number of clients, so that it bites only
// while others wait: many clients behind one address are one client, and may take it all.
//
// A request that arrives steadily is not slow, and the largest of each client is spared
// unless a slow one within its client's share would have to be ended instead: requests
// that share a connection, as gRPC's do, take longer to arrive than others, which would
// end them again and again.
//
// A request that waits for room, see Claim.Wait, gets it before those of clients that
// hold more. One that waits for the room of another that was ended for it has no
// second one ended before the first has given back everything.
//
// Each OTLP receiver has a budget of its own, so that an overload of one leaves the
// others their room; those of profiles share one, see Pool.Budget.
type Budget struct {
	max     int64
	buffers buffers

	mu          sync.Mutex
	used, small int64               // guarded by mu; small is the part of it that small requests hold
	first       *Claim              // the one that may exceed the budget; nil: none does; guarded by mu
	firstSince  time.Time           // guarded by mu
	claims      map[*Claim]struct{} // that have taken something; guarded by mu
	held        map[string]int64    // what those of each client have taken; guarded by mu
	blocked     []*Claim            // that wait in Grow, in the order of their coming; guarded by mu
}

// WithinMemory is bytes, or less where the program's memory limit is low: what
// one server may hold of requests, with the copies that are made on their way to
// the disk.
func WithinMemory(bytes int64) int64 { return min(bytes, debug.SetMemoryLimit(-1)/24) }

// NewBudget makes a budget of so many bytes.
func NewBudget(bytes int64) *Budget {
	return &Budget{max: bytes, claims: make(map[*Claim]struct{}), held: make(map[string]int64)}
}

// Max is how many bytes requests may take, but for what exceeds the budget.
func (b *Budget) Max() int64 { return b.max }

// Used is what requests in progress have taken.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// ofSmall is how much of what a request has taken counts as a small one's.
func (b *Budget) ofSmall(taken int64) int64 {
	if taken > b.max/16 {
		return 0
	}
	return taken
}

// Claim is what one request takes of a budget. It is for one goroutine.
type Claim struct {
	budget *Budget
	client string
	since  time.Time
	taken  int64         // guarded by budget.mu
	end    func()        // ends the request while it arrives; guarded by budget.mu
	ended  chan struct{} // closed when it was ended in favor of another; nil: it never is

	patience  time.Duration   // how long it waits for room
	gone      <-chan struct{} // closed when its client disconnects; may be nil
	uncounted bool            // its client may have sent what counts nowhere; does not change while it waits

	// While it waits in Grow; all guarded by budget.mu.
	need     int64         // bytes; 0: it does not wait
	queued   bool          // for room that others give back by themselves
	look     chan struct{} // tells it to look for room again
	victim   *Claim        // was ended for it, and has not given back everything
	endedFor *Claim        // waits for what this one gives back

	received atomic.Int64 // bytes
	last     atomic.Int64 // when some of them came, after since
}

// Claim begins a request of a client, which has taken nothing yet. end, if any,
// makes the request fail and be released soon; it is called at most once, from
// another goroutine, and not after Arrived or Release.
func (b *Budget) Claim(client string, end func()) *Claim {
	c := &Claim{budget: b, client: client, since: time.Now(), end: end}
	if end != nil {
		c.ended = make(chan struct{})
	}
	return c
}

// Wait makes the request wait so long for room that others give back by themselves,
// and not only for what ends in favor of it. Those of clients that hold more do not
// get it before. It is for requests that cost little while they wait. Until Counted
// is called, only a few wait at a time, of each client and of all.
func (c *Claim) Wait(patience time.Duration) { c.patience, c.uncounted = patience, patience > 0 }

// Counted says that all that the client may have sent is claimed.
func (c *Claim) Counted() { c.uncounted = false }

// Until makes Grow fail with ErrGone, where it would wait, once gone is closed.
func (c *Claim) Until(gone <-chan struct{}) { c.gone = gone }

// ClientBy is the client of a request by that transport: those that one address
// sends by another are another's, so that neither keeps the other out.
func ClientBy(transport, address string) string { return transport + " " + ClientOf(address) }

// ClientOf is the client of a request from that address, as host:port: its
// host, and of IPv6 the network of 64 bits, of which a client has all addresses.
func ClientOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	host, _, _ = strings.Cut(host, "%") // the zone is this machine's, not the client's
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		return ip.Mask(net.CIDRMask(64, 128)).String()
	}
	return host
}

// Grow takes n bytes more, before they are made. It fails with ErrTooLarge,
// ErrNoRoom or ErrGone; before that, it waits a moment for the room of requests that
// end in favor of this one. One that is ended itself does not wait any longer.
func (c *Claim) Grow(n int) error {
	if n <= 0 {
		c.Shrink(-n)
		return nil
	}
	end, waits, err := c.take(int64(n))
	if err != nil || !waits {
		return err
	}
	timeout := time.After(max(endingTime, c.patience))
	defer c.waitsNoMore()
	again := time.NewTicker(slowArrival) // others may have become slow
	defer again.Stop()
	for waits {
		if end != nil {
			end()
		}
		select {
		case <-c.look:
		case <-again.C:
		case <-c.ended:
			return ErrNoRoom
		case <-c.gone:
			return c.whyGone()
		case <-timeout:
			return ErrNoRoom
		}
		if end, waits, err = c.take(int64(n)); err != nil {
			return err
		}
	}
	return nil
}

// whyGone distinguishes a client that disconnected from a request that was ended, which
// may look the same.
func (c *Claim) whyGone() error {
	if c.wasEnded() {
		return ErrNoRoom
	}
	return ErrGone
}

// wasEnded reports whether c was ended in favor of another.
func (c *Claim) wasEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// waitsNoMore says that c has the room it waited for, or has given up. The next in line
// looks again, and those that fit into what was meant for c.
func (c *Claim) waitsNoMore() {
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.blocked = slices.DeleteFunc(b.blocked, func(other *Claim) bool { return other == c })
	c.need, c.queued = 0, false
	if c.victim != nil {
		c.victim.endedFor, c.victim = nil, nil
	}
	b.wake()
}

// front is the request that is to have the next room: of those that wait for it, of
// the client that holds the least; nil: none is waiting. The caller holds mu.
func (b *Budget) front() (front *Claim) {
	for _, c := range b.blocked {
		if c.queued && (front == nil || b.before(c, front)) {
			front = c
		}
	}
	return front
}

// before reports whether c is to have room before other. The caller holds mu.
func (b *Budget) before(c, other *Claim) bool {
	d := b.held[c.client] - b.held[other.client]
	return d < 0 || d == 0 && c.since.Before(other.since)
}

// comesAfter reports whether front is to have the next room before c may take n
// bytes more. The caller holds mu.
func (b *Budget) comesAfter(c *Claim, n int64, front *Claim) bool {
	return front != nil && front != c && b.first != c && b.ofSmall(c.taken+n) == 0 && b.before(front, c)
}

// asSmall is how much more small requests hold when c takes n bytes more. The caller
// holds mu.
func (b *Budget) asSmall(c *Claim, n int64) int64 {
	return b.ofSmall(c.taken+n) - b.ofSmall(c.taken)
}

// fits reports whether c, which comes after none, can take n bytes more where so much
// is used. The caller holds mu.
func (b *Budget) fits(c *Claim, n, used, small int64) bool {
	return used+n <= b.max || b.ofSmall(c.taken+n) > 0 && small+b.asSmall(c, n) <= b.max/8
}

// wake has those look again that wait and may get on: those that fit, as far as the room
// goes, and those that may now end another, or exceed the budget. The others stay asleep:
// where many wait, they would take CPU time from those that give room back. The caller
// holds mu.
func (b *Budget) wake() {
	if len(b.blocked) == 0 {
		return
	}
	used, small := b.used, b.small
	front := b.front()
	if front != nil {
		front.signal()
		if b.fits(front, front.need, used, small) {
			used, small = used+front.need, small+b.asSmall(front, front.need)
		}
	}
	if b.first != nil {
		if b.first.signal(); used >= b.max && small >= b.max/8 {
			return
		}
	}
	for _, c := range b.blocked {
		switch {
		case c == front || b.comesAfter(c, c.need, front):
		case b.fits(c, c.need, used, small):
			used, small = used+c.need, small+b.asSmall(c, c.need)
			c.signal()
		case b.first == nil && !c.queued && c.victim == nil:
			c.signal()
		}
	}
}

// signal has c look for room again, if it waits. The caller holds budget.mu.
func (c *Claim) signal() {
	if c.need == 0 {
		return
	}
	select {
	case c.look <- struct{}{}:
	default:
	}
}

// hasPlace reports whether c may wait besides those that wait already. The caller
// holds mu.
func (b *Budget) hasPlace(c *Claim) bool {
	if !c.uncounted {
		return true
	}
	all, own := 0, 0
	for _, other := range b.blocked {
		if other.queued && other.uncounted {
			if all++; other.client == c.client {
				own++
			}
		}
	}
	return all < allUncounted && own < mostUncounted
}

// take takes n bytes, or says that c has to wait, and what ends another request.
func (c *Claim) take(n int64) (end func(), waits bool, err error) {
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := c.taken + n
	if taken > aloneShare*b.max {
		return nil, false, ErrTooLarge
	}
	after := b.comesAfter(c, n, b.front())
	fits := !after && b.fits(c, n, b.used, b.small)
	if !fits && c.wasEnded() {
		return nil, false, ErrNoRoom
	}
	var victim *Claim
	// What was ended for c gives its memory back before another is.
	if !fits && !after && c.victim == nil && b.used > c.taken {
		victim = b.victim(c, taken)
	}
	if !fits && !after && c.victim == nil && victim == nil && (b.first == nil || b.first == c) {
		if b.first == nil {
			b.first, b.firstSince = c, time.Now()
		}
		fits = b.used+n <= aloneShare*b.max
	}
	if fits {
		b.used, b.small, c.taken = b.used+n, b.small+b.asSmall(c, n), taken
		b.claims[c] = struct{}{}
		b.held[c.client] += n
		return nil, false, nil
	}
	if c.need == 0 {
		if victim == nil && b.first != c {
			if c.patience == 0 || !b.hasPlace(c) {
				return nil, false, ErrNoRoom
			}
			c.queued = true
		}
		c.look = make(chan struct{}, 1)
		c.need = n
		b.blocked = append(b.blocked, c)
	}
	if victim != nil {
		end, victim.end = victim.end, nil
		c.victim, victim.endedFor = victim, c
		close(victim.ended)
	}
	return end, true, nil
}

// victim is the request to end so that c can take that much; nil for none. The caller
// holds mu.
func (b *Budget) victim(c *Claim, taken int64) *Claim {
	clients := int64(len(b.held))
	if b.held[c.client] == 0 {
		clients++
	}
	held := func(x *Claim) int64 {
		if x.client == c.client {
			return b.held[x.client] + taken - c.taken
		}
		return b.held[x.client]
	}
	largest := make(map[string]*Claim)
	for other := range b.claims {
		if l := largest[other.client]; l == nil || other.taken > l.taken || other.taken == l.taken && other.since.Before(l.since) {
			largest[other.client] = other
		}
	}
	share := b.max / clients
	// Above are the requests of clients above their share; last is the largest of one.
	var slow, slowAbove, above, last *Claim
	greedier := func(x, y *Claim) *Claim {
		if x == nil || held(y) > held(x) || y.client == x.client && y.since.After(x.since) {
			return y
		}
		return x
	}
	for other := range b.claims {
		if other == c || !b.mayEnd(other) {
			continue
		}
		isAbove := held(other) > share
		if other.slow() {
			slow = older(slow, other)
			if isAbove {
				slowAbove = older(slowAbove, other)
			}
		}
		switch {
		case !isAbove || other.client == c.client:
		case other == largest[other.client]:
			last = greedier(last, other)
		default:
			above = greedier(above, other)
		}
	}
	switch {
	case slowAbove != nil:
		return slowAbove
	case held(c) > share:
		return nil
	case above != nil:
		return above
	case slow != nil && last != nil:
		return last
	}
	return slow
}

// slow reports whether c has been arriving for long, and has paused, or would take
// too long at the rate at which it has come so far. The caller holds budget.mu.
func (c *Claim) slow() bool {
	age := time.Since(c.since)
	return age > slowArrival && (age-time.Duration(c.last.Load()) > slowArrival ||
		age.Seconds()*float64(c.taken) > steadyArrival.Seconds()*float64(c.received.Load()))
}

// progress records n bytes that have arrived.
func (c *Claim) progress(n int) {
	c.received.Add(int64(n))
	c.last.Store(int64(time.Since(c.since)))
}

// older is the one of two that began first; x may be nil.
func older(x, y *Claim) *Claim {
	if x == nil || y.since.Before(x.since) {
		return y
	}
	return x
}

// mayEnd reports whether c can be ended in favor of others. The caller holds mu.
func (b *Budget) mayEnd(c *Claim) bool {
	return c.end != nil && (c != b.first || time.Since(b.firstSince) > firstTime)
}

// Shrink gives back n bytes that are freed.
func (c *Claim) Shrink(n int) {
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := c.taken - int64(n)
	b.small += b.ofSmall(taken) - b.ofSmall(c.taken)
	b.used -= int64(n)
	c.taken = taken
	if b.held[c.client] -= int64(n); b.held[c.client] == 0 {
		delete(b.held, c.client)
	}
	if taken == 0 {
		delete(b.claims, c)
	}
	if b.used <= b.max || b.first == c && taken == 0 {
		b.first = nil
	}
	if n == 0 {
		return
	}
	if waiter := c.endedFor; taken == 0 && waiter != nil {
		c.endedFor, waiter.victim = nil, nil
		waiter.signal()
	}
	b.wake()
}

// Arrived says that all of the request is there: it is no longer ended in favor
// of others.
func (c *Claim) Arrived() {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	c.end = nil
}

// resume undoes Arrived.
func (c *Claim) resume(end func()) {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	if !c.wasEnded() {
		c.since, c.end = time.Now(), end
		c.received.Store(0)
		c.last.Store(0)
	}
}

// Release gives back all that was taken. Another call does nothing.
func (c *Claim) Release() {
	c.Arrived()
	c.Shrink(int(c.taken))
}
