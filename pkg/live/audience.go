package live

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	// waitingShows and waitingBytes bound what is waiting to be shown.
	waitingShows = 256
	waitingBytes = 4 << 20
)

// audience is all watchers of a hub. In the goroutine of those who send, it only
// counts and copies what a watcher still has room for; what does not fit is
// skipped. One goroutine of its own decodes it, once for all watchers.
type audience struct {
	watchers atomic.Pointer[[]*Watcher] // replaced by join and leave
	shows    chan showing
	waiting  atomic.Int64 // bytes in shows
	stop     func()       // stops being told of what passes
	end      chan struct{}
	done     chan struct{} // closed when run has returned
}

// showing is something that has passed, and those to whom it must be shown.
type showing struct {
	to     []seat
	size   int
	render func(*scene)
}

// seat is a watcher, and how many items of it may examine.
type seat struct {
	watcher *Watcher
	left    int
}

func (h *Hub) join(w *Watcher) {
	h.watching.Lock()
	defer h.watching.Unlock()
	a := h.audience
	if a == nil {
		a = &audience{shows: make(chan showing, waitingShows), end: make(chan struct{}), done: make(chan struct{})}
		a.watchers.Store(&[]*Watcher{})
		go a.run()
		a.stop = h.Observe(a)
		h.audience = a
	}
	all := append(slices.Clone(*a.watchers.Load()), w)
	a.watchers.Store(&all)
}

// leave removes w. The goroutine ends with the last watcher.
func (h *Hub) leave(w *Watcher) {
	h.watching.Lock()
	defer h.watching.Unlock()
	a := h.audience
	all := slices.DeleteFunc(slices.Clone(*a.watchers.Load()), func(other *Watcher) bool { return other == w })
	a.watchers.Store(&all)
	if len(all) > 0 {
		return
	}
	h.audience = nil
	a.stop()
	close(a.end)
	<-a.done
}

// run shows what is waiting until the last watcher has left.
func (a *audience) run() {
	defer close(a.done)
	for {
		select {
		case s := <-a.shows:
			a.show(s)
		case <-a.end:
			for range len(a.shows) {
				a.show(<-a.shows)
			}
			return
		}
	}
}

func (a *audience) show(s showing) {
	s.render(&scene{to: s.to})
	a.waiting.Add(int64(-s.size))
}

// Watches reports whether a watcher sees what passes e.
func (a *audience) Watches(e *Edge, s Signal) bool {
	return slices.ContainsFunc(*a.watchers.Load(), func(w *Watcher) bool { return w.sees(e, s) })
}

// admit gives those who see n items that have passed e and have room for some of
// them, and the largest number of items that one of them has room for.
func (a *audience) admit(e *Edge, s Signal, n, decode int) (to []seat, most int) {
	for _, w := range *a.watchers.Load() {
		if !w.sees(e, s) {
			continue
		}
		if left := w.admit(n, decode); left > 0 {
			to, most = append(to, seat{w, left}), max(most, left)
		}
	}
	return to, most
}

// offer queues something to be shown if there is room for that many bytes.
func (a *audience) offer(to []seat, size int, render func(*scene)) {
	if a.waiting.Add(int64(size)) <= waitingBytes {
		select {
		case a.shows <- showing{to, size, render}:
			return
		default:
		}
	}
	a.waiting.Add(int64(-size))
	for _, s := range to {
		s.watcher.skipped.Add(uint64(s.left))
	}
}

// scene gives the items of one showing to its watchers, as far as they may examine
// them.
type scene struct {
	edge *Edge
	sig  Signal
	to   []seat
}

// next reports whether another item may be examined by anybody.
func (s *scene) next() bool {
	return slices.ContainsFunc(s.to, func(seat seat) bool { return seat.left > 0 })
}

// skip counts what has not been examined as skipped.
func (s *scene) skip() {
	for i := range s.to {
		s.to[i].watcher.skipped.Add(uint64(s.to[i].left))
		s.to[i].left = 0
	}
}

func (s *scene) give(ev Event) {
	ev.Signal, ev.From, ev.To = s.sig, s.edge.From, s.edge.To
	if len(ev.Text) > maxText {
		ev.Text = strings.ToValidUTF8(ev.Text[:maxText], "")
	}
	detached := sync.OnceValue(ev.detached)
	for i := range s.to {
		seat := &s.to[i]
		if seat.left == 0 {
			continue
		}
		seat.left--
		if !seat.watcher.give(&ev, detached) {
			seat.watcher.skipped.Add(uint64(seat.left))
			seat.left = 0
		}
	}
}
