package otlp

import (
	"sync"
	"sync/atomic"
	"time"

	"collector/pkg/listen"
)

const (
	// What is expected of a request while nothing is known, and at least.
	firstExpected = 1 << 20
	leastExpected = 16 << 10
	// arrivalTime is how long room is held for a request: one that trickles in
	// is not to keep others out.
	arrivalTime = time.Second
)

// admission lets gRPC requests in before their size is known. The library hands
// out a message once all of it is in memory, so that room has to be held for
// what is to be expected: about the size of the largest of late.
type admission struct {
	budget   *listen.Budget
	expected atomic.Int64
}

func newAdmission(b *listen.Budget) *admission {
	a := &admission{budget: b}
	a.expected.Store(firstExpected)
	return a
}

// enter holds room for one request until leave is called. ok is false when
// there is none.
func (a *admission) enter() (leave func(), ok bool) {
	claim := a.budget.Claim("", nil)
	release := sync.OnceFunc(claim.Release)
	if claim.Grow(int(a.expected.Load())) != nil {
		release()
		return nil, false
	}
	timer := time.AfterFunc(arrivalTime, release)
	return func() {
		timer.Stop()
		release()
	}, true
}

// arrived takes note of the size of a request.
func (a *admission) arrived(size int) {
	expected, n := a.expected.Load(), max(int64(size), leastExpected)
	if n < expected {
		n = expected - (expected-n)/16
	}
	a.expected.Store(n)
}
