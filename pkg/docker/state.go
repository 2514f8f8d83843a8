package docker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/events"
)

const (
	// linger is how long a container that has ended stays in the snapshot as
	// Ended.
	linger = 10 * time.Second
	// adoptable is how long ago a container may have ended that is seen for
	// the first time and yet is shown as Ended: its output was never read, or
	// not to its end, if it ended while nobody watched.
	adoptable = time.Hour
)

// state is what is known of an Engine's containers. It is fed with events and
// with answers, which are compared by asOf: an answer does not overwrite what
// an event said after the request had been sent.
type state struct {
	records  map[string]*record
	networks map[string]*Network // replaced, never modified, once published
	// published says that a snapshot has networks.
	published bool

	asOf    uint64 // counts events
	listed  bool
	changed bool // since the last snapshot
	wanted  []string
	// past are containers that were removed, the oldest first; replaced, never
	// modified.
	past []*Container
	// weight is about how many bytes the records hold, and limit bounds it.
	weight, limit int
	// unknown are the networks to ask for, each once.
	unknown []string
	unasked map[string]bool
}

type record struct {
	c         *Container // immutable; replaced when it changes
	touched   uint64     // state.asOf at the last event
	endUntil  time.Time  // while c.Ended: when that ends
	removed   bool       // is removed at endUntil
	adopt     bool       // becomes Ended if the inspection shows a recent end
	wanted    bool       // is in state.wanted
	asking    bool       // an inspection is in progress
	awaiting  bool       // has started; the address is not known yet
	asksAgain bool       // something happened during the inspection
	byEvent   bool       // an event is why the inspection is wanted
}

func newState() *state {
	return &state{records: make(map[string]*record), networks: make(map[string]*Network), unasked: make(map[string]bool), limit: HeldLimit()}
}

// reset forgets what was in progress on a lost connection.
func (s *state) reset() {
	s.wanted, s.unknown = nil, nil
	clear(s.unasked)
	for _, r := range s.records {
		r.wanted, r.asking, r.awaiting, r.asksAgain, r.byEvent = false, false, false, false, false
	}
}

// set replaces a record's container if it differs.
func (s *state) set(r *record, c Container) {
	if !equal(r.c, &c) {
		s.weight += c.weight() - r.c.weight()
		r.c = &c
		s.changed = true
	}
}

// add makes the record of a container that was not known.
func (s *state) add(c *Container) *record {
	r := &record{c: c}
	s.records[c.ID] = r
	s.weight += c.weight()
	s.changed = true
	return r
}

// tooMuch is an error if more is known than is held of one Engine.
func (s *state) tooMuch() error {
	switch {
	case len(s.records) > maxContainers:
		return tooLarge("there are too many containers", fmt.Sprint(maxContainers))
	case s.weight > s.limit:
		return tooLarge("the Engine's data about all containers is too large", mebibytes(s.limit))
	}
	return nil
}

func (s *state) want(r *record) {
	switch {
	case r.asking:
		r.asksAgain = true
	case !r.wanted:
		r.wanted = true
		s.wanted = append(s.wanted, r.c.ID)
		if len(s.wanted) > 2*len(s.records)+1 { // containers that come and go at once
			s.wanted = slices.DeleteFunc(s.wanted, func(id string) bool {
				r := s.records[id]
				return r == nil || !r.wanted
			})
		}
	}
}

// end marks a container that ran as ended.
func (s *state) end(r *record, now time.Time, c Container) {
	c.Running, c.Ended = false, true
	r.awaiting = false
	r.endUntil = now.Add(linger)
	s.set(r, c)
}

func (s *state) remove(r *record) {
	delete(s.records, r.c.ID)
	s.weight -= r.c.weight()
	s.changed = true
}

// gone records that a container does not exist any more.
func (s *state) gone(r *record, now time.Time) {
	r.removed, r.awaiting = true, false
	s.noteGone(r.c, now)
	if r.c.Running {
		c := *r.c
		c.State = "exited"
		s.end(r, now, c)
	}
	if !r.c.Ended {
		s.remove(r)
	}
}

// list applies a complete list of the containers, requested at asOf.
func (s *state) list(now time.Time, asOf uint64, summaries []listed) error {
	present := make(map[string]bool, len(summaries))
	for i := range summaries {
		present[summaries[i].ID] = true
		s.listOne(now, asOf, &summaries[i])
	}
	for id, r := range s.records {
		if !present[id] && r.touched <= asOf && !r.removed {
			s.gone(r, now)
		}
	}
	if !s.listed {
		s.listed, s.changed = true, true
	}
	s.findNetworks()
	return s.tooMuch()
}

func (s *state) listOne(now time.Time, asOf uint64, summary *listed) {
	c := summary.Container
	r := s.records[c.ID]
	switch {
	case r == nil:
		r = s.add(&c)
		if summary.recent {
			r.adopt = true
			s.want(r)
		}
		if c.Running && tellsLess(&c) {
			s.want(r)
		}
		return
	case r.touched > asOf:
		return
	}
	old := r.c
	c.TTY, c.LogDriver, c.LogInPlace = old.TTY, old.LogDriver, old.LogInPlace
	c.Health, c.StartedAt, c.FinishedAt = old.Health, old.StartedAt, old.FinishedAt
	c.RestartPolicy, c.Ends = old.RestartPolicy, old.Ends
	if !summary.coded {
		c.ExitCode = old.ExitCode
	}
	r.removed = false
	if tellsLess(&c) {
		if c.Running && (!old.Running || tellsLess(old) || !slices.Equal(c.Networks, old.Networks)) {
			s.want(r)
		}
		c.NetworkMode, c.Ports = old.NetworkMode, old.Ports
	}
	switch {
	case c.Running:
		s.set(r, c)
	case old.Running:
		c.Networks, c.Ports = old.Networks, old.Ports
		s.end(r, now, c)
	case old.Ended:
		c.Networks, c.Ports, c.Ended = old.Networks, old.Ports, true
		s.set(r, c)
	default:
		s.set(r, c)
	}
}

// tellsLess reports whether a container comes from Podman's list, which omits the network
// mode, and ports that are not published.
func tellsLess(c *Container) bool { return c.NetworkMode == "" }

// mayBeRecent reports whether a status text, such as "Exited (0) 5 minutes ago",
// may be that of a container that ended less than an hour ago.
func mayBeRecent(status string) bool {
	return strings.Contains(status, "second") || strings.Contains(status, "minute")
}

// event applies what an event says.
func (s *state) event(now time.Time, m *events.Message) error {
	switch m.Type {
	case events.ContainerEventType:
		s.asOf++
		s.containerEvent(now, m)
	case events.NetworkEventType:
		s.networkEvent(m)
	}
	return s.tooMuch()
}

func (s *state) containerEvent(now time.Time, m *events.Message) {
	id := m.Actor.ID
	action, health, _ := strings.Cut(string(m.Action), ": ")
	r := s.records[id]
	if r == nil {
		switch action {
		case "create", "start", "die", "died":
			// What the event says has to be enough until the container is inspected.
			r = s.add(fromEvent(m))
		default:
			return
		}
	}
	r.touched = s.asOf
	c := *r.c
	switch action {
	case "create":
		r.byEvent = true
		s.want(r)
	case "start":
		c.Running, c.State, c.Ended, c.StartedAt = true, "running", false, eventTime(m, now)
		r.removed, r.adopt, r.awaiting = false, false, true
		s.set(r, c)
		r.byEvent = true
		s.want(r)
	case "die", "died":
		c.State, c.FinishedAt, c.ExitCode = "exited", eventTime(m, now), eventCode(m, c.ExitCode)
		c.Ends = withEnd(c.Ends, c.FinishedAt)
		s.end(r, now, c)
	case "destroy", "remove":
		s.gone(r, now)
	case "pause":
		c.State = "paused"
		s.set(r, c)
	case "unpause":
		c.State = "running"
		s.set(r, c)
	case "rename":
		if name := m.Actor.Attributes["name"]; name != "" {
			c.Name = "/" + strings.TrimPrefix(name, "/")
			s.set(r, c)
		}
	case "health_status":
		c.Health = health
		s.set(r, c)
	}
}

func (s *state) networkEvent(m *events.Message) {
	switch m.Action {
	case "connect", "disconnect":
		// A container that starts is inspected when it has.
		if r := s.records[m.Actor.Attributes["container"]]; r != nil && r.c.Running {
			r.byEvent = true
			s.want(r)
		}
	default:
		if _, ok := s.networks[m.Actor.ID]; ok {
			s.ownNetworks()
			delete(s.networks, m.Actor.ID)
			s.changed = true
			s.findNetworks()
		}
	}
}

// fromEvent makes a container of the attributes of an event: its labels, and
// a few keys that the Engine adds.
func fromEvent(m *events.Message) *Container {
	labels := maps.Clone(m.Actor.Attributes)
	for _, key := range []string{"name", "image", "exitCode", "execDuration", "signal", "oldName", "containerExitCode", "podId"} {
		delete(labels, key)
	}
	return &Container{ID: m.Actor.ID, Name: "/" + m.Actor.Attributes["name"], Labels: labels, State: "created"}
}

func eventTime(m *events.Message, now time.Time) time.Time {
	if m.TimeNano == 0 {
		return now
	}
	return time.Unix(0, m.TimeNano)
}

// take gives out the next container to inspect, and asOf for its answer.
func (s *state) take() (id string, asOf uint64, ok bool) {
	for len(s.wanted) > 0 {
		id, s.wanted = s.wanted[0], s.wanted[1:]
		if r := s.records[id]; r != nil && r.wanted {
			r.wanted, r.asking = false, true
			return id, s.asOf, true
		}
	}
	return "", 0, false
}

// takeNetwork gives out the next network to ask for.
func (s *state) takeNetwork() (id string, ok bool) {
	if len(s.unknown) == 0 {
		return "", false
	}
	id, s.unknown = s.unknown[0], s.unknown[1:]
	delete(s.unasked, id)
	s.setNetwork(id, nil)
	return id, true
}

// uninspected does without an inspection, if err says that it is refused. It
// reports whether a list is needed instead.
func (s *state) uninspected(now time.Time, id string, err error) (list bool) {
	r := s.records[id]
	if r == nil || !IsRefused(err) {
		return false
	}
	if r.adopt && !r.c.Running {
		s.end(r, now, *r.c)
	}
	list = r.byEvent
	r.adopt, r.byEvent, r.asksAgain = false, false, false
	return list
}

// wantUninspected wants the running containers that only the list has told of.
func (s *state) wantUninspected() {
	for _, r := range s.records {
		if r.c.Running && r.c.LogDriver == "" {
			s.want(r)
		}
	}
}

// inspected applies the answer to an inspection requested at asOf.
func (s *state) inspected(now time.Time, asOf uint64, id string, c Container, err error) error {
	r := s.records[id]
	if r == nil {
		return nil
	}
	again := r.asksAgain
	r.asking, r.asksAgain = false, false
	if again {
		s.want(r)
	} else {
		r.awaiting = false
	}
	if err != nil {
		if IsNotFound(err) && r.touched <= asOf && !r.removed {
			s.gone(r, now)
		}
		return nil
	}
	r.byEvent = false
	s.merge(r, now, r.touched <= asOf, c)
	s.findNetworks()
	return s.tooMuch()
}

// merge applies an inspected container. Unless it is current, an event has reported a
// newer state in the meantime.
func (s *state) merge(r *record, now time.Time, current bool, c Container) {
	old := r.c
	addressed := c.Running
	c.Health, c.Ends = old.Health, old.Ends
	if c.Running || !current {
		c.ExitCode = old.ExitCode // of its last end
	}
	if !current {
		c.Name, c.State, c.Running, c.StartedAt, c.FinishedAt = old.Name, old.State, old.Running, old.StartedAt, old.FinishedAt
	}
	if !addressed && len(old.Networks) > 0 {
		c.Networks, c.Ports = old.Networks, old.Ports
	}
	adopt := r.adopt && !c.Running && !c.FinishedAt.IsZero() && now.Sub(c.FinishedAt) < adoptable
	r.adopt = false
	switch {
	case c.Running:
		s.set(r, c)
	case old.Running || adopt:
		s.end(r, now, c)
	default:
		c.Ended = old.Ended
		s.set(r, c)
	}
}

// setNetwork notes what a network is; nil means that it is not known.
func (s *state) setNetwork(id string, n *Network) {
	if len(s.networks) >= maxNetworks && s.networks[id] == nil {
		return
	}
	s.ownNetworks()
	s.networks[id] = n
	s.changed = true
}

// ownNetworks makes s.networks a copy that no snapshot holds, so that changing thousands
// of networks does not copy them each time.
func (s *state) ownNetworks() {
	if s.published {
		s.networks, s.published = maps.Clone(s.networks), false
	}
}

// setNetworks applies a complete list.
func (s *state) setNetworks(list []*Network) {
	s.networks, s.published = make(map[string]*Network, len(list)), false
	for _, n := range list {
		s.networks[n.ID] = n
	}
	s.changed = true
	s.findNetworks()
}

// findNetworks finds the networks that running containers are in and that have
// not been asked for.
func (s *state) findNetworks() {
	if len(s.networks)+len(s.unknown) >= maxNetworks {
		return
	}
	for _, r := range s.records {
		if !r.c.Running {
			continue
		}
		for _, n := range r.c.Networks {
			if _, ok := s.networks[n.NetworkID]; !ok && n.NetworkID != "" && !s.unasked[n.NetworkID] {
				s.unknown = append(s.unknown, n.NetworkID)
				s.unasked[n.NetworkID] = true
			}
		}
	}
}

// awaiting reports whether an answer is awaited that completes a container which
// has just started.
func (s *state) awaiting() bool {
	for _, r := range s.records {
		if r.awaiting {
			return true
		}
	}
	return false
}

// expire ends the lingering of containers, and returns when to come back; the
// zero time if there is no need.
func (s *state) expire(now time.Time) (next time.Time) {
	for _, r := range s.records {
		switch {
		case !r.c.Ended:
		case r.endUntil.After(now):
			if next.IsZero() || r.endUntil.Before(next) {
				next = r.endUntil
			}
		case r.removed:
			s.remove(r)
		default:
			c := *r.c
			c.Ended, c.Ports, c.Networks = false, nil, slices.Clone(c.Networks)
			for i := range c.Networks {
				c.Networks[i].IP = ""
			}
			s.set(r, c)
		}
	}
	return next
}

// snapshot returns what is known.
func (s *state) snapshot() Snapshot {
	out := Snapshot{Listed: s.listed, Containers: make([]*Container, 0, len(s.records)), Networks: s.networks, Gone: s.past}
	for _, r := range s.records {
		out.Containers = append(out.Containers, r.c)
	}
	slices.SortFunc(out.Containers, func(a, b *Container) int { return strings.Compare(a.ID, b.ID) })
	s.changed, s.published = false, true
	return out
}
