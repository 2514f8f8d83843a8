package graph

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/inspect"
)

// unhealthy gives the ids of the components that are unhealthy.
func (b bench) unhealthy() (ids []string) {
	for _, n := range b.nodes() {
		if n.health().State == Unhealthy {
			ids = append(ids, n.id)
		}
	}
	slices.Sort(ids)
	return ids
}

// toyParts is a component with destinations, targets and a connection to Docker.
type toyParts struct {
	mu           sync.Mutex
	destinations []deliver.Status
	targets      []inspect.ScrapeTarget
	engine       inspect.Engine
	problem      error
	fail         chan error
}

func (t *toyParts) set(change func(*toyParts)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(t)
}

func (t *toyParts) Run(ctx context.Context) error {
	select {
	case err := <-t.fail:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (t *toyParts) Destinations() []deliver.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.destinations)
}

func (t *toyParts) ScrapeTargets() []inspect.ScrapeTarget {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.targets)
}

func (t *toyParts) Fetch(context.Context, string) (inspect.Response, error) {
	return inspect.Response{}, inspect.ErrNoTarget
}

func (t *toyParts) Engine() inspect.Engine {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.engine
}

func (t *toyParts) Health() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.problem
}

// withParts runs test with a controller of one component, toy.parts.p.
func withParts(t *testing.T, test func(b bench, p *toyParts)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &toyParts{fail: make(chan error)}
		define := component.Define("toy.parts", func(struct{}, component.Options) (*toyParts, error) { return p, nil }, component.Doc{})
		b := bench{t, nil, New(Options{Definitions: []component.Definition{define}})}
		if err := b.Load(t.Context(), source(`toy.parts "p" { }`)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		test(b, p)
		b.Stop(time.Hour)
		synctest.Wait()
	})
}

// counted is the only health_type of toy.parts.p.
func (b bench) counted() (values string) {
	for line := range strings.SplitSeq(page(b.t, b.Controller), "\n") {
		if _, rest, ok := strings.Cut(line, `health_type="`); ok && strings.HasSuffix(rest, " 1") {
			values += strings.TrimSuffix(rest, `"} 1`)
		}
		if strings.Contains(line, "degraded") {
			b.t.Errorf("Alloy has no such health_type: %s", line)
		}
	}
	return values
}

func TestHealthFollowsFromTheParts(t *testing.T) {
	withParts(t, func(b bench, p *toyParts) {
		bad := func() deliver.Status { return deliver.Status{URL: "http://a/", DownSince: time.Now(), Queued: 540} }
		good := deliver.Status{URL: "http://b/", Healthy: true}
		for _, c := range []struct {
			name    string
			change  func(*toyParts)
			state   HealthState
			message string
			counted string
		}{
			{"all is well", func(p *toyParts) { p.destinations = []deliver.Status{good} }, Healthy, "running", "healthy"},
			{"one of two destinations", func(p *toyParts) { p.destinations = []deliver.Status{bad(), good} }, Degraded, "a: down 24 s, 540 waiting (1 of 2 destinations)", "healthy"},
			{"the only destination", func(p *toyParts) { p.destinations = []deliver.Status{bad()} }, Unhealthy, "down 24 s, 540 waiting", "unhealthy"},
			{"one of two targets", func(p *toyParts) { p.targets = []inspect.ScrapeTarget{{State: "down"}, {State: "up"}} }, Degraded, "1 of 2 targets down", "healthy"},
			{"all targets", func(p *toyParts) { p.targets = []inspect.ScrapeTarget{{State: "down"}, {State: "down"}} }, Unhealthy, "all 2 targets down", "healthy"},
			{"Docker", func(p *toyParts) { p.engine = inspect.Engine{Error: "no socket", Since: time.Now()} }, Unhealthy, "Docker unreachable for 24 s: no socket", "healthy"},
			{"a part of what it reads", func(p *toyParts) { p.problem = inspect.Partial{Err: context.Canceled} }, Degraded, "context canceled", "healthy"},
			{"what it reads", func(p *toyParts) { p.problem = context.Canceled }, Unhealthy, "context canceled", "healthy"},
			{"what it reads, and the only destination", func(p *toyParts) { p.problem, p.destinations = context.Canceled, []deliver.Status{bad()} }, Unhealthy, "down 24 s, 540 waiting; context canceled", "unhealthy"},
		} {
			p.set(func(p *toyParts) {
				p.destinations, p.targets, p.engine, p.problem = nil, nil, inspect.Engine{}, nil
				c.change(p)
			})
			time.Sleep(24 * time.Second)
			if h := b.health("toy.parts.p"); h.State != c.state || h.Message != c.message {
				t.Errorf("%s: %s, %q", c.name, h.State, h.Message)
			}
			if got := b.counted(); got != c.counted {
				t.Errorf("%s: counted as %q", c.name, got)
			}
			if ids := b.NotRunning(); ids != nil {
				t.Errorf("%s: %q do not run", c.name, ids)
			}
		}
	})
}

// What changes within an outage is its text: since when it lasts, and the one entry
// in the history, stay.
func TestTheHistoryKeepsAnOutageAsOne(t *testing.T) {
	withParts(t, func(b bench, p *toyParts) {
		began := b.health("toy.parts.p").UpdatedTime
		time.Sleep(time.Minute)
		p.set(func(p *toyParts) { p.destinations = []deliver.Status{{DownSince: time.Now(), Queued: 1}} })
		down := time.Now()
		for range 5 {
			b.Observe()
			time.Sleep(10 * time.Second)
			p.set(func(p *toyParts) { p.destinations[0].Queued += 1000 })
		}
		if h := b.health("toy.parts.p"); h.UpdatedTime != down || h.Message != "down 50 s, 5,001 waiting" {
			t.Errorf("%+v", h)
		}
		p.set(func(p *toyParts) { p.destinations[0].Healthy = true })
		well := time.Now()
		b.Observe()
		time.Sleep(time.Minute)
		info, _ := b.Component("toy.parts.p")
		type entry struct {
			state   HealthState
			message string
			at      time.Time
		}
		var got []entry
		for _, h := range info.History {
			got = append(got, entry{h.State, h.Message, h.UpdatedTime})
		}
		want := []entry{{Healthy, "running", began}, {Unhealthy, "down 50 s, 5,001 waiting", down}, {Healthy, "running", well}}
		if !slices.Equal(got, want) {
			t.Errorf("%v, not %v", got, want)
		}
	})
}

func TestWhatDoesNotRunIsNamed(t *testing.T) {
	withParts(t, func(b bench, p *toyParts) {
		p.fail <- context.DeadlineExceeded
		synctest.Wait()
		for at, want := range []bool{true, false} {
			if got := b.NotRunning(); slices.Contains(got, "toy.parts.p") != want {
				t.Errorf("%d: %q", at, got)
			}
			time.Sleep(2*firstPause + settled)
		}
	})
}

func TestAPartThatPanicsIsAProblem(t *testing.T) {
	n := &node{component: panickingParts{}, run: runState{running: true, since: time.Now()}}
	if h := n.health(); h.State != Unhealthy || h.Alloy != Unhealthy || !strings.Contains(h.Message, "oops") {
		t.Errorf("%+v", h)
	}
}

type panickingParts struct{ *panicking }

func (panickingParts) Destinations() []deliver.Status { panic("oops") }
