package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

const (
	// eventsPatience is how long the first list waits for the event stream, so
	// that nothing happens between the two.
	eventsPatience = 2 * time.Second
	// pollInterval is how often the containers are listed without events, unless
	// a component asks for another refresh interval.
	pollInterval = time.Minute
)

// subscription is an event stream that the Engine has opened, or why not.
type subscription struct {
	decoder *json.Decoder
	meter   *meter
	stop    func()
	err     error
}

// subscribe opens the event stream: when it returns, the Engine has answered.
// The library's own function does not tell an answer from a failure in time.
func (e *endpoint) subscribe(ctx context.Context, c *connection) subscription {
	filter, err := filters.ToJSON(watched(c.podman))
	if err != nil {
		return subscription{err: err}
	}
	u := e.base
	u.Path += "/v" + c.version + "/events"
	u.RawQuery = url.Values{"filters": {filter}}.Encode()
	// The time-out is for the answer's beginning; the stream has no end.
	ctx, cancel := context.WithCancelCause(ctx)
	silent := &RefusedError{right: toEvents, waited: requestTimeout}
	timer := time.AfterFunc(requestTimeout, func() { cancel(silent) })
	defer timer.Stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		cancel(nil)
		return subscription{err: err}
	}
	resp, err := e.http.Do(r)
	if err != nil {
		if errors.Is(context.Cause(ctx), silent) {
			err = silent
		}
		cancel(nil)
		return subscription{err: withoutURL(err)}
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		defer cancel(nil)
		text := make([]byte, 1<<10)
		n, _ := resp.Body.Read(text)
		return subscription{err: &answerError{resp.StatusCode, resp.Status, shortText(text[:n])}}
	}
	m := &meter{r: resp.Body, limit: maxObject, what: "an event"}
	return subscription{decoder: json.NewDecoder(m), meter: m, stop: func() {
		cancel(nil)
		resp.Body.Close()
	}}
}

// subscribe asks for the event stream beside the loop.
func (s *session) subscribe(c *connection) {
	s.subscribeAt = time.Time{}
	s.wg.Go(func() {
		opened := s.endpoint.subscribe(s.ctx, c)
		select {
		case s.subscribed <- opened:
		case <-s.ctx.Done():
			if opened.stop != nil {
				opened.stop()
			}
		}
	})
}

// follow takes over what became of the event stream. Without one, the containers
// are listed at the refresh interval.
func (s *session) follow(opened subscription) error {
	switch {
	case opened.err == nil:
		s.noteAnswer(toEvents)
		s.receive(opened)
		s.relist = s.listing || !s.listedAt.IsZero() // what has happened meanwhile
		return nil
	case IsRefused(opened.err):
		s.noteRefusal(toEvents, opened.err, "events can't be had: the containers are listed every refresh_interval, and those that start are found only then")
		s.subscribeAt = time.Now().Add(retryRefused)
		return nil
	}
	return streamError(opened.err)
}

// receive decodes the event stream beside the loop, until it fails.
func (s *session) receive(from subscription) {
	messages, ended := make(chan events.Message), make(chan error, 1)
	s.messages, s.ended, s.stop = messages, ended, from.stop
	s.wg.Go(func() {
		for {
			var m events.Message
			if err := from.decoder.Decode(&m); err != nil {
				ended <- err
				return
			}
			from.meter.mark()
			select {
			case messages <- m:
			case <-s.ctx.Done():
				return
			}
		}
	})
}

// polls tells whether lists are all that tells of containers.
func (s *session) polls() bool { return s.messages == nil }

// listInterval is how often the containers are listed; 0 is never.
func (s *session) listInterval() time.Duration {
	if s.polls() {
		return cmp.Or(s.refresh(), pollInterval)
	}
	return s.refresh()
}

// watched are the events that tell of containers' lives; without this filter
// each health check would send three others.
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
