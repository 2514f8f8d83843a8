package graph

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
)

// settle waits until what has changed is in force, and returns what that did.
func (b bench) settle() []string {
	b.t.Helper()
	time.Sleep(2 * debounce) // of the bubble's time
	synctest.Wait()
	return b.toys.take()
}

const dynamic = `
toy.dynamic "d" { value = "one" }
toy.logs "w" { }
toy.source "s" {
	host       = toy.dynamic.d.value
	forward_to = [toy.logs.w.receiver]
}
toy.source "other" {
	host       = "same"
	forward_to = [toy.logs.w.receiver]
}
`

func TestAnExportThatChangesReplacesWhatUsesIt(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(dynamic)
		b.toys.get("toy.dynamic.d").(*toyDynamic).set("two")
		b.want(b.settle(), "new toy.source.s", "bind toy.source.s", "end toy.source.s", "run toy.source.s")
		if host := b.toys.get("toy.source.s").(*toySource).config.Host; host != "two" {
			t.Errorf("host is %q", host)
		}
		b.want(b.load(dynamic)) // the same again does nothing
	})
}

func TestAnExportThatIsSetToWhatItWasReplacesNothing(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(dynamic)
		b.toys.get("toy.dynamic.d").(*toyDynamic).set("one")
		b.want(b.settle())
	})
}

func TestManyChangesAreEvaluatedOnce(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(dynamic)
		for _, v := range []string{"a", "b", "c"} {
			b.toys.get("toy.dynamic.d").(*toyDynamic).set(v)
		}
		b.want(b.settle(), "new toy.source.s", "bind toy.source.s", "end toy.source.s", "run toy.source.s")
	})
}

func TestAChangeThatCannotBeEvaluatedKeepsEverythingAndIsShownAndRetried(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(dynamic)
		d := b.toys.get("toy.dynamic.d").(*toyDynamic)
		d.set([]any{"a list"})
		b.want(b.settle())
		for _, id := range []string{"toy.dynamic.d", "toy.source.s"} {
			info, _ := b.Component(id)
			if info.Health.State != Unhealthy || !strings.Contains(info.Health.Message, "host takes a string") {
				t.Errorf("%s is %+v", id, info.Health)
			}
		}
		if info, _ := b.Component("toy.source.other"); info.Health.State != Healthy {
			t.Errorf("another component is %+v", info.Health)
		}
		if _, failed := b.Configuration(); failed == nil || !failed.Reevaluation || len(failed.Diagnostics) != 1 {
			t.Errorf("the page shows %+v", failed)
		}
		d.set("taken") // whose port is in use: it is found before anything stops
		b.want(b.settle(), "new toy.source.s")
		d.set("good")
		b.want(b.settle(), "new toy.source.s", "bind toy.source.s", "end toy.source.s", "run toy.source.s")
		if info, _ := b.Component("toy.dynamic.d"); info.Health.State != Healthy {
			t.Errorf("after a good value it is %+v", info.Health)
		}
		if _, failed := b.Configuration(); failed != nil {
			t.Errorf("the page shows %+v", failed)
		}
	})
}

func TestAChangeDoesNotHideThatTheLastReloadFailed(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(dynamic)
		if b.Load(context.Background(), source("nonsense")) == nil {
			t.Fatal("nonsense is loaded")
		}
		b.toys.get("toy.dynamic.d").(*toyDynamic).set("two")
		if log := b.settle(); len(log) != 4 {
			t.Errorf("the change did %q", log)
		}
		if _, failed := b.Configuration(); failed == nil || failed.Reevaluation {
			t.Errorf("the page shows %+v", failed)
		}
	})
}

func TestTheEnvironmentIsReadOnceForAConfiguration(t *testing.T) {
	t.Setenv("HOST_OF_TEST", "before")
	inBubble(t, func(b bench) {
		b.load(dynamic + `toy.source "env" {
	host       = sys.env("HOST_OF_TEST")
	forward_to = []
}`)
		t.Setenv("HOST_OF_TEST", "after")
		b.toys.get("toy.dynamic.d").(*toyDynamic).set("two")
		b.want(b.settle(), "new toy.source.s", "bind toy.source.s", "end toy.source.s", "run toy.source.s")
	})
}

func TestAPlainArgumentMadeOfTargetsFollowsThem(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(`
toy.targets "t" { list = [{"__address__" = "one"}] }
toy.source "s" {
	host       = toy.targets.t.targets[0]["__address__"]
	forward_to = []
}`)
		if host := b.toys.get("toy.source.s").(*toySource).config.Host; host != "one" {
			t.Errorf("host is %q", host)
		}
		set := b.toys.get("toy.targets.t").(*toyTargets).set
		for _, address := range []string{"two", "three"} { // the second time, it is watched again
			set.Replace([]discovery.Target{labels.FromStrings("__address__", address)})
			b.want(b.settle(), "new toy.source.s", "bind toy.source.s", "end toy.source.s", "run toy.source.s")
			if host := b.toys.get("toy.source.s").(*toySource).config.Host; host != address {
				t.Errorf("host is %q", host)
			}
		}
	})
}
