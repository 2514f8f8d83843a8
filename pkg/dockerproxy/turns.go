package dockerproxy

import (
	"context"
	"sync"
)

// perClient is how many requests of one client are made at a time, streams aside: more
// than the collector makes, which asks for the statistics of 32 containers at a time,
// and no more than an Engine answers beside other work.
const perClient = 64

// turns lets each client make a few requests at a time; the others wait. So one
// client can neither keep the Engine busy nor another client waiting.
type turns struct {
	most int

	mu      sync.Mutex
	clients map[string]*turn // those with a request; guarded by mu
}

type turn struct {
	slots    chan struct{}
	requests int // in progress or waiting; guarded by turns.mu
}

func newTurns(most int) *turns { return &turns{most: most, clients: make(map[string]*turn)} }

// wait returns when it is a request's turn, or, not ok, when ctx ends. done ends the
// request.
func (t *turns) wait(ctx context.Context, client string) (done func(), ok bool) {
	t.mu.Lock()
	own := t.clients[client]
	if own == nil {
		own = &turn{slots: make(chan struct{}, t.most)}
		t.clients[client] = own
	}
	own.requests++
	t.mu.Unlock()
	select {
	case own.slots <- struct{}{}:
		return func() {
			<-own.slots
			t.leave(client, own)
		}, true
	case <-ctx.Done():
		t.leave(client, own)
		return nil, false
	}
}

func (t *turns) leave(client string, own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.requests--; own.requests == 0 {
		delete(t.clients, client)
	}
}
