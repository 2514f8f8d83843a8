package graph

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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

// barrier detects when a load has passed every point at which Stop ends it.
type barrier struct{ passed chan struct{} }

func (g *barrier) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (g *barrier) Bind() error                   { close(g.passed); return nil }

// The race detector sees a load that starts a goroutine while Stop waits for all.
func TestAStopWaitsForTheGoroutinesOfALoadUnderWay(t *testing.T) {
	type config struct{}
	for range 500 {
		g := &barrier{make(chan struct{})}
		c := New(Options{Definitions: []component.Definition{
			component.Define("toy.barrier", func(config, component.Options) (*barrier, error) { return g, nil }, component.Doc{}),
		}})
		var both sync.WaitGroup
		both.Go(func() { c.Load(context.Background(), source(`toy.barrier "g" { }`)) })
		both.Go(func() { <-g.passed; c.Stop(time.Hour) })
		both.Wait()
	}
}
