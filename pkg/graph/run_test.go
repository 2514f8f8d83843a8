package graph

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFailedComponentRunsAgainAfterAPause(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(pipeline1)
		s := b.toys.get("toy.source.s").(*toySource)
		start := time.Now()
		var pauses []time.Duration
		for range 8 {
			failed := time.Now()
			s.fail <- errors.New("it broke")
			synctest.Wait()
			if h := b.health("toy.source.s"); h.State != Unhealthy || h.Message != "failed: it broke" {
				t.Fatalf("health = %v", h)
			}
			b.want(b.unhealthy(), "toy.source.s")
			b.toys.take()
			for b.toys.runs("toy.source.s") == 0 {
				time.Sleep(10 * time.Millisecond)
				synctest.Wait()
			}
			pauses = append(pauses, time.Since(failed))
		}
		for i, p := range pauses {
			want := min(time.Second<<i, time.Minute)
			if p < want*8/10 || p > want*12/10+20*time.Millisecond {
				t.Errorf("pause %d is %s, want about %s", i, p, want)
			}
		}
		if h := b.health("toy.source.s"); h.State != Unhealthy || !strings.Contains(h.Message, "it broke") {
			t.Errorf("just after its start, health = %v", h)
		}
		time.Sleep(settled)
		if h := b.health("toy.source.s"); h.State != Healthy {
			t.Errorf("after %s, health = %v", time.Since(start), h)
		}
		if got := b.toys.get("toy.source.s"); got != s {
			t.Error("the component was made again")
		}
	})
}

// runs counts the runs that began since take was called.
func (t *toys) runs(id string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, event := range t.log {
		if event == "run "+id {
			n++
		}
	}
	return n
}

func (c *Controller) health(id string) Health { return c.graph().byID[id].health() }

func TestListenersAreTakenAgainBeforeAnotherRun(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(pipeline1)
		b.toys.get("toy.source.s").(*toySource).fail <- errors.New("it broke")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		b.want(b.toys.take(), "end toy.source.s", "bind toy.source.s", "run toy.source.s")
	})
}

func TestPanicIsAFailure(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(`toy.fragile "f" { }`)
		n := b.graph().byID["toy.fragile.f"]
		n.component.(*toyFragile).fail <- nil // Run has returned nil
		synctest.Wait()
		if h := n.health(); h.State != Exited {
			t.Errorf("health after the end = %v", h)
		}
		if err := guard(func() error { panic("oops") }); err == nil || !strings.Contains(err.Error(), "oops") {
			t.Errorf("guard returned %v", err)
		}
		p := &panicking{}
		n = &node{id: "p", component: p, logger: b.options.Logger, metrics: b.metrics}
		n.start(b.ctx, nil)
		synctest.Wait()
		if h := n.health(); h.State != Unhealthy || !strings.Contains(h.Message, "oops") {
			t.Errorf("health after a panic = %v", h)
		}
	})
}

func TestHealthIsWhatTheComponentSays(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(`toy.fragile "f" { }`)
		f := b.toys.get("toy.fragile.f").(*toyFragile)
		since := b.health("toy.fragile.f").UpdatedTime
		time.Sleep(time.Second)
		if h := b.health("toy.fragile.f"); h.State != Healthy || h.Message != "running" || h.UpdatedTime != since {
			t.Errorf("health = %v", h)
		}
		f.mu.Lock()
		f.problem = errors.New("ill")
		f.mu.Unlock()
		h := b.health("toy.fragile.f")
		time.Sleep(time.Second)
		if again := b.health("toy.fragile.f"); h.State != Unhealthy || h.Message != "ill" || again != h {
			t.Errorf("health = %v and then %v", h, again)
		}
	})
}

func TestStopEndsSourcesBeforeWhatTheySendTo(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(pipeline1)
		if hung := b.Stop(0); hung != nil {
			t.Errorf("hung: %v", hung)
		}
		log := b.toys.take()
		if log[0] != "end toy.source.s" || len(log) != 4 {
			t.Errorf("log = %v", log)
		}
	})
}

func TestStopIsBoundedAndNamesWhatHangs(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(pipeline1)
		s := b.toys.get("toy.source.s").(*toySource)
		s.stop = make(chan struct{})
		start := time.Now()
		b.want(b.Stop(0), "toy.source.s")
		if took := time.Since(start); took != defaultStopTimeout {
			t.Errorf("stop took %s", took)
		}
		// What the hanging component sends to has had half of the time.
		log := strings.Join(b.toys.take(), "; ")
		if !strings.Contains(log, "end toy.logs.w") {
			t.Errorf("log = %s", log)
		}
		close(s.stop)
		synctest.Wait()
		if err := b.Load(b.t.Context(), source(pipeline1)); err == nil {
			t.Error("a load after Stop succeeded")
		}
	})
}

func TestStopDoesNotWaitForAReload(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(pipeline1)
		w := b.toys.get("toy.logs.w").(*toyLogs)
		w.stop = make(chan struct{})
		loaded := make(chan error)
		go func() { loaded <- b.Load(context.Background(), source(`toy.logs "w" { max_streams = 1 }`)) }()
		synctest.Wait() // it waits for the old component to end
		start := time.Now()
		b.want(b.Stop(0), "toy.logs.w")
		if took := time.Since(start); took > defaultStopTimeout {
			t.Errorf("stop took %s", took)
		}
		<-loaded
		close(w.stop)
		synctest.Wait()
		if n := b.toys.runs("toy.logs.w"); n != 0 {
			t.Errorf("the successor ran %d times after Stop", n)
		}
	})
}

func TestOrderPutsDependenciesFirst(t *testing.T) {
	deps := map[string][]string{"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "e": {"e"}}
	var cycles [][]string
	got := order([]string{"a", "b", "c", "d", "e"}, deps, func(ids []string) { cycles = append(cycles, ids) })
	if diff := cmp.Diff([]string{"d", "b", "c", "a", "e"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([][]string{{"e"}}, cycles); diff != "" {
		t.Error(diff)
	}
}
