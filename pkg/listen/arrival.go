package listen

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// ErrTooSlow says that a request did not arrive in time.
var ErrTooSlow = errors.New("the request arrived too slowly")

const (
	// Each rateBytes of a request, and its last ones, have to arrive within
	// rateTime, and all of it within longestArrival.
	rateBytes      = 16 << 10
	rateTime       = 10 * time.Second
	longestArrival = 2 * time.Minute
)

// Arrival is a request that is still arriving: it ends when it is too slow, or
// when others need its memory.
type Arrival struct {
	*Claim
	setDeadline func(time.Time) // for reading; the zero time is none
	begun       time.Time

	mu       sync.Mutex
	ended    bool      // in favor of others; guarded by mu
	done     bool      // arrived, or given up; guarded by mu
	due      time.Time // guarded by mu
	extended time.Time // when due was set; guarded by mu
	arrived  int       // since due was set; guarded by mu
}

// Arrive begins a request of a client. setDeadline makes reading it fail at a
// time; it may be called from another goroutine.
func (b *Budget) Arrive(client string, setDeadline func(time.Time)) *Arrival {
	a := &Arrival{setDeadline: setDeadline, begun: time.Now()}
	a.Claim = b.Claim(client, a.makeRoom)
	a.extend(a.begun)
	return a
}

// ArriveHTTP begins a request by HTTP. Its body is read through Reader.
func (b *Budget) ArriveHTTP(w http.ResponseWriter, r *http.Request) *Arrival {
	rc := http.NewResponseController(w)
	return b.Arrive(ClientBy("HTTP", r.RemoteAddr), func(t time.Time) {
		_ = rc.SetReadDeadline(t) // where it cannot be set, the server's own holds
	})
}

// extend sets when the next part has to be there. The caller holds mu, or is
// the only one who knows a.
func (a *Arrival) extend(now time.Time) {
	a.extended, a.arrived = now, 0
	if a.due = now.Add(rateTime); a.due.After(a.begun.Add(longestArrival)) {
		a.due = a.begun.Add(longestArrival)
	}
	a.setDeadline(a.due)
}

func (a *Arrival) makeRoom() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.done {
		a.ended = true
		a.setDeadline(time.Unix(1, 0))
	}
}

// Read records n bytes that have arrived, and the error that reading them ended with. It
// returns that error, or ErrTooSlow or ErrNoRoom if that is what it comes from.
func (a *Arrival) Read(n int, err error) error {
	if n > 0 {
		a.progress(n)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	switch {
	case err == io.EOF:
	case a.ended:
		return ErrNoRoom
	case !now.Before(a.due):
		return ErrTooSlow
	}
	// A deadline costs a little, so that a fast client's is set now and then.
	if a.arrived += n; err == nil && a.arrived >= rateBytes && now.Sub(a.extended) > rateTime/10 {
		a.extend(now)
	}
	return err
}

// Reader reads what arrives.
func (a *Arrival) Reader(r io.Reader) io.Reader { return arrivingReader{r, a} }

type arrivingReader struct {
	io.Reader
	arrival *Arrival
}

func (r arrivingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	return n, r.arrival.Read(n, err)
}

// Arrived says that the whole request has arrived: no deadline applies any more.
func (a *Arrival) Arrived() {
	a.Claim.Arrived()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = true
	if !a.ended {
		a.setDeadline(time.Time{})
	}
}

// Resume says that more comes from the same client, after Arrived: for that there
// is a new time, and it may be ended again.
func (a *Arrival) Resume() {
	a.mu.Lock()
	a.done, a.begun = false, time.Now()
	a.extend(a.begun)
	a.mu.Unlock()
	a.Claim.resume(a.makeRoom)
}

// Release gives back all that was taken. Another call does nothing.
func (a *Arrival) Release() {
	a.mu.Lock()
	a.done = true
	a.mu.Unlock()
	a.Claim.Release()
}

// HeaderSize is about what the header of a request takes.
func HeaderSize(h map[string][]string) (n int) {
	const perField = 64
	for name, values := range h {
		n += perField + len(name)
		for _, v := range values {
			n += perField + len(v)
		}
	}
	return n
}
