package listen

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Tally counts what clients send to a receiver, for people: metrics do so for
// programs. It is made by NewTally.
type Tally struct {
	signals []tallied

	mu      sync.Mutex
	refused map[string]uint64 // requests by reason; guarded by mu
	last    Refusal           // guarded by mu
}

// tallied is one signal.
type tallied struct {
	signal         string
	items, refused atomic.Uint64
	last           atomic.Int64 // in Unix nanoseconds
}

// Received is a snapshot of what clients have sent to a receiver since it was made.
type Received struct {
	Component string            `json:"component"`
	Listens   []string          `json:"listens"` // "gRPC on 0.0.0.0:4317"
	Signals   []ReceivedSignal  `json:"signals"` // those that it accepts
	Refused   map[string]uint64 `json:"refused"` // requests by reason
	Last      Refusal           `json:"lastRefusal"`
}

// ReceivedSignal is what has come of one signal.
type ReceivedSignal struct {
	Signal  string    `json:"signal"`
	Items   uint64    `json:"items"`   // that were accepted
	Refused uint64    `json:"refused"` // items of requests that could be read
	Last    time.Time `json:"last,omitzero"`
}

// Refusal is a request that was refused. Its error may quote the request.
type Refusal struct {
	At     time.Time `json:"at,omitzero"`
	Reason string    `json:"reason,omitempty"`
	Client string    `json:"client,omitempty"` // its address
	Error  string    `json:"error,omitempty"`
}

// maxRefusal is how much is kept of the error of a refusal, in bytes.
const maxRefusal = 500

// NewTally makes a Tally of the signals that a receiver accepts.
func NewTally(signals ...string) *Tally {
	t := &Tally{signals: make([]tallied, len(signals)), refused: map[string]uint64{}}
	for i, s := range signals {
		t.signals[i].signal = s
	}
	return t
}

func (t *Tally) of(signal string) *tallied {
	for i := range t.signals {
		if t.signals[i].signal == signal {
			return &t.signals[i]
		}
	}
	return nil
}

// Accept counts items that were accepted.
func (t *Tally) Accept(signal string, items int) {
	if s := t.of(signal); s != nil && items > 0 {
		s.items.Add(uint64(items))
		s.last.Store(time.Now().UnixNano())
	}
}

// RefuseItems counts the items of a request that was read, and that Refuse counts.
func (t *Tally) RefuseItems(signal string, items int) {
	if s := t.of(signal); s != nil && items > 0 {
		s.refused.Add(uint64(items))
	}
}

// Refuse counts a request that was refused. Of many in a second that are refused for
// one reason, the first is kept.
func (t *Tally) Refuse(reason, client string, err error) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused[reason]++
	if t.last.Reason == reason && now.Sub(t.last.At) < time.Second {
		return
	}
	text := err.Error()
	if len(text) > maxRefusal {
		text = strings.ToValidUTF8(text[:maxRefusal], "") + "…"
	}
	t.last = Refusal{At: now, Reason: reason, Client: client, Error: text}
}

// Received is what has arrived. listens says in words where.
func (t *Tally) Received(listens ...string) Received {
	r := Received{Listens: listens}
	for i := range t.signals {
		s := &t.signals[i]
		shown := ReceivedSignal{Signal: s.signal, Items: s.items.Load(), Refused: s.refused.Load()}
		if at := s.last.Load(); at != 0 {
			shown.Last = time.Unix(0, at)
		}
		r.Signals = append(r.Signals, shown)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Refused, r.Last = maps.Clone(t.refused), t.last
	return r
}
