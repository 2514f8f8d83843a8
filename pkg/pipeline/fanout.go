package pipeline

import (
	"context"
	"errors"
	"time"
)

// What one sink has taken is offered again to another that is being replaced,
// for as long as patience.
const (
	patience      = 5 * time.Second
	offerInterval = 50 * time.Millisecond
)

// WriteAll calls write for every sink, for a source that is a client and sends
// again what fails. It fails only when no sink has taken the data, and then with
// a permanent error only when all errors are. Once one has taken it, an error
// would make that one store it twice; so what another does not take then is lost
// for that one alone, and lost is told of it: no destination delays another.
func WriteAll[S any](ctx context.Context, sinks []S, write func(context.Context, S) error, lost func(error)) error {
	var errs []error
	var refusing []S
	for _, s := range sinks {
		if err := write(ctx, s); err != nil {
			errs = append(errs, err)
			refusing = append(refusing, s)
		}
	}
	if len(refusing) == len(sinks) {
		return allRefused(errs)
	}
	for i, s := range refusing {
		if err := offer(ctx, s, write, errs[i]); err != nil {
			lost(err)
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
