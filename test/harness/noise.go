package harness

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// noiseFactor is how many steps, each of which a busy machine may hold up, what
// is timed takes at most: timers, connections, requests and writes.
const noiseFactor = 5

// Noise measures how much slower than an idle one the machine is. It measures, all the
// time, a control: how late a small request to a server of the test's own is answered
// after a timer.
type Noise struct {
	mu    sync.Mutex
	worst time.Duration // guarded by mu
}

// StartNoise begins to measure, until the test ends.
func StartNoise(t testing.TB) *Noise {
	t.Helper()
	n := &Noise{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "here") }))
	stop, stopped := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() {
		close(stop)
		<-stopped
		server.Close()
		t.Logf("noise of the machine: a request took up to %s", n.Worst().Round(time.Millisecond))
	})
	go func() {
		defer close(stopped)
		const pause = 20 * time.Millisecond
		for {
			begin := time.Now()
			select {
			case <-time.After(pause):
			case <-stop:
				return
			}
			if resp, err := server.Client().Get(server.URL); err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				n.note(time.Since(begin) - pause)
			}
		}
	}()
	return n
}

func (n *Noise) note(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.worst = max(n.worst, d)
}

// Worst is the longest that the control has taken so far.
func (n *Noise) Worst() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.worst
}

// Restart forgets what was measured so far, for a promise about what begins now.
func (n *Noise) Restart() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.worst = 0
}

// Bound is what a promise of d is held to on this machine: in the full form to d
// and so many times what the control took at worst. The short form has to pass
// wherever it runs, also where others take most of the processor, which no small
// request shows: it is held to what only a broken mechanism takes.
func (n *Noise) Bound(d time.Duration) time.Duration {
	bound := d + noiseFactor*n.Worst()
	if !Soaking() {
		bound += 2*d + 10*time.Second
	}
	return bound
}
