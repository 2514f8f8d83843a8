package admin

import (
	"sync"
	"time"
)

const (
	// freeGuesses is how many wrong passwords of one client get an immediate response.
	freeGuesses = 5
	// firstDelay is how long the answer to the next one takes; it doubles up to
	// maxDelay.
	firstDelay = 250 * time.Millisecond
	maxDelay   = 5 * time.Second
	// maxWaiting is how many wrong passwords of one client may wait for their answer. No
	// more are checked while they do.
	maxWaiting = 2
	// forgetAfter is how long after its last wrong password a client is forgotten,
	// and maxGuessers how many are known at most.
	forgetAfter = 5 * time.Minute
	maxGuessers = 1024
)

// guesses slows down clients that try one password after the other, each on its own:
// other clients do not wait.
type guesses struct {
	mu sync.Mutex
	by map[string]*guesser // guarded by mu
}

// guesser is a client that has sent a wrong password.
type guesser struct {
	wrong   int
	last    time.Time
	waiting int // for the answer
}

// verdict is the result of checking a password.
type verdict int

const (
	admitted verdict = iota
	wrong
	unheard // too many are waiting: not checked
)

// try judges a password. The caller responds to a wrong one after delay, and then
// calls answered.
func (g *guesses) try(client string, right func() bool) (v verdict, delay time.Duration, answered func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	known := g.by[client]
	if known != nil && known.waiting == 0 && now.Sub(known.last) > forgetAfter {
		delete(g.by, client)
		known = nil
	}
	if known != nil && known.waiting >= maxWaiting {
		return unheard, maxDelay, nil
	}
	if right() {
		return admitted, 0, nil
	}
	if known == nil {
		known = g.add(client, now)
	}
	known.wrong, known.last = known.wrong+1, now
	if beyond := known.wrong - freeGuesses; beyond > 0 {
		delay = min(firstDelay<<min(beyond-1, 16), maxDelay)
	}
	known.waiting++
	return wrong, delay, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		known.waiting--
	}
}

// add makes room for a client and returns what is known of it. The caller holds mu.
func (g *guesses) add(client string, now time.Time) *guesser {
	if g.by == nil {
		g.by = map[string]*guesser{}
	}
	if len(g.by) >= maxGuessers {
		oldest := ""
		for other, known := range g.by {
			if first := g.by[oldest]; first == nil || known.last.Before(first.last) {
				oldest = other
			}
		}
		delete(g.by, oldest)
	}
	known := &guesser{last: now}
	g.by[client] = known
	return known
}
