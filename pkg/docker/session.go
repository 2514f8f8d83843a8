package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
)

const (
	// parallel bounds the inspections under way.
	parallel = 4
	// minGap is the least time between two snapshots, so that a burst of
	// events makes few of them.
	minGap = 20 * time.Millisecond
	// maxWait is how long a snapshot waits for the address of a container that
	// has just started. Without it the container is shown all the same: its
	// output cannot wait.
	maxWait = 10 * time.Millisecond
)

// answer is what a request has brought, to be taken over by the loop.
type answer func(s *state, now time.Time) error

// session is one connection to the Engine: from connecting to the first error.
type session struct {
	*Engine
	ctx     context.Context
	answers chan answer
	wg      sync.WaitGroup

	busy        int       // inspections under way
	listing     bool      // a list is under way
	listedAt    time.Time // when the last list came
	changedAt   time.Time // the first change since the last snapshot
	publishedAt time.Time
}

// attempt connects and follows what happens until an error, which it returns.
// connected tells whether it got so far as to list the containers.
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
	e.mu.Lock()
	e.conn = c
	e.mu.Unlock()

	// Events come first, so that nothing happens between them and the list.
	decoder, stream, err := e.endpoint.subscribe(ctx, c)
	if err != nil {
		return false, streamError(err)
	}
	defer stream.Close()
	messages, ended := s.receive(decoder)
	e.state.reset()
	s.list(true)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return connected, ctx.Err()
		case err := <-ended:
			return connected, streamError(err)
		case m := <-messages:
			e.state.event(time.Now(), &m)
		case take := <-s.answers:
			if err := take(e.state, time.Now()); err != nil {
				return connected, err
			}
		case <-e.kick:
		case <-timer.C:
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

// receive decodes the event stream beside the loop, until it fails.
func (s *session) receive(d *json.Decoder) (<-chan events.Message, <-chan error) {
	messages, ended := make(chan events.Message), make(chan error, 1)
	s.wg.Go(func() {
		for {
			var m events.Message
			if err := d.Decode(&m); err != nil {
				ended <- err
				return
			}
			select {
			case messages <- m:
			case <-s.ctx.Done():
				return
			}
		}
	})
	return messages, ended
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
	if refresh := s.refresh(); refresh > 0 && !s.listing {
		due := s.listedAt.Add(refresh)
		if due.After(now) {
			earliest(due)
		} else {
			s.list(false)
		}
	}
	if t := s.publishDue(now); t.After(now) {
		earliest(t)
	} else if !t.IsZero() {
		s.publish()
		s.changedAt, s.publishedAt = time.Time{}, now
	}
	return next
}

// publishDue tells when to publish a snapshot; the zero time is never.
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

// do makes a request beside the loop, which takes over the answer.
func (s *session) do(request func() answer) {
	s.wg.Go(func() {
		a := request()
		select {
		case s.answers <- a:
		case <-s.ctx.Done():
		}
	})
}

// ask sends the inspections that are wanted, a few at a time.
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
				st.inspected(now, asOf, id, c, err)
				return nil
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
				if err == nil {
					st.setNetwork(id, n)
				}
				return nil
			}
		})
	}
}

// list lists the containers and, the first time, the networks. Networks that
// appear later are asked for one by one, when a container is in them. An Engine,
// or a proxy in front of it, that refuses to tell of networks is used without.
func (s *session) list(networks bool) {
	s.listing = true
	asOf := s.state.asOf
	s.do(func() answer {
		var known []*Network
		var summaries []container.Summary
		var err, refused error
		if networks {
			known, err = s.listNetworks(s.ctx)
			if isRefused(err) {
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
				st.setNetworks(known)
			}
			s.listedAt = now
			st.list(now, asOf, summaries)
			return nil
		}
	})
}

// tellOfNetworks notes whether requests for networks are refused, and says so
// when that is new.
func (s *session) tellOfNetworks(refused error) {
	if refused != nil && !s.withoutNetworks {
		s.logger.Warn("the Docker Engine, or a proxy in front of it, refuses to list networks: targets lack the labels of their networks other than id, name and ip; allow GET /networks (NETWORKS=1 for many proxies)", "err", refused)
	}
	s.withoutNetworks = refused != nil
}
