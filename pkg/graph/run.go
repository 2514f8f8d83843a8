package graph

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"collector/pkg/config"
)

// Pauses between two runs of a component that fails.
const (
	firstPause = time.Second
	lastPause  = time.Minute
)

// settled is how long a component must have run since it failed to count as
// healthy again.
const settled = 10 * time.Second

// runState is the state of a node's run.
type runState struct {
	running bool
	exited  bool
	since   time.Time // when running or exited began
	err     error     // why the last run failed
}

// start runs n until it is stopped. It begins once those that it refers to have begun,
// and once before is closed, if that is not nil: which is when the node that n replaces
// has ended, which may hold the same files.
func (n *node) start(parent context.Context, before <-chan struct{}) {
	ctx, cancel := context.WithCancel(parent)
	n.cancel, n.begun, n.done = cancel, make(chan struct{}), make(chan struct{})
	waitFor := []<-chan struct{}{before}
	for _, dep := range n.deps {
		waitFor = append(waitFor, dep.begun)
	}
	go func() {
		defer close(n.done)
		defer cancel()
		for _, c := range waitFor {
			if c != nil && !wait(ctx, c) {
				n.close()
				return
			}
		}
		close(n.begun)
		followers := n.follow(ctx)
		n.supervise(ctx)
		cancel()
		followers.Wait()
	}()
}

// wait waits for c to be closed. It reports whether ctx has not ended yet.
func wait(ctx context.Context, c <-chan struct{}) bool {
	select {
	case <-c:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// follow keeps the derived sets of n up to date until ctx ends.
func (n *node) follow(ctx context.Context) *sync.WaitGroup {
	var followers sync.WaitGroup
	for _, d := range n.derived {
		followers.Go(func() {
			d.run(ctx, func(waited, took time.Duration, ds config.Diagnostics) {
				n.metrics.waitSeconds.Observe(waited.Seconds())
				n.metrics.evaluated(n.id, took)
				n.reportDerived(took, ds)
				for _, problem := range ds {
					n.logger.Warn("targets cannot be evaluated; keeping the last ones", "position", problem.At.String(), "err", problem.Message)
				}
			})
		})
	}
	return &followers
}

// supervise calls Run, and again after a pause whenever it fails.
func (n *node) supervise(ctx context.Context) {
	pause := firstPause
	for {
		started := time.Now()
		n.setRun(runState{running: true, since: started, err: n.state().err})
		err := n.runOnce(ctx)
		if ctx.Err() != nil || err == nil {
			if err != nil && !errors.Is(err, context.Canceled) {
				n.logger.Warn("component stopped with an error", "err", err)
			}
			n.setRun(runState{exited: true, since: time.Now()})
			return
		}
		n.setRun(runState{since: time.Now(), err: err})
		if time.Since(started) > lastPause {
			pause = firstPause
		}
		n.logFailure(err, pause)
		if !n.rest(ctx, pause) {
			n.setRun(runState{exited: true, since: time.Now()})
			return
		}
		pause = min(2*pause, lastPause)
	}
}

func (n *node) logFailure(err error, pause time.Duration) {
	var p *panicError
	if errors.As(err, &p) {
		n.logger.Error("component panicked; restarting it", "panic", p.value, "stack", string(p.stack), "after", pause)
		return
	}
	n.logger.Error("component failed; restarting it", "err", err, "after", pause)
}

// rest waits for pause, give or take a fifth, and then until what the component
// listens on can be taken again. It reports whether there is a next run.
func (n *node) rest(ctx context.Context, pause time.Duration) bool {
	for {
		timer := time.NewTimer(time.Duration(float64(pause) * (0.8 + 0.4*rand.Float64())))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
		err := n.bind()
		if err == nil {
			return true
		}
		n.setRun(runState{since: time.Now(), err: err})
		pause = min(2*pause, lastPause)
		n.logFailure(err, pause)
	}
}

func (n *node) runOnce(ctx context.Context) error {
	return guard(func() error { return n.component.Run(ctx) })
}

func (n *node) bind() error {
	b, ok := n.component.(binder)
	if !ok {
		return nil
	}
	return guard(b.Bind)
}

// close gives back what bind took when there will be no run.
func (n *node) close() {
	if c, ok := n.component.(closer); ok {
		guard(func() error { c.Close(); return nil })
	}
}

func (n *node) setRun(s runState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.run = s
}

func (n *node) state() runState {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.run
}

// stopAll ends the runs of nodes, those first to which nobody else of them refers. It
// returns when all have ended, timeout is over or ctx has ended, and returns those that
// have not ended then. A slow node takes at most half of timeout from those that it sends
// to.
func stopAll(ctx context.Context, nodes []*node, timeout time.Duration) (hung []*node) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	hurry, cancelHurry := context.WithTimeout(ctx, timeout/2)
	defer cancelHurry()
	nodes = slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return n.done == nil }) // never started
	dependents := map[*node][]*node{}
	for _, n := range nodes {
		for _, dep := range n.deps {
			dependents[dep] = append(dependents[dep], n)
		}
	}
	for _, n := range nodes {
		go n.stopAfter(hurry, dependents[n])
	}
	for _, n := range nodes {
		if wait(ctx, n.done) || n.ended() {
			continue
		}
		hung = append(hung, n)
	}
	return hung
}

// stopAfter ends the run of n once those who send to it have ended, or hurry
// is over.
func (n *node) stopAfter(hurry context.Context, dependents []*node) {
	for _, d := range dependents {
		select {
		case <-d.done:
		case <-hurry.Done():
		}
	}
	n.cancel()
}
