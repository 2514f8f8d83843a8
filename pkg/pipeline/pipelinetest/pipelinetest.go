// Package pipelinetest has the tests that every sink passes: the contract of package
// pipeline.
package pipelinetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"collector/pkg/pipeline"
)

// Runner is a component that has a sink.
type Runner interface {
	Run(ctx context.Context) error
}

// Sink is a kind of sink with its destination.
type Sink struct {
	// New makes the component, whose own files are in dir, and starts nothing.
	New func(t *testing.T, dir string) Runner
	// Write gives the component one item that can be recognized by its number. It
	// overwrites whatever slices it has given once the call has returned.
	Write func(ctx context.Context, r Runner, number int) error
	// Serve lets the destination accept data, or refuse it for now.
	Serve func(up bool)
	// Arrived is how often each item has arrived intact. An item that was changed
	// is no item.
	Arrived func() map[int]int
	// Bad gives the component what no destination can ever accept; nil: the sink itself
	// can't detect that.
	Bad func(ctx context.Context, r Runner) error
}

// Test runs all tests of a sink that has a queue of its own.
func (s Sink) Test(t *testing.T) {
	t.Run("nil means durable", s.testDurable)
	t.Run("it ends and can be run again", s.testRunAgain)
	t.Run("a write waits for Run, and no longer than its context", s.testWait)
	if s.Bad != nil {
		t.Run("what nobody can take is a permanent error", s.testBad)
	}
}

// TestPassing runs the tests of a sink that has no queue of its own, so that nil means
// that the next component has accepted the data.
func (s Sink) TestPassing(t *testing.T) {
	t.Run("all that is given at once arrives", s.testPassing)
	t.Run("what is not taken is the caller's", s.testRefused)
	if s.Bad != nil {
		t.Run("what nobody can take is a permanent error", s.testBad)
	}
}

const (
	items = 20
	// patience is how long a test waits for what has to come. It is generous, as machines
	// are busy.
	patience = 2 * time.Minute
)

// start runs r. stop ends it and checks that it ends well.
func start(t *testing.T, r Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// writeAll gives r the items from the given number on, all at once.
func (s Sink) writeAll(t *testing.T, r Runner, from int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all sync.WaitGroup
	for i := range items {
		all.Go(func() {
			if err := s.Write(ctx, r, from+i); err != nil {
				t.Errorf("item %d: %v", from+i, err)
			}
		})
	}
	all.Wait()
}

// expect waits until n items have arrived, and checks that each has once.
func (s Sink) expect(t *testing.T, n int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for len(s.Arrived()) < n {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("arrived: %v, want %d items", s.Arrived(), n)
		}
	}
	for number, times := range s.Arrived() {
		if number < 0 || number >= n || times != 1 {
			t.Errorf("item %d has arrived %d times", number, times)
		}
	}
}

func (s Sink) testDurable(t *testing.T) {
	dir := t.TempDir()
	s.Serve(false)
	r := s.New(t, dir)
	stop := start(t, r)
	s.writeAll(t, r, 0)
	if n := len(s.Arrived()); n > 0 {
		t.Fatalf("%d items have arrived at a destination that is down", n)
	}
	stop()
	s.Serve(true)
	start(t, s.New(t, dir))
	s.expect(t, items)
}

func (s Sink) testRunAgain(t *testing.T) {
	before := len(s.Arrived())
	s.Serve(true)
	r := s.New(t, t.TempDir())
	stop := start(t, r)
	s.writeAll(t, r, before)
	s.expect(t, before+items)
	stop()
	if err := s.Write(t.Context(), r, -1); !errors.Is(err, pipeline.ErrClosed) || pipeline.IsPermanent(err) {
		t.Errorf("a write after the end: %v, want ErrClosed", err)
	}
	start(t, r)
	// Until Run has started, the sink may still say that it is closed.
	err := pipeline.Offer(t.Context(), s, func(ctx context.Context, s Sink) error { return s.Write(ctx, r, before+items) })
	if err != nil {
		t.Fatal(err)
	}
	s.expect(t, before+items+1)
}

func (s Sink) testWait(t *testing.T) {
	before := len(s.Arrived())
	s.Serve(true)
	r := s.New(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Write(ctx, r, -1); err == nil || pipeline.IsPermanent(err) {
		t.Errorf("a write whose context has ended, before Run: %v", err)
	}
	written := make(chan error, 1)
	go func() { written <- s.Write(t.Context(), r, before) }()
	start(t, r)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	s.expect(t, before+1)
}

func (s Sink) testBad(t *testing.T) {
	r := s.New(t, t.TempDir())
	start(t, r)
	if err := s.Bad(t.Context(), r); !pipeline.IsPermanent(err) {
		t.Errorf("got %v, want a permanent error", err)
	}
}

func (s Sink) testPassing(t *testing.T) {
	s.Serve(true)
	r := s.New(t, t.TempDir())
	start(t, r)
	s.writeAll(t, r, 0)
	s.expect(t, items)
}

func (s Sink) testRefused(t *testing.T) {
	before := len(s.Arrived())
	s.Serve(false)
	r := s.New(t, t.TempDir())
	start(t, r)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Write(ctx, r, before); err == nil || pipeline.IsPermanent(err) {
		t.Fatalf("a destination that refuses for now: %v, want an error that is not permanent", err)
	}
	s.Serve(true)
	if err := s.Write(t.Context(), r, before); err != nil {
		t.Fatal(err)
	}
	s.expect(t, before+1)
}
