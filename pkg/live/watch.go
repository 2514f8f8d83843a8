package live

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of one watcher. They bound what watching may cost the components.
const (
	// watchRate is how many events a watcher is given in a second.
	watchRate = 100
	// examineRate is how many items are matched against a filter in a second.
	examineRate = 2000
	// watchBuffer is how many events may wait for the watcher.
	watchBuffer = 2 * watchRate
	// maxDecoded is the size in bytes of the largest request that is decoded
	// to be shown, maxItems how many items it may have, and maxElements how many
	// parts of any kind.
	maxDecoded  = 1 << 20
	maxItems    = 10_000
	maxElements = 50_000
	// decodeRate is how many bytes of requests are copied and decoded in a second
	// for a watcher.
	decodeRate = maxDecoded
	// maxText is how much of a line is shown.
	maxText = 4 << 10
	// maxLabels is how many labels of an event are shown, maxValue how much of
	// a name or value, and maxShown how much of all of them.
	maxLabels = 40
	maxValue  = 1 << 10
	maxShown  = 8 << 10
)

// Filter chooses what a watcher sees. What is empty lets everything pass.
type Filter struct {
	Signals  []Signal
	From, To string // ids of components
	// Text is a substring of the event's text or of the value of a label that is
	// shown, whatever the case.
	Text string
}

// Event is an item that has passed an edge, as it is shown.
type Event struct {
	Time   time.Time `json:"time"` // its own, not when it passed
	Signal Signal    `json:"signal"`
	From   string    `json:"from"`
	To     string    `json:"to"`
	// Labels may be cut, which "…" at the end of a value shows, and some of very many are
	// omitted. All watchers are given the same map.
	Labels map[string]string `json:"labels"`
	// Text is the line, the sample as in a metrics page, the name of the span,
	// or the name of the profile. It may be cut.
	Text string `json:"text"`
	// Size is the length in bytes of the whole line or profile.
	Size     int           `json:"size,omitempty"`
	TraceID  string        `json:"traceId,omitempty"`
	SpanID   string        `json:"spanId,omitempty"`
	Duration time.Duration `json:"durationNs,omitempty"`
}

// Watcher is given events. Of what it does not read in time, and what exceeds its rate,
// it gets only the number.
type Watcher struct {
	hub     *Hub
	filter  Filter
	needle  string // filter.Text in lower case
	events  chan Event
	leave   func()
	skipped atomic.Uint64
	paused  atomic.Bool

	mu       sync.Mutex // guards what follows
	second   int64      // the Unix time to which the numbers belong
	given    int
	examined int
	decoded  int // bytes
}

// Watch begins to watch. The watcher has to be closed.
func (h *Hub) Watch(f Filter) *Watcher {
	w := &Watcher{hub: h, filter: f, needle: strings.ToLower(f.Text), events: make(chan Event, watchBuffer)}
	h.join(w)
	w.leave = sync.OnceFunc(func() { h.leave(w) })
	return w
}

// Events is where the events come from. It is never closed.
func (w *Watcher) Events() <-chan Event { return w.events }

// Skipped is how many items have passed unseen because of the limits.
func (w *Watcher) Skipped() uint64 { return w.skipped.Load() }

// Pause stops or resumes the events.
func (w *Watcher) Pause(paused bool) { w.paused.Store(paused) }

// Close ends the watching.
func (w *Watcher) Close() { w.leave() }

func (w *Watcher) sees(e *Edge, s Signal) bool {
	f := &w.filter
	if w.paused.Load() || f.From != "" && f.From != e.From || f.To != "" && f.To != e.To {
		return false
	}
	for _, want := range f.Signals {
		if want == s {
			return true
		}
	}
	return len(f.Signals) == 0
}

// admit returns how many of n items, which take so many bytes to decode, may be examined
// now. The others count as skipped. None of a request with too many items is, as it could
// only be decoded as a whole.
func (w *Watcher) admit(n, decode int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now().Unix(); now != w.second {
		w.second, w.given, w.examined, w.decoded = now, 0, 0, 0
	}
	room := examineRate - w.examined
	if w.given >= watchRate || w.decoded+decode > decodeRate || decode > 0 && n > maxItems {
		room = 0
	}
	if room < n {
		w.skipped.Add(uint64(n - room))
		n = room
	}
	w.examined += n
	if n > 0 {
		w.decoded += decode
	}
	return n
}

// give passes ev, of which detached makes a copy, if the filter lets it pass.
// It reports whether more may follow in this second.
func (w *Watcher) give(ev *Event, detached func() Event) bool {
	if !w.matches(ev) {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.given >= watchRate {
		w.skipped.Add(1)
		return false
	}
	w.given++
	if len(w.events) == cap(w.events) { // only here events are added
		w.skipped.Add(1)
		return true
	}
	w.events <- detached()
	return true
}

// detached copies what is shown of an event: nothing that waits holds on to the
// batch or the request that it came with.
func (ev Event) detached() Event {
	ev.Text, ev.TraceID, ev.SpanID = strings.Clone(ev.Text), strings.Clone(ev.TraceID), strings.Clone(ev.SpanID)
	shown, size := make(map[string]string, len(ev.Labels)), 0
	for _, name := range slices.Sorted(maps.Keys(ev.Labels)) {
		more := len(name) + len(ev.Labels[name])
		if size+more > maxShown {
			continue
		}
		size += more
		shown[strings.Clone(name)] = strings.Clone(ev.Labels[name])
	}
	ev.Labels = shown
	return ev
}

// show adds a label to those that are shown, if it has room there. It is not
// copied.
func show(shown map[string]string, name, v string) {
	if _, known := shown[name]; len(name) > maxValue || !known && len(shown) >= maxLabels {
		return
	}
	if len(v) > maxValue {
		v = strings.ToValidUTF8(v[:maxValue], "") + "…"
	}
	shown[name] = v
}

func (w *Watcher) matches(ev *Event) bool {
	if w.needle == "" || strings.Contains(strings.ToLower(ev.Text), w.needle) || ev.TraceID == w.needle {
		return true
	}
	for _, v := range ev.Labels {
		if strings.Contains(strings.ToLower(v), w.needle) {
			return true
		}
	}
	return false
}
