package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// retryRefused is when a request that was refused is made again: it may be
	// allowed by then.
	retryRefused = 5 * time.Minute
	// warnAgain is the shortest time between two warnings about the same request. A proxy
	// may allow a request for some containers and refuse it for others.
	warnAgain = time.Hour
)

// rights are what is known of the requests that the Engine allows.
type rights struct {
	mu       sync.Mutex
	answered map[right]bool      // guarded by mu
	refused  map[right]refused   // guarded by mu
	warned   map[right]time.Time // guarded by mu
}

type refused struct {
	err    error
	until  time.Time // the request is not made before
	warned bool      // about this refusal
}

func newRights() rights {
	return rights{answered: make(map[right]bool), refused: make(map[right]refused), warned: make(map[right]time.Time)}
}

// ask makes a request within a time. One that is not answered, and never was,
// counts as refused.
func ask[T any](ctx context.Context, e *Engine, r right, most time.Duration, do func(context.Context, *connection) (T, error)) (T, error) {
	answered := e.rights.wasAnswered(r)
	limit := most
	if r != toList && !answered {
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
	case IsTooLarge(err):
		e.noteOversize(r, err)
	case ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded):
	case answered:
		err = fmt.Errorf("%s: no answer within %v: %w", r.request, limit, err)
	default:
		err = &RefusedError{right: r, waited: limit}
	}
	return v, err
}

func (r *rights) wasAnswered(to right) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answered[to]
}

// noteAnswer notes that a request is allowed, and logs it if it was not.
func (e *Engine) noteAnswer(r right) {
	e.rights.mu.Lock()
	was := e.rights.refused[r]
	delete(e.rights.refused, r)
	e.rights.answered[r] = true
	e.rights.mu.Unlock()
	if was.warned {
		e.logger.Info("the Docker Engine allows a request that it rejected before", "request", r.request)
	}
}

// noteRefusal notes that a request is refused, if err says so, and warns once
// about what that costs.
func (e *Engine) noteRefusal(r right, err error, costs string) {
	if !IsRefused(err) {
		return
	}
	now := time.Now()
	e.rights.mu.Lock()
	last, before := e.rights.warned[r]
	was := e.rights.refused[r].warned
	warn := !was && (!before || now.Sub(last) >= warnAgain)
	if warn {
		e.rights.warned[r] = now
	}
	e.rights.refused[r] = refused{err, now.Add(retryRefused), was || warn}
	e.rights.mu.Unlock()
	if warn {
		e.logger.Warn("the Docker Engine, or a proxy in front of it, rejects a request: "+costs, "request", r.request, "err", err)
	}
}

// noteOversize counts an answer over a limit. Where that ends no connection,
// which is logged elsewhere, it warns.
func (e *Engine) noteOversize(r right, err error) {
	e.countOversize(err)
	if r == toInspect || r == toInspectNetwork {
		e.warnOversize(r, err)
	}
}

// warnOversize warns about answers over a limit, each request once in a while.
func (e *Engine) warnOversize(r right, err error) {
	key, now := right{request: "oversize " + r.request}, time.Now()
	e.rights.mu.Lock()
	last, before := e.rights.warned[key]
	warn := !before || now.Sub(last) >= warnAgain
	if warn {
		e.rights.warned[key] = now
	}
	e.rights.mu.Unlock()
	if warn {
		e.logger.Warn("a response of the Docker Engine exceeds a limit and is ignored", "request", r.request, "err", err)
	}
}

// unasked is the error of a request that was refused a short while ago and is not
// repeated yet. A request that was allowed for other containers is made for each.
func (e *Engine) unasked(r right) error {
	e.rights.mu.Lock()
	defer e.rights.mu.Unlock()
	known, ok := e.rights.refused[r]
	if ok && !e.rights.answered[r] && time.Now().Before(known.until) {
		return known.err
	}
	return nil
}

// retryAt is when to make a request again that is refused; the zero time if it
// is not.
func (r *rights) retryAt(to right) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused[to].until
}

// list returns the requests that are refused, sorted.
func (r *rights) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for to := range r.refused {
		out = append(out, to.request)
	}
	slices.Sort(out)
	return out
}
