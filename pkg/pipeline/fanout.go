package pipeline

import (
	"context"
	"errors"
	"slices"
	"time"
)

// What one sink has accepted is offered again to another that is being replaced,
// for as long as patience.
const (
	patience      = 5 * time.Second
	offerInterval = 50 * time.Millisecond
)

// WriteAll calls write for every sink, for a source that is a client and retries what
// fails. It fails only if no sink has accepted the data, with a permanent error only if
// all errors are permanent. Once one sink has accepted it, an error would make that one
// store it twice; so data that another sink does not accept is lost for that sink alone,
// and lost is called for it: no destination delays another. After a source that waits,
// according to ctx, it is Pass.
func WriteAll[S any](ctx context.Context, sinks []S, write func(context.Context, S) error, lost func(error)) error {
	told := func(_ int, err error) { lost(err) }
	if len(sinks) > 1 && ctx.Value(waitingKey{}) != nil {
		return passUntilAccepted(ctx, sinks, write, told)
	}
	errs := make([]error, len(sinks))
	for i, s := range sinks {
		errs[i] = write(ctx, s)
	}
	return settle(ctx, sinks, errs, write, told)
}

// Pass calls write for every sink, for a component that is between its source and the
// sinks and does not know which kind the source is. All sinks have the same time, as with
// Each; a sink that has not accepted the data in the end is handled as in WriteAll. If
// the source itself writes until its data is accepted, according to ctx, each sink gets
// it until it accepts it, and lost is called only for permanent errors. An error of the
// only sink comes back as it is.
func Pass[S any](ctx context.Context, sinks []S, write func(context.Context, S) error, lost func(sink int, err error)) error {
	if len(sinks) == 1 {
		return write(ctx, sinks[0])
	}
	if ctx.Value(waitingKey{}) != nil {
		return passUntilAccepted(ctx, sinks, write, lost)
	}
	return settle(ctx, sinks, Each(ctx, sinks, write), write, lost)
}

// passUntilAccepted is Pass for a source that waits. It fails when ctx ends, with its
// cause, and when all sinks reject the data permanently.
func passUntilAccepted[S any](ctx context.Context, sinks []S, write func(context.Context, S) error, lost func(sink int, err error)) error {
	errs := Each(ctx, sinks, func(ctx context.Context, s S) (refused error) {
		notify := Notify{Refused: func(_ int, err error) { refused = err }}
		if _, err := UntilAccepted(ctx, []S{s}, 0, write, notify); err != nil {
			return err
		}
		return refused
	})
	for _, err := range errs {
		if err != nil && !IsPermanent(err) {
			return context.Cause(ctx)
		}
	}
	return settle(ctx, sinks, errs, write, lost)
}

// settle ends a write to all sinks, which returned errs: with an error if no sink has
// accepted the data; otherwise it is offered again to those that have not.
func settle[S any](ctx context.Context, sinks []S, errs []error, write func(context.Context, S) error, lost func(sink int, err error)) error {
	if !slices.Contains(errs, nil) {
		return allRefused(errs)
	}
	for i, err := range errs {
		if err == nil {
			continue
		}
		if err := offer(ctx, sinks[i], write, err); err != nil {
			lost(i, err)
		}
	}
	return nil
}

// allRefused joins the errors of all sinks, without the permanent ones if there are
// others: a sink may accept the data when it is offered again.
func allRefused(errs []error) error {
	var passing []error
	for _, err := range errs {
		if !IsPermanent(err) {
			passing = append(passing, err)
		}
	}
	if len(passing) > 0 {
		return errors.Join(passing...)
	}
	return errors.Join(errs...)
}

// Offer gives data to a sink, and retries for as long as patience while waiting may help,
// as it does when the sink is just being started or replaced.
func Offer[S any](ctx context.Context, s S, write func(context.Context, S) error) error {
	return offer(ctx, s, write, write(ctx, s))
}

// offer retries a sink that refused data with err, as long as waiting may help: a queue
// that is full stays so for as long as its destination is down.
func offer[S any](ctx context.Context, s S, write func(context.Context, S) error, err error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(offerInterval)
	defer tick.Stop()
	for err != nil && !IsPermanent(err) && !errors.Is(err, ErrFull) {
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
			err = write(ctx, s)
		}
	}
	return err
}
