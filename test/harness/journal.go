package harness

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Item is one item as it arrived at a destination.
type Item struct {
	Number string // which it is
	Whole  string // all of its contents, including its timestamps
}

// Journal judges what arrives at one destination of a collector that is killed
// again and again.
type Journal struct {
	Name     string
	InFlight int             // requests that the collector makes at once
	Count    func() int      // requests that have arrived
	Requests func() [][]Item // their items, in the order of arrival
	// Abandoned is how many requests the collector may have given up waiting for
	// with no cut: those that were not answered in the time that a stop leaves.
	Abandoned int

	cuts []int // how many requests had arrived at each cut
}

// Cut records that the collector has lost contact with the destination: it was killed, or
// its connections were. The requests in progress are unanswered. All that it had sent has
// to have arrived, and nothing that it sent afterwards: see Proxy.Settle.
func (j *Journal) Cut() { j.cuts = append(j.cuts, j.Count()) }

// Verdict is what a Journal found.
type Verdict struct {
	Arrived  map[string]int // by number, how often
	Items    int            // different ones
	Repeated []int          // items that arrived again, by the cut that explains them
}

// Judge compares all arrivals. It is an error when an item arrived again other
// than it was, or with no cut between the two times, or when the items that a
// cut explains came in more requests than the collector makes at once: it
// begins a request when it knows the answer to an earlier one, so that no more
// than those can have been unanswered, however long the answers took.
func (j *Journal) Judge() (Verdict, error) {
	v := Verdict{Arrived: make(map[string]int), Repeated: make([]int, len(j.cuts))}
	type arrival struct {
		request int
		whole   string
	}
	latest := make(map[string]arrival)
	unanswered := make([]map[int]bool, len(j.cuts)) // requests, by cut
	abandoned := make(map[int]bool)                 // requests
	var wrong error
	for n, items := range j.Requests() {
		for _, item := range items {
			v.Arrived[item.Number]++
			before, again := latest[item.Number]
			latest[item.Number] = arrival{n, item.Whole}
			if !again {
				v.Items++
				continue
			}
			if before.whole != item.Whole && wrong == nil {
				wrong = fmt.Errorf("%s: %s arrived again, and not as it was:\n%.300s\n%.300s", j.Name, item.Number, before.whole, item.Whole)
			}
			cut, ok := j.excuse(before.request, n)
			switch {
			case ok && unanswered[cut] == nil:
				unanswered[cut] = map[int]bool{before.request: true}
				v.Repeated[cut]++
			case ok:
				unanswered[cut][before.request] = true
				v.Repeated[cut]++
			case abandoned[before.request] || len(abandoned) < j.Abandoned:
				abandoned[before.request] = true
			case wrong == nil:
				wrong = fmt.Errorf("%s: %s arrived in request %d and again in %d; cuts were at %v", j.Name, item.Number, before.request, n, j.cuts)
			}
		}
	}
	for cut, requests := range unanswered {
		if len(requests) > j.InFlight && wrong == nil {
			wrong = fmt.Errorf("%s: items of %d requests before the cut at %d arrived again, and the collector makes %d at once: %v; cuts were at %v",
				j.Name, len(requests), j.cuts[cut], j.InFlight, requests, j.cuts)
		}
	}
	return v, wrong
}

// excuse finds the cut after request first, if request again was made after it: contact
// was lost once for each request, or never.
func (j *Journal) excuse(first, again int) (int, bool) {
	for i, cut := range j.cuts {
		if first < cut {
			return i, again >= cut
		}
	}
	return 0, false
}

// Attempts numbers every attempt to send: one whose answer got lost may have been
// accepted, and then the one that follows is not a repetition of it.
type Attempts struct {
	*Sender

	mu    sync.Mutex
	last  int
	acked []int
}

// StartAttempts is StartSender, but send gets the number of the attempt.
func StartAttempts(t testing.TB, interval time.Duration, send func(attempt int) error) *Attempts {
	t.Helper()
	a := &Attempts{}
	a.Sender = StartSender(t, interval, func(int) error {
		a.mu.Lock()
		a.last++
		attempt := a.last
		a.mu.Unlock()
		err := send(attempt)
		if err == nil {
			a.mu.Lock()
			a.acked = append(a.acked, attempt)
			a.mu.Unlock()
		}
		return err
	})
	return a
}

// Acked is how many attempts were acknowledged so far.
func (a *Attempts) Acked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.acked)
}

// Stop ends the sending and returns the numbers of the attempts that were
// acknowledged.
func (a *Attempts) Stop() []int {
	a.Sender.Stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]int(nil), a.acked...)
}

// StartLag is in front of a backend and holds each of its answers back for
// delay, so that the backend has what its client does not yet know it has. It
// returns the address.
func StartLag(t testing.TB, target string, delay time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go lag(c, target, delay)
		}
	}()
	return l.Addr().String()
}

func lag(client net.Conn, target string, delay time.Duration) {
	defer client.Close()
	backend, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer backend.Close()
	go func() {
		io.Copy(backend, client)
		backend.(*net.TCPConn).CloseWrite() // it may still be working
	}()
	type chunk struct {
		due   time.Time
		bytes []byte
	}
	chunks := make(chan chunk, 1024)
	go func() {
		defer close(chunks)
		for {
			b := make([]byte, 16<<10)
			n, err := backend.Read(b)
			if n > 0 {
				chunks <- chunk{time.Now().Add(delay), b[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	gone := false
	for c := range chunks {
		if gone {
			continue
		}
		<-time.After(time.Until(c.due))
		_, err := client.Write(c.bytes)
		gone = err != nil
	}
}
