package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	otelcomponent "go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"

	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

// stopGrace is how long requests in progress, and then the own end of what runs, may
// take when the component stops.
const stopGrace = 5 * time.Second

// life is how a component that runs the Collector's code starts, receives requests, and
// stops.
type life struct {
	make   func() (*instance, error)
	logger *slog.Logger
	panics throttle.Log

	begun chan struct{} // closed when the component runs for the first time
	begin sync.Once

	mu       sync.RWMutex
	running  *instance // takes requests; nil: the component does not run; guarded by mu
	prepared *instance // for the next run; guarded by mu
}

// instance is what does the work for each signal that is received and has an output. It
// can only be started once.
type instance struct {
	signals  map[pipeline.Signal]signal
	under    sync.WaitGroup // requests that it has been given; added to under life.mu
	broken   chan struct{}  // closed when it has panicked
	breaks   sync.Once      // closes broken
	replaced chan struct{}  // closed when it no longer is what runs
}

func newInstance() *instance {
	return &instance{signals: map[pipeline.Signal]signal{}, broken: make(chan struct{}), replaced: make(chan struct{})}
}

// signal does the work for one signal.
type signal struct {
	otelcomponent.Component
	changes bool // what it is given
	consume func(context.Context, pipeline.Decoded) error
}

// prepare makes the first instance, which shows whether that is possible.
func (l *life) prepare(logger *slog.Logger, create func() (*instance, error)) (err error) {
	l.logger, l.make, l.begun = logger, create, make(chan struct{})
	l.prepared, err = l.make()
	return err
}

// run runs an instance until ctx ends. After a panic it runs another one: the library
// may never release the locks that it held, and what it has in memory may be wrong.
func (l *life) run(ctx context.Context) error {
	background := context.WithoutCancel(ctx) // what it forwards at its end is delivered, too
	in, err := l.start(background)
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			l.setRunning(nil)
			return in.end(background)
		case <-in.broken:
		}
		next, err := l.start(background)
		if err != nil {
			l.setRunning(nil)
			return errors.Join(err, in.end(background))
		}
		if err := in.end(background); err != nil {
			l.logger.Error("after a panic, what the component had gathered may be lost", "err", err)
		}
		in = next
	}
}

// start starts an instance, which takes requests from then on.
func (l *life) start(ctx context.Context) (*instance, error) {
	in, err := l.take()
	if err != nil {
		return nil, err
	}
	for s, part := range in.signals {
		if err := part.Start(ctx, host{}); err != nil {
			return nil, errors.Join(fmt.Errorf("start processing of %s: %w", s, err), in.shutdown(ctx))
		}
	}
	l.setRunning(in)
	l.begin.Do(func() { close(l.begun) })
	return in, nil
}

// close stops what has been prepared and never run.
func (l *life) close() {
	l.mu.Lock()
	in := l.prepared
	l.prepared = nil
	l.mu.Unlock()
	if in != nil {
		_ = in.shutdown(context.Background()) // it has not been started
	}
}

// take returns an instance that has not been started.
func (l *life) take() (*instance, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in := l.prepared
	l.prepared = nil
	if in != nil {
		return in, nil
	}
	return l.make()
}

func (l *life) setRunning(in *instance) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running != nil {
		close(l.running.replaced)
	}
	l.running = in
}

// enter returns the running instance, for a call that ends by under.Done. It waits
// for the first run, and for the next instance after a panic.
func (l *life) enter(ctx context.Context) (*instance, error) {
	select {
	case <-l.begun:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	for {
		in, broken := l.current()
		switch {
		case in == nil:
			return nil, pipeline.ErrClosed
		case !broken:
			return in, nil
		}
		select {
		case <-in.replaced:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// current returns the running instance, with a request added to under unless it is
// broken.
func (l *life) current() (in *instance, broken bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.running == nil {
		return nil, false
	}
	select {
	case <-l.running.broken:
		return l.running, true
	default:
		l.running.under.Add(1)
		return l.running, false
	}
}

// hurried is a part that has to know, before its Shutdown, that requests that it was
// given are still in progress.
type hurried interface{ hurry() }

// hurry notifies the parts that requests are still in progress.
func (in *instance) hurry() {
	for _, part := range in.signals {
		if h, ok := part.Component.(hurried); ok {
			h.hurry()
		}
	}
}

// wait waits for the requests in progress. It reports whether all have ended.
func (in *instance) wait() bool {
	ended := make(chan struct{})
	go func() {
		in.under.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return true
	case <-time.After(stopGrace):
		return false
	}
}

// end ends an instance that is given nothing more. After a panic a part may wait for
// itself forever, and is left alone.
func (in *instance) end(ctx context.Context) error {
	if !in.wait() {
		in.hurry()
	}
	ended := make(chan error, 1)
	go func() { ended <- in.shutdown(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-time.After(2 * stopGrace):
		return errors.New("it does not stop")
	}
}

// shutdown ends all parts, also those that have not been started.
func (in *instance) shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	var errs []error
	for s, part := range in.signals {
		if err := part.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop processing of %s: %w", s, err))
		}
	}
	return errors.Join(errs...)
}

// consume calls what does the work. A panic is an error about the data: it costs what
// was given alone.
func (l *life) consume(ctx context.Context, in *instance, to signal, given pipeline.Decoded) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			in.breaks.Do(func() { close(in.broken) })
			l.panics.Log(l.logger, slog.LevelError, "", "the processor panicked; the request is rejected", "err", cause, "stack", string(debug.Stack()))
			err = pipeline.Permanent(fmt.Errorf("process the request: the processor panicked: %v", cause))
		}
	}()
	err = to.consume(ctx, given)
	if consumererror.IsPermanent(err) && !pipeline.IsPermanent(err) {
		return pipeline.Permanent(err)
	}
	return err
}
