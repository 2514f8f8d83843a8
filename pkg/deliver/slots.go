package deliver

import (
	"context"
	"runtime/debug"
	"sync"
)

// maxSending bounds the bytes that one destination is sent at once. Where the program's
// memory limit is low, it is a sixteenth of that limit.
const maxSending = 64 << 20

// slots bounds the requests to a destination that are made at once: their
// number, and with that the memory of their blocks. One goroutine waits and
// takes; any may give back.
type slots struct {
	requests int
	bytes    int64

	mu         sync.Mutex
	inRequests int           // guarded by mu
	inBytes    int64         // guarded by mu
	freed      chan struct{} // holds something once a slot was given back
}

func newSlots(requests int) *slots {
	return &slots{requests: requests, bytes: min(maxSending, debug.SetMemoryLimit(-1)/16), freed: make(chan struct{}, 1)}
}

// wait blocks until another request may be made; one always may. It returns
// false when ctx ends first.
func (s *slots) wait(ctx context.Context) bool {
	for {
		s.mu.Lock()
		free := s.inRequests == 0 || s.inRequests < s.requests && s.inBytes < s.bytes
		s.mu.Unlock()
		if free {
			return true
		}
		select {
		case <-s.freed:
		case <-ctx.Done():
			return false
		}
	}
}

// take begins a request of n bytes.
func (s *slots) take(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inRequests++
	s.inBytes += int64(n)
}

// give ends it.
func (s *slots) give(n int) {
	s.mu.Lock()
	s.inRequests--
	s.inBytes -= int64(n)
	s.mu.Unlock()
	select {
	case s.freed <- struct{}{}:
	default:
	}
}
