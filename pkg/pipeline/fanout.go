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

// WriteAll calls write for every sink, for a source that is a client and sends
// again what fails. It fails only when no sink has accepted the data, and then with
// a permanent error only when all errors are. Once one has taken it, an error
// would make that one store it twice; so what another does not take then is lost
// for that one alone, and lost is told of it: no destination delays another. Behind a
// source that waits, which ctx says, it is Pass.
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

// Pass calls write for every sink, for a component that is between its source
// and the sinks and does not know which kind the source is. All sinks have the
// same time, as with Each; who has not taken the data in the end is dealt with as
// WriteAll does. If the source itself writes until its data is taken, which ctx
// says, each sink is given it until it takes it, and lost hears only of what is
// permanent. An error of the only sink comes back as it is.
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

// settle ends a write to all sinks of which errs came: with an error if no sink
// has taken the data; otherwise those that have not are offered it again.
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

// allRefused joins the errors of all sinks, without the permanent ones if there
// are others: a sink may take the data when it is given again.
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

// Offer gives data to a sink, and again for as long as patience while waiting may
// help, as it does when the sink is just being started or replaced.
func Offer[S any](ctx context.Context, s S, write func(context.Context, S) error) error {
	return offer(ctx, s, write, write(ctx, s))
}

// offer gives data again to a sink that refused it with err, as long as waiting
// may help: a queue that is full stays so for as long as its destination is
// down.
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
