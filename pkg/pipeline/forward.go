package pipeline

import (
	"context"
	"sync"
	"time"

	"collector/pkg/backoff"
)

// What happens to data that one of several sinks, the list of a forward_to, does not
// accept depends only on what its source can do:
//
//   - A source that can wait, since what it reads stays where it is (a container's
//     log, a file, a journal), gives the data to each sink until that takes it:
//     UntilAccepted.
//   - A client sends again what it is not told is stored: WriteAll.
//   - What is measured now is old the next time (a scrape): each sink has the
//     same time, all at once, and what it does not take by then is lost for it
//     alone: Each.
//   - A component between a source and sinks (prometheus.relabel, loki.relabel)
//     gives it to all at once. It waits for each if the source waits, and otherwise
//     the source hears of it only if none took it: Pass.
//   - Who can neither wait nor be told (the program's own log) makes an Offer.
//
// In each, what a sink calls permanent is lost for that sink, which the source
// counts and logs.

// The waits of UntilAccepted between tries.
const (
	shortestWait = 100 * time.Millisecond
	longestWait  = 5 * time.Second
)

// waitingKey is the key of a context in which the caller writes until its data is
// accepted: see Pass.
type waitingKey struct{}

// Notify is called when a sink refuses data, or makes it wait; each may be nil.
type Notify struct {
	Refused func(sink int, err error) // the sink will never accept the data: it is lost for that one
	Waiting func(sink int, err error) // it did not accept the data, and gets it again
}

// UntilAccepted gives data to the sinks from the given one on, in order, to each until it
// accepts it. It fails only when ctx ends, with its cause, and then returns the first
// sink that has not got the data, to continue from there.
func UntilAccepted[S any](ctx context.Context, sinks []S, from int, write func(context.Context, S) error, notify Notify) (next int, err error) {
	ctx = context.WithValue(ctx, waitingKey{}, true)
	for i := from; i < len(sinks); i++ {
		retry := backoff.New(shortestWait, longestWait)
		for {
			err := write(ctx, sinks[i])
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return i, context.Cause(ctx)
			}
			if IsPermanent(err) {
				if notify.Refused != nil {
					notify.Refused(i, err)
				}
				break
			}
			if notify.Waiting != nil {
				notify.Waiting(i, err)
			}
			if retry.Wait(ctx) != nil {
				return i, context.Cause(ctx)
			}
		}
	}
	return len(sinks), nil
}

// Each gives data to all sinks at once, and returns the error of each.
func Each[S any](ctx context.Context, sinks []S, write func(context.Context, S) error) []error {
	errs := make([]error, len(sinks))
	if len(sinks) == 1 {
		errs[0] = write(ctx, sinks[0])
		return errs
	}
	var all sync.WaitGroup
	for i, s := range sinks {
		all.Go(func() { errs[i] = write(ctx, s) })
	}
	all.Wait()
	return errs
}
