package harness

import (
	"slices"
	"sync"
	"time"
)

// soonHeard is how long an answer may be on its way after it was due, and how late it may
// be before a client may have given up.
const soonHeard = 500 * time.Millisecond

// Request is a request that a Front has forwarded to its backend.
type Request struct {
	Query string
	Body  []byte

	began, ended time.Time // ended is zero while it is in progress
	done         chan struct{}
}

// heard knows the requests that a backend may have accepted although the client never got
// its answer. Such a client has to retry.
type heard struct {
	mu      sync.Mutex
	recent  []*Request // guarded by mu
	unheard []Request  // guarded by mu
}

// begin records a request. The function it returns must be called at its end, with
// whether the client was still there.
func (h *heard) begin(r Request) func(there bool) {
	r.began, r.done = time.Now(), make(chan struct{})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recent = append(slices.DeleteFunc(h.recent, func(r *Request) bool { return !r.onItsWay() }), &r)
	return func(there bool) {
		h.mu.Lock()
		defer h.mu.Unlock()
		close(r.done)
		if r.ended = time.Now(); !there || r.ended.Sub(r.began) > soonHeard {
			h.unheard = append(h.unheard, r)
		}
	}
}

func (r *Request) onItsWay() bool { return r.ended.IsZero() || time.Since(r.ended) < soonHeard }

// cut records that all connections are cut.
func (h *heard) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.recent {
		if r.onItsWay() {
			h.unheard = append(h.unheard, *r)
		}
	}
	h.recent = nil
}

// wait waits for the requests in progress, at most for limit.
func (h *heard) wait(limit time.Duration) {
	h.mu.Lock()
	recent := slices.Clone(h.recent)
	h.mu.Unlock()
	late := time.After(limit)
	for _, r := range recent {
		select {
		case <-r.done:
		case <-late:
			return
		}
	}
}

// Cut records that the client was killed, or its connections were cut: it may not have
// got the answers on their way.
func (f *Front) Cut() { f.heard.cut() }

// Unheard are the requests that the backend may have accepted although the client never
// learned it: those in progress when contact was lost, those whose client had
// disconnected, and those that were answered late. What is in them may arrive again.
func (f *Front) Unheard() []Request {
	f.heard.mu.Lock()
	defer f.heard.mu.Unlock()
	return slices.Clone(f.heard.unheard)
}
