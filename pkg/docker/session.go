package docker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/docker/docker/api/types/events"
)

const (
	// parallel bounds the inspections in progress.
	parallel = 4
	// minGap is the least time between two snapshots, so that a burst of
	// events makes few of them.
	minGap = 20 * time.Millisecond
	// maxWait is how long a snapshot waits for the address of a container that
	// has just started. Without it the container is shown all the same: its
	// output cannot wait.
	maxWait = 10 * time.Millisecond
)

// answer is what a request has returned, for the loop to process.
type answer func(s *state, now time.Time) error

// session is one connection to the Engine: from connecting to the first error.
type session struct {
	*Engine
	ctx     context.Context
	answers chan answer
	wg      sync.WaitGroup

	opened      *connection
	subscribed  <-chan subscription
	unsubscribe context.CancelFunc    // ends the stream, or the wait for it
	messages    <-chan events.Message // nil without an event stream
	ended       <-chan error
	stop        func() // closes the stream; nil without
	// withoutEvents is why there is no event stream; nil if there is one, or may
	// be in a moment.
	withoutEvents error
	subscribeAt   time.Time // when to ask for events again; zero: no need
	silentAt      time.Time // when those asked for count as refused; zero: never

	// networksRefused and inspectRefused say that something was refused that is
	// to be asked for again.
	networksRefused bool
	inspectRefused  bool
	inspectedAllAt  time.Time // when the refused inspections were last asked for

	busy        int       // inspections in progress
	listing     bool      // a list is in progress
	relist      bool      // the containers are to be listed as soon as possible
	listedAt    time.Time // when the last list came
	changedAt   time.Time // the first change since the last snapshot
	publishedAt time.Time
}

// attempt connects and follows what happens until an error, which it returns.
// connected reports whether it got so far as to list the containers.
func (e *Engine) attempt(ctx context.Context) (connected bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &session{Engine: e, ctx: ctx, answers: make(chan answer, parallel)}
	defer s.wg.Wait()
	defer cancel()

	// An Engine that was away may be of another version now.
	c, err := e.endpoint.connect(ctx)
	if err != nil {
		return false, err
	}
	s.opened = c
	e.mu.Lock()
	e.conn = c
	e.mu.Unlock()
	defer func() {
		if s.stop != nil {
			s.stop()
		}
	}()
	if err := s.begin(); err != nil {
		return false, err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := s.step(timer.C); err != nil {
			return connected, err
		}
		if !connected && !s.listedAt.IsZero() {
			connected = true
			e.connected(c)
		}
		timer.Stop()
		if next := s.advance(time.Now()); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// begin asks for events and then, so that nothing happens between them, for the
// list. It does not wait for events that do not come.
func (s *session) begin() error {
	s.subscribe()
	select {
	case opened := <-s.subscribed:
		if err := s.follow(opened); err != nil {
			return err
		}
	case <-time.After(eventsPatience):
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
	s.state.reset()
	s.state.expire(time.Now())
	s.relist = false
	s.list(true)
	return nil
}

// step handles the next thing that happens.
func (s *session) step(timer <-chan time.Time) error {
	select {
	case <-s.ctx.Done():
		return s.ctx.Err()
	case opened := <-s.subscribed:
		return s.follow(opened)
	case err := <-s.ended:
		return streamError(err)
	case m := <-s.messages:
		return s.state.event(time.Now(), &m)
	case take := <-s.answers:
		return take(s.state, time.Now())
	case <-s.kick:
	case <-timer:
	}
	return nil
}

// advance does what is due, and returns when to come back.
func (s *session) advance(now time.Time) (next time.Time) {
	earliest := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	s.ask()
	if t := s.state.expire(now); !t.IsZero() {
		earliest(t)
	}
	if t := s.waitForEvents(now); !t.IsZero() {
		earliest(t)
	}
	if t := s.inspectAgain(now); !t.IsZero() {
		earliest(t)
	}
	if due := s.networksDue(); due.After(now) {
		earliest(due)
	} else if !due.IsZero() {
		s.list(true)
	}
	if due := s.listDue(); !due.IsZero() && due.After(now) {
		earliest(due)
	} else if !due.IsZero() {
		s.list(false)
	}
	if t := s.publishDue(now); t.After(now) {
		earliest(t)
	} else if !t.IsZero() {
		s.publish()
		s.changedAt, s.publishedAt = time.Time{}, now
	}
	return next
}

// networksDue is when to list the networks again because a request for them was
// refused; the zero time is never.
func (s *session) networksDue() time.Time {
	if !s.networksRefused || s.listing {
		return time.Time{}
	}
	due := s.listedAt.Add(minRefresh)
	for _, r := range []right{toListNetworks, toInspectNetwork} {
		if t := s.rights.retryAt(r); t.After(due) {
			due = t
		}
	}
	return due
}

// inspectAgain wants the containers whose inspection was refused, when that may
// be allowed by now, and returns when to come back; the zero time is never. A
// proxy that allows the request for some containers only is not asked for all
// the others more often than that.
func (s *session) inspectAgain(now time.Time) time.Time {
	if !s.inspectRefused {
		return time.Time{}
	}
	due := s.inspectedAllAt.Add(retryRefused)
	if t := s.rights.retryAt(toInspect); t.After(due) {
		due = t
	}
	if due.After(now) {
		return due
	}
	s.inspectRefused, s.inspectedAllAt = false, now
	s.state.wantUninspected()
	s.ask()
	return time.Time{}
}

// listDue returns when to list the containers; the zero time is never.
func (s *session) listDue() time.Time {
	interval := s.listInterval()
	if s.relist {
		interval = minRefresh
	}
	if s.listing || interval == 0 {
		return time.Time{}
	}
	return s.listedAt.Add(interval)
}

// publishDue returns when to publish a snapshot; the zero time is never.
func (s *session) publishDue(now time.Time) time.Time {
	if s.listedAt.IsZero() {
		return time.Time{}
	}
	if s.publishedAt.IsZero() {
		return now // the first list has come
	}
	if !s.state.changed {
		return time.Time{}
	}
	if s.changedAt.IsZero() {
		s.changedAt = now
	}
	due := s.publishedAt.Add(minGap)
	if due.Before(s.changedAt) {
		due = s.changedAt
	}
	if s.state.awaiting() {
		if patient := s.changedAt.Add(maxWait); patient.After(due) {
			due = patient
		}
	}
	return due
}

// do makes a request concurrently with the loop, which processes the answer.
func (s *session) do(request func() answer) {
	s.wg.Go(func() {
		a := request()
		select {
		case s.answers <- a:
		case <-s.ctx.Done():
		}
	})
}

// ask sends the pending inspections, a few at a time.
func (s *session) ask() {
	for s.busy < parallel {
		id, asOf, ok := s.state.take()
		if !ok {
			break
		}
		s.busy++
		s.do(func() answer {
			c, err := s.inspect(s.ctx, id)
			return func(st *state, now time.Time) error {
				s.busy--
				if IsRefused(err) {
					s.inspectRefused = true
					if s.inspectedAllAt.IsZero() {
						s.inspectedAllAt = now
					}
				}
				if st.uninspected(now, id, err) {
					s.relist = true // the list shows what has happened to it, too
				}
				return st.inspected(now, asOf, id, c, err)
			}
		})
	}
	for s.busy < parallel && !s.withoutNetworks {
		id, ok := s.state.takeNetwork()
		if !ok {
			break
		}
		s.busy++
		s.do(func() answer {
			n, err := s.network(s.ctx, id)
			return func(st *state, _ time.Time) error {
				s.busy--
				s.noteRefusal(toInspectNetwork, err, "targets in networks created after the start have only the network's id, name and ip as labels")
				s.networksRefused = s.networksRefused || IsRefused(err)
				if err == nil {
					st.setNetwork(id, n)
				}
				return nil
			}
		})
	}
}

// list lists the containers and, the first time, the networks. Networks that appear later
// are asked for one by one, when a container is in them. An Engine, or a proxy in front
// of it, that refuses requests for networks is used without them, and asked for them
// again after retryRefused.
func (s *session) list(networks bool) {
	s.listing, s.relist = true, false
	asOf := s.state.asOf
	s.do(func() answer {
		var known []*Network
		var summaries []listed
		var err, refused error
		if networks {
			known, err = s.listNetworks(s.ctx)
			if IsRefused(err) {
				refused, err = err, nil
			}
			if err != nil {
				err = fmt.Errorf("list networks: %w", err)
			}
		}
		if err == nil {
			if summaries, err = s.Engine.list(s.ctx, nil); err != nil {
				err = fmt.Errorf("list containers: %w", err)
			}
		}
		return func(st *state, now time.Time) error {
			s.listing = false
			if err != nil {
				return err
			}
			if networks {
				s.tellOfNetworks(refused)
				if refused == nil {
					st.setNetworks(known)
				}
			}
			s.listedAt = now
			s.tellOfEvents()
			return st.list(now, asOf, summaries)
		}
	})
}

// tellOfNetworks records and reports whether requests for networks are refused.
func (s *session) tellOfNetworks(refused error) {
	s.noteRefusal(toListNetworks, refused, "targets have only the id, name and ip of their networks as labels")
	s.withoutNetworks = refused != nil
	s.networksRefused = s.withoutNetworks
}
