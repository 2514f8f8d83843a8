package loadbalancing

import (
	"slices"
	"sync"
)

// mostPartial is how many requests are recognized when they are sent again.
const mostPartial = 1000

// partial is the requests of which some endpoints have their parts and others don't.
// Their senders, who were told that, send them again, and what is queued is not queued
// twice.
type partial struct {
	mu    sync.Mutex
	done  map[uint64]map[uint64]bool // parts that are queued, by request; guarded by mu
	order []uint64                   // requests, the oldest first; guarded by mu
}

// finish calls write with the parts of a request that are done, to which it adds.
func (p *partial) finish(request uint64, write func(done map[uint64]bool) error) error {
	p.mu.Lock()
	done := p.done[request]
	if done != nil {
		delete(p.done, request)
		i := slices.Index(p.order, request)
		p.order = slices.Delete(p.order, i, i+1)
	}
	p.mu.Unlock()
	if done == nil {
		done = map[uint64]bool{}
	}
	err := write(done)
	if err == nil || len(done) == 0 {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done == nil {
		p.done = map[uint64]map[uint64]bool{}
	}
	if p.done[request] == nil {
		p.order = append(p.order, request)
	}
	p.done[request] = done
	if len(p.order) > mostPartial {
		delete(p.done, p.order[0])
		p.order = p.order[1:]
	}
	return err
}
