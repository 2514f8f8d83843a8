package docker

import (
	"context"
	"errors"
	"sync"
	"time"
)

// retryRefused is when a request that was refused is made again: the right may
// have been given meanwhile.
const retryRefused = 5 * time.Minute

// rights are what is known of the requests that the Engine allows.
type rights struct {
	mu       sync.Mutex
	answered map[right]bool    // guarded by mu
	refused  map[right]refused // guarded by mu
}

type refused struct {
	err   error
	until time.Time // the request is not made before
}

// ask makes a request within a time. One that is not answered, and never was, is
// refused.
func ask[T any](ctx context.Context, e *Engine, r right, most time.Duration, do func(context.Context, *connection) (T, error)) (T, error) {
	limit := most
	if r != toList && !e.wasAnswered(r) {
		limit = min(most, firstAnswer)
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	v, err := request(within, e, func(c *connection) (T, error) { return do(within, c) })
	switch {
	case err == nil:
		e.noteAnswer(r)
	case refusal(err) != nil:
		err = refusal(err)
	case limit < most && ctx.Err() == nil && within.Err() != nil && errors.Is(err, context.DeadlineExceeded):
		err = &RefusedError{right: r, waited: limit}
	}
	return v, err
}

func (e *Engine) wasAnswered(r right) bool {
	e.rights.mu.Lock()
	defer e.rights.mu.Unlock()
	return e.rights.answered[r]
}

// noteAnswer notes that a request is allowed, and says so if it was not.
func (e *Engine) noteAnswer(r right) {
	e.rights.mu.Lock()
	_, was := e.rights.refused[r]
	delete(e.rights.refused, r)
	if e.rights.answered == nil {
		e.rights.answered = make(map[right]bool)
	}
	e.rights.answered[r] = true
	e.rights.mu.Unlock()
	if was {
		e.logger.Info("the Docker Engine allows a request that it refused", "request", r.request)
	}
}

// noteRefusal notes that a request is refused, if err says so, and says what
// that costs, once until it is allowed.
func (e *Engine) noteRefusal(r right, err error, costs string) {
	if !IsRefused(err) {
		return
	}
	e.rights.mu.Lock()
	_, known := e.rights.refused[r]
	if e.rights.refused == nil {
		e.rights.refused = make(map[right]refused)
	}
	e.rights.refused[r] = refused{err, time.Now().Add(retryRefused)}
	e.rights.mu.Unlock()
	if !known {
		e.logger.Warn("the Docker Engine, or a proxy in front of it, refuses a request: "+costs, "request", r.request, "err", err)
	}
}

// refused is the error of a request that was refused a short while ago.
func (e *Engine) refused(r right) error {
	e.rights.mu.Lock()
	defer e.rights.mu.Unlock()
	if known, ok := e.rights.refused[r]; ok && time.Now().Before(known.until) {
		return known.err
	}
	return nil
}
