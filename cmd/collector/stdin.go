package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/inspect"
	"collector/pkg/logs/source/stdin"
)

// stdinOf is standard input when replacing Promtail: when all of it has been delivered,
// the program ends. A nil one is not read.
type stdinOf struct {
	input *stdin.Input
	ended chan error // receives the reason why no more is read
}

func newStdinOf(in io.Reader) *stdinOf {
	s := &stdinOf{ended: make(chan error, 1)}
	s.input = stdin.NewInput(in, func(err error) { s.ended <- err })
	return s
}

func (s *stdinOf) definitions() []component.Definition {
	if s == nil {
		return nil
	}
	return []component.Definition{stdin.Definition(s.input)}
}

// heldFor is how long lines that stages hold are waited for at the end; what never
// expires, such as half a line, is released when the program stops.
const heldFor = 15 * time.Second

// delivered is closed when all that was read has been delivered.
func (s *stdinOf) delivered(ctx context.Context, p *program) <-chan struct{} {
	if s == nil {
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case err := <-s.ended:
			if err != nil {
				p.logger.Error("cannot read standard input any further", "err", err)
			}
		case <-ctx.Done():
			return
		}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for begin := time.Now(); p.waiting() > 0 || p.held() > 0 && time.Since(begin) < heldFor; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return done
}

// undelivered reports what would be lost if the program ended now.
func (s *stdinOf) undelivered(p *program) error {
	if s == nil {
		return nil
	}
	if n := p.waiting(); n > 0 {
		return fmt.Errorf("%d entries of standard input have not been delivered", n)
	}
	return nil
}

// waiting is how many items wait for a destination.
func (p *program) waiting() (n uint64) {
	p.view.deliveries(func(_ string, s deliver.Status, _ bool) { n += s.Queued })
	return n
}

// held is how many lines stages hold back.
func (p *program) held() (n int) {
	p.graph.Components(func(_ string, c any) {
		if c, ok := c.(inspect.Holder); ok {
			n += c.HeldLines()
		}
	})
	return n
}
