package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"collector/pkg/backoff"
)

const (
	// eventsPatience is how long the first list waits for the event stream, so
	// that nothing happens between the two.
	eventsPatience = 2 * time.Second
	// pollInterval is how often the containers are listed without events, unless
	// a component asks for another refresh interval.
	pollInterval = time.Minute
	// retryEvents is when events are asked for again after something other than
	// a refusal.
	retryEvents = 30 * time.Second
	// eventsPerSecond and eventBytesPerSecond are how fast events are read: more
	// than any Engine sends, and no more than one processor handles beside
	// other work. An Engine that sends more waits.
	eventsPerSecond     = 5000
	eventBytesPerSecond = 16 << 20
)

// subscription is an event stream that the Engine has opened, or why not.
type subscription struct {
	decoder *json.Decoder
	meter   *meter
	stop    func()
	err     error
}

// subscribe opens the event stream: when it returns, the Engine has answered. The
// library's own function does not distinguish an answer from a failure in time. There is
// no timeout: older versions of Podman answer with the first event.
func (c *connection) subscribe(ctx context.Context) subscription {
	filter, err := filters.ToJSON(watched(c.podman))
	if err != nil {
		return subscription{err: err}
	}
	ctx, cancel := context.WithCancel(ctx)
	body, err := c.open(ctx, "/events", url.Values{"filters": {filter}})
	if err != nil {
		cancel()
		return subscription{err: err}
	}
	m := &meter{r: body, limit: maxObject, what: "an event"}
	return subscription{decoder: json.NewDecoder(m), meter: m, stop: func() {
		cancel()
		body.Close()
	}}
}

// subscribe requests the event stream concurrently with the loop, and gives up an earlier
// request that has not been answered.
func (s *session) subscribe() {
	if s.unsubscribe != nil {
		s.unsubscribe()
	}
	s.subscribeAt, s.silentAt = time.Time{}, time.Now().Add(requestTimeout)
	subscribed := make(chan subscription)
	ctx, cancel := context.WithCancel(s.ctx)
	s.subscribed, s.unsubscribe = subscribed, cancel
	s.wg.Go(func() {
		opened := s.opened.subscribe(ctx)
		select {
		case subscribed <- opened:
		case <-ctx.Done():
			if opened.stop != nil {
				opened.stop()
			}
		}
	})
}

// follow handles the outcome of opening the event stream. Whatever keeps it from opening,
// the containers are listed: if the Engine is away, that fails too.
func (s *session) follow(opened subscription) error {
	s.silentAt, s.subscribeAt, s.withoutEvents = time.Time{}, time.Time{}, nil
	var answered *answerError
	switch {
	case opened.err == nil:
		s.noteAnswer(toEvents)
		s.receive(opened)
		s.relist = s.listing || !s.listedAt.IsZero() // what has happened in the meantime
		return nil
	case s.ctx.Err() != nil:
		return s.ctx.Err()
	case isVersionError(opened.err):
		return streamError(opened.err)
	case IsRefused(opened.err):
		s.withoutEvents, s.subscribeAt = opened.err, time.Now().Add(retryRefused)
	case errors.As(opened.err, &answered):
		s.withoutEvents = &RefusedError{right: toEvents, status: answered.status, text: answered.message}
		s.subscribeAt = time.Now().Add(retryEvents)
	default:
		s.withoutEvents = &RefusedError{right: toEvents, text: opened.err.Error()}
		s.subscribeAt = time.Now().Add(retryEvents)
	}
	return nil
}

// tellOfEvents warns if there are no events, once a list has come, which shows
// that the Engine is there.
func (s *session) tellOfEvents() {
	if s.withoutEvents != nil {
		s.noteRefusal(toEvents, s.withoutEvents, "without events, new containers are only found every refresh_interval")
	}
}

// waitForEvents notes that the event stream was not opened in time, which is
// how Podman does it, and returns when to come back.
func (s *session) waitForEvents(now time.Time) time.Time {
	if !s.silentAt.IsZero() && !now.Before(s.silentAt) {
		s.silentAt, s.subscribeAt = time.Time{}, now.Add(retryRefused)
		if !s.opened.podman {
			s.withoutEvents = &RefusedError{right: toEvents, waited: requestTimeout}
		}
	}
	if !s.subscribeAt.IsZero() && !now.Before(s.subscribeAt) {
		s.subscribe()
	}
	if s.subscribeAt.IsZero() {
		return s.silentAt
	}
	return s.subscribeAt
}

// receive decodes the event stream concurrently with the loop, until it fails.
func (s *session) receive(from subscription) {
	messages, ended := make(chan events.Message), make(chan error, 1)
	s.messages, s.ended, s.stop = messages, ended, from.stop
	s.wg.Go(func() {
		var p pace
		for {
			var m events.Message
			if err := from.decoder.Decode(&m); err != nil {
				ended <- err
				return
			}
			wait := p.wait(time.Now(), from.meter.since)
			from.meter.mark()
			select {
			case messages <- m:
			case <-s.ctx.Done():
				return
			}
			if wait > 0 && backoff.Sleep(s.ctx, wait, nil) != nil {
				return
			}
		}
	})
}

// pace bounds the events of a second.
type pace struct {
	begun         time.Time
	events, bytes int
}

// wait notes an event, and returns how long to wait for the next.
func (p *pace) wait(now time.Time, bytes int) time.Duration {
	if now.Sub(p.begun) >= time.Second {
		*p = pace{begun: now}
	}
	p.events++
	p.bytes += bytes
	if p.events < eventsPerSecond && p.bytes < eventBytesPerSecond {
		return 0
	}
	return p.begun.Add(time.Second).Sub(now)
}

// listInterval is how often the containers are listed; 0 is never.
func (s *session) listInterval() time.Duration {
	if s.messages == nil { // containers are known from lists alone
		return cmp.Or(s.refresh(), pollInterval)
	}
	return s.refresh()
}

// watched are the events in containers' lives; without this filter each health check
// would send three others.
func watched(podman bool) filters.Args {
	args := filters.NewArgs(filters.Arg("type", "container"), filters.Arg("type", "network"))
	if podman {
		return args // its names differ, and it refuses some of these
	}
	for _, action := range []string{
		"create", "start", "die", "destroy", "pause", "unpause", "rename", "health_status", "connect", "disconnect", "update", "remove",
	} {
		args.Add("event", action)
	}
	return args
}

// streamError says that the event stream has ended.
func streamError(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		err = errors.New("the Engine closed it")
	}
	return fmt.Errorf("follow the events of the Docker Engine: %w", err)
}
