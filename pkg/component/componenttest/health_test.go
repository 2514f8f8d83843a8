package componenttest

import (
	"context"
	"slices"
	"testing"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/discovery"
	"collector/pkg/docker"
	"collector/pkg/health"
	"collector/pkg/inspect"
	"collector/pkg/listen"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

type running struct{}

func (running) Run(context.Context) error { return nil }

// Components that hold something, and don't show it.
type (
	delivers struct {
		running
		_ map[string]*struct{ writer *deliver.Writer }
	}
	queues struct {
		running
		_ *queue.Queue
	}
	connects struct {
		running
		engine interface {
			Snapshot() (docker.Snapshot, <-chan struct{})
		}
	}
	scrapes  struct{ running }
	forwards struct {
		running
		_    component.Options
		next []pipeline.LogsSink
	}
)

func (d *delivers) WriteLogs(context.Context, pipeline.Logs) error { return nil }

// shows is a component that shows what it holds.
type shows struct{ delivers }

func (shows) Destinations() []deliver.Status { return nil }

type tails struct{ running }

func (tails) LogTails() []inspect.LogTail { return nil }

type listens struct{ running }

func (listens) Bind() error { return nil }

type receives struct{ listens }

func (receives) Receiving() listen.Received { return listen.Received{} }

func TestWhatListensShowsWhatComes(t *testing.T) {
	for _, c := range []struct {
		made any
		want bool
	}{{&listens{}, true}, {&receives{}, false}, {&struct {
		listens
		tails
	}{}, false}, {&scrapes{}, false}} {
		if got := unseen(c.made); got != c.want {
			t.Errorf("%T: %t", c.made, got)
		}
	}
}

type withTargets struct {
	Targets *discovery.Set `alloy:"targets,attr"`
}

func define[C any, T component.Component](made T, exports ...component.Export) (any, component.Definition) {
	return made, component.Define("toy", func(C, component.Options) (T, error) { return made, nil }, component.Doc{Exports: exports})
}

func TestWhatAComponentHoldsIsFound(t *testing.T) {
	targets := component.Export{Name: "targets", Type: "list(map(string))"}
	type test struct {
		name string
		made any
		d    component.Definition
		want []string
	}
	of := func(name string, want ...string) func(made any, d component.Definition) test {
		return func(made any, d component.Definition) test { return test{name, made, d, want} }
	}
	for _, c := range []test{
		of("a writer that is not made yet", health.Destinations, health.Queue)(define[struct{}](&delivers{})),
		of("a queue", health.Queue)(define[struct{}](&queues{})),
		of("an Engine", health.Engine)(define[struct{}](&connects{engine: &docker.Engine{}})),
		of("targets", health.Targets)(define[withTargets](&scrapes{})),
		of("targets that are tailed")(define[withTargets](&tails{})),
		of("targets that are forwarded")(define[withTargets](&scrapes{}, targets)),
		of("what is the next component's")(define[struct{}](&forwards{next: []pipeline.LogsSink{&delivers{}}})),
	} {
		got := partsOf(c.made, c.d)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
		for _, part := range got {
			if slices.Contains(health.Parts(c.made), part) {
				t.Errorf("%s: it shows %s", c.name, part)
			}
		}
	}
	if made := (&shows{}); !slices.Contains(health.Parts(made), health.Destinations) {
		t.Error("what shows its destinations has no health from them")
	}
}
