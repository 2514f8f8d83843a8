package faro

import (
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"sync"
	"time"

	"collector/pkg/listen"
)

const (
	// maxAccepted and acceptedFor bound which requests are recognized when they come
	// again. Version 2.12 of the SDK sends a request up to three times, within about
	// 90 s, in which the default rate limit allows 4,500.
	maxAccepted, acceptedFor = 5000, 5 * time.Minute

	idempotencyHeader = "Idempotency-Key"
)

// requestID is a digest of a request's Idempotency-Key and its body: if a client uses a
// key for two payloads, neither is lost. The zero value means that there is no key.
type requestID [sha256.Size]byte

func idOf(req *http.Request, body []byte) (id requestID) {
	key := req.Header.Get(idempotencyHeader)
	if key == "" {
		return id
	}
	digest := sha256.New() // writing to it never fails
	_, _ = io.WriteString(digest, key+"\n")
	_, _ = digest.Write(body)
	digest.Sum(id[:0])
	return id
}

// repeats recognizes requests that have been accepted already. It is safe for concurrent
// use.
type repeats struct {
	mu       sync.Mutex
	running  map[requestID]chan struct{} // closed at the end; guarded by mu, as is all below
	accepted map[requestID]struct{}
	order    []acceptance // of accepted, the oldest first
}

type acceptance struct {
	id requestID
	at time.Time
}

func newRepeats() *repeats {
	return &repeats{running: make(map[requestID]chan struct{}), accepted: make(map[requestID]struct{})}
}

// begin reports whether a request has been accepted already. While one with the same ID
// is in progress, it waits for the result. If repeated is false and there is no error,
// the caller has to call end.
func (r *repeats) begin(ctx context.Context, id requestID) (repeated bool, err error) {
	for {
		first, repeated := r.try(id)
		if first == nil {
			return repeated, nil
		}
		select {
		case <-first:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// try is begin, but returns the end of the request in progress in place of waiting.
func (r *repeats) try(id requestID) (first <-chan struct{}, repeated bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(time.Now())
	if _, repeated := r.accepted[id]; repeated {
		return nil, true
	}
	if first, running := r.running[id]; running {
		return first, false
	}
	r.running[id] = make(chan struct{})
	return nil, false
}

// end is the result of a request. One that was not accepted may come again.
func (r *repeats) end(id requestID, accepted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.running[id])
	delete(r.running, id)
	if accepted {
		now := time.Now()
		r.accepted[id] = struct{}{}
		r.order = append(r.order, acceptance{id, now})
		r.forget(now)
	}
}

// forget removes what is too old or too much. The caller holds mu.
func (r *repeats) forget(now time.Time) {
	for len(r.order) > 0 && (len(r.order) > maxAccepted || now.Sub(r.order[0].at) > acceptedFor) {
		delete(r.accepted, r.order[0].id)
		r.order = r.order[1:]
	}
}

// once receives a payload, unless an earlier request with the same ID was accepted: its
// answer was lost.
func (r *Receiver) once(w http.ResponseWriter, req *http.Request, arrival *listen.Arrival, p *Payload, id requestID) {
	if id == (requestID{}) {
		r.receive(w, req, arrival, p)
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), queueTimeout)
	defer cancel()
	repeated, err := r.repeats.begin(ctx, id)
	switch {
	case err != nil:
		r.unaccepted(w, req, err)
	case repeated:
		r.metrics.repeated.Inc()
		acknowledge(w)
	default:
		accepted := false
		defer func() { r.repeats.end(id, accepted) }()
		accepted = r.receive(w, req, arrival, p)
	}
}
