package listen

import (
	"errors"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrNoRoom says that other requests hold the memory: the client should send
// again later.
var ErrNoRoom = errors.New("requests in progress have used up their memory limit; send again later")

// ErrTooLarge says that a request takes more memory than any request may: to
// send it again is of no use.
var ErrTooLarge = errors.New("the request needs more memory than one request may use")

const (
	// aloneShare is how many times the budget the requests in progress may take
	// with the one of them that may exceed it.
	aloneShare = 3
	// slowArrival is how long a request may take to arrive, and pause, before it
	// has to go when others need its memory, unless it goes on fast enough to be
	// whole within steadyArrival.
	slowArrival   = 2 * time.Second
	steadyArrival = 10 * time.Second
	// firstTime is how long the request that exceeds the budget does not have to go:
	// without that, requests of a slow machine would end each other for ever.
	firstTime = 5 * time.Second
	// endingTime is how long a request waits for the memory of those that were
	// ended for it.
	endingTime = time.Second
	// mostUnclaimed is how many requests may wait that have claimed nothing yet.
	// What their clients have sent already counts nowhere.
	mostUnclaimed = 8
)

// Budget bounds the memory that the requests in progress take: what has arrived of
// them, what it unpacks to, and what decoding makes of it. Each request has a
// Claim, which grows before the memory is made, and is released when the last of
// it is freed.
//
// One request at a time may exceed the budget, up to a bound: however many ask
// for the rest of it at once, one of them gets on. Small requests find room for
// an eighth more when large ones have taken it all. When there is no room,
// requests that are still arriving end: the oldest of those that arrive slowly, of
// the clients that hold more than their share; or, if the other is within its own
// share, the youngest of the client that holds the most, and where none holds too
// much, the oldest of the slow ones. A client's share is the budget divided by the
// number of clients, so that it bites only while others wait: many clients behind
// one address are one client, and may take it all.
//
// A request that arrives steadily is not slow, and the largest of each client is
// left to it unless a slow one would have to go instead that is within its client's
// share: requests that share a connection, as gRPC's do, take longer to arrive than
// others, which would end them again and again.
//
// A request that waits for room, see Claim.Wait, gets it before those of clients that
// hold more.
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
	waiting     map[*Claim]struct{} // for room that others give back; guarded by mu
	freed       chan struct{}       // closed to have those look again that wait; nil while nobody does; guarded by mu
}

// WithinMemory is bytes, or less where the program's memory limit is low: what
// one server may hold of requests, with the copies that are made on their way to
// the disk.
func WithinMemory(bytes int64) int64 { return min(bytes, debug.SetMemoryLimit(-1)/24) }

// NewBudget makes a budget of so many bytes.
func NewBudget(bytes int64) *Budget {
	return &Budget{max: bytes, claims: make(map[*Claim]struct{}), waiting: make(map[*Claim]struct{})}
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
	taken  int64  // guarded by budget.mu
	end    func() // ends the request while it arrives; guarded by budget.mu

	patience time.Duration // how long it waits for room

	received atomic.Int64 // bytes
	last     atomic.Int64 // when some of them came, after since
}

// Claim begins a request of a client, which has taken nothing yet. end, if any,
// makes the request fail and be released soon; it is called at most once, from
// another goroutine, and not after Arrived or Release.
func (b *Budget) Claim(client string, end func()) *Claim {
	return &Claim{budget: b, client: client, since: time.Now(), end: end}
}

// Wait makes the request wait so long for room that others give back by themselves,
// and not only for what ends in favor of it. Those of clients that hold more do not
// get it before. It is for requests that cost little while they wait; of those that
// have claimed nothing, only a few wait at a time.
func (c *Claim) Wait(patience time.Duration) { c.patience = patience }

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

// Grow takes n bytes more, before they are made. It fails with ErrTooLarge or
// ErrNoRoom; before that, it waits a moment for the room of requests that end in
// favor of this one.
func (c *Claim) Grow(n int) error {
	if n <= 0 {
		c.Shrink(-n)
		return nil
	}
	var timeout <-chan time.Time
	for {
		end, freed, err := c.take(int64(n), timeout != nil)
		if err != nil || freed == nil {
			return err
		}
		if end != nil {
			end()
		}
		if timeout == nil {
			timeout = time.After(max(endingTime, c.patience))
			defer c.waitsNoMore()
		}
		select {
		case <-freed:
		case <-timeout:
			return ErrNoRoom
		}
	}
}

// waitsNoMore says that c has the room for which it waited, or has given up. Those
// that come after it look again.
func (c *Claim) waitsNoMore() {
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, waited := b.waiting[c]; waited {
		delete(b.waiting, c)
		b.wake()
	}
}

// wake has those that wait for room look again. The caller holds mu.
func (b *Budget) wake() {
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

// unclaimed is how many requests wait that have claimed nothing yet. The caller
// holds mu.
func (b *Budget) unclaimed() (n int) {
	for c := range b.waiting {
		if c.taken == 0 {
			n++
		}
	}
	return n
}

// comesAfter reports whether another request is to have the next room before c: one
// that waits for it, and of a client that holds less. The caller holds mu.
func (b *Budget) comesAfter(c *Claim) bool {
	if len(b.waiting) == 0 {
		return false
	}
	held := make(map[string]int64)
	for other := range b.claims {
		held[other.client] += other.taken
	}
	for other := range b.waiting {
		if d := held[other.client] - held[c.client]; other != c && (d < 0 || d == 0 && other.since.Before(c.since)) {
			return true
		}
	}
	return false
}

// take takes n bytes, or returns what to wait for, and what ends another
// request. waiting: this one has ended another already.
func (c *Claim) take(n int64, waiting bool) (end func(), freed <-chan struct{}, err error) {
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	used, taken := b.used+n, c.taken+n
	if taken > aloneShare*b.max {
		return nil, nil, ErrTooLarge
	}
	small := b.small - b.ofSmall(c.taken) + b.ofSmall(taken)
	isSmall := b.ofSmall(taken) > 0
	after := !isSmall && b.first != c && b.comesAfter(c)
	fits := used <= b.max && !after || isSmall && small <= b.max/8
	var victim *Claim
	if !fits && !after && b.used > c.taken {
		victim = b.victim(c, taken)
	}
	if !fits && !after && victim == nil && (b.first == nil || b.first == c) {
		if b.first == nil {
			b.first, b.firstSince = c, time.Now()
		}
		fits = used <= aloneShare*b.max
	}
	if fits {
		b.used, b.small, c.taken = used, small, taken
		b.claims[c] = struct{}{}
		return nil, nil, nil
	}
	if victim == nil && !waiting && b.first != c {
		if c.patience == 0 || c.taken == 0 && b.unclaimed() >= mostUnclaimed {
			return nil, nil, ErrNoRoom
		}
		b.waiting[c] = struct{}{}
	}
	if victim != nil {
		end, victim.end = victim.end, nil
	}
	if b.freed == nil {
		b.freed = make(chan struct{})
	}
	return end, b.freed, nil
}

// victim is the request that has to go so that c can have taken so much; nil:
// none. The caller holds mu.
func (b *Budget) victim(c *Claim, taken int64) *Claim {
	held := map[string]int64{c.client: taken - c.taken}
	largest := make(map[string]*Claim)
	for other := range b.claims {
		held[other.client] += other.taken
		if l := largest[other.client]; l == nil || other.taken > l.taken || other.taken == l.taken && other.since.Before(l.since) {
			largest[other.client] = other
		}
	}
	share := b.max / int64(len(held))
	// Above are the requests of clients above their share; last is the largest of one.
	var slow, slowAbove, above, last *Claim
	greedier := func(x, y *Claim) *Claim {
		if x == nil || held[y.client] > held[x.client] || y.client == x.client && y.since.After(x.since) {
			return y
		}
		return x
	}
	for other := range b.claims {
		if other == c || !b.mayEnd(other) {
			continue
		}
		isAbove := held[other.client] > share
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
	case held[c.client] > share:
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

// progress takes note of n bytes that have arrived.
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
	if taken == 0 {
		delete(b.claims, c)
	}
	if b.used <= b.max || b.first == c && taken == 0 {
		b.first = nil
	}
	if n > 0 {
		b.wake()
	}
}

// Arrived says that all of the request is there: it is no longer ended in favor
// of others.
func (c *Claim) Arrived() {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	c.end = nil
}

// Release gives back all that was taken. Another call does nothing.
func (c *Claim) Release() {
	c.Arrived()
	c.Shrink(int(c.taken))
}
