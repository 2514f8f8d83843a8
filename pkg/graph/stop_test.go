package graph

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"collector/pkg/component"
)

type slowConfig struct{}

// newSlow is the constructor of a component that asks a server which does not answer.
func newSlow(_ slowConfig, o component.Options) (*panicking, error) {
	<-o.Context.Done()
	return &panicking{}, o.Context.Err()
}

// loadSlow begins a load of a component that is not made before ctx, or all, ends.
func (b bench) loadSlow(ctx context.Context) <-chan error {
	b.options.Definitions = append(b.options.Definitions, component.Define("toy.slow", newSlow, component.Doc{}))
	loaded := make(chan error, 1)
	go func() { loaded <- b.Load(ctx, source(`toy.slow "s" { }`)) }()
	synctest.Wait()
	return loaded
}

func TestAStopEndsALoadThatWaits(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(pipeline1)
		loaded := b.loadSlow(context.Background())
		b.want(b.Stop(0))
		if err := <-loaded; !errors.Is(err, context.Canceled) {
			t.Errorf("the load returned %v", err)
		}
	})
}

func TestALoadThatWaitsEndsWithItsContext(t *testing.T) {
	inBubble(t, func(b bench) {
		ctx, cancel := context.WithCancel(context.Background())
		loaded := b.loadSlow(ctx)
		cancel()
		if err := <-loaded; !errors.Is(err, context.Canceled) {
			t.Errorf("the load returned %v", err)
		}
	})
}
