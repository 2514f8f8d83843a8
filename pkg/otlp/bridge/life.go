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

// life is how a component that the Collector's code does the work of starts, is given
// requests, and stops.
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
// can be started once.
type instance struct {
	signals map[pipeline.Signal]signal
	under   sync.WaitGroup // requests that it has been given; added to under life.mu
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

// run runs an instance until ctx ends.
func (l *life) run(ctx context.Context) error {
	in, err := l.take()
	if err != nil {
		return err
	}
	// What it forwards at its end is delivered, too.
	background := context.WithoutCancel(ctx)
	for s, part := range in.signals {
		if err := part.Start(background, host{}); err != nil {
			return errors.Join(fmt.Errorf("start processing of %s: %w", s, err), in.shutdown(background))
		}
	}
	l.setRunning(in)
	l.begin.Do(func() { close(l.begun) })
	<-ctx.Done()
	l.setRunning(nil)
	if !in.wait() {
		in.hurry()
	}
	return in.shutdown(background)
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
	l.running = in
}

// enter returns the running instance, for a call that ends by under.Done. It waits
// for the first run.
func (l *life) enter(ctx context.Context) (*instance, error) {
	select {
	case <-l.begun:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.running == nil {
		return nil, pipeline.ErrClosed
	}
	l.running.under.Add(1)
	return l.running, nil
}

// hurried is a part that has to know, before its Shutdown, that requests that it was
// given are still in progress.
type hurried interface{ hurry() }

// hurry tells the parts that requests are still in progress.
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
func (l *life) consume(ctx context.Context, to signal, given pipeline.Decoded) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
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
