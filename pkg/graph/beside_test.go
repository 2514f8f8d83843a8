package graph

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/expfmt"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/listen"
)

// loadBeside gives what the host in force loads with.
func (b bench) loadBeside() func(text string) ([]string, error) {
	b.t.Helper()
	select {
	case load := <-b.toys.get("toy_host").(*toyHost).given:
		return func(text string) ([]string, error) {
			err := load(context.Background(), []component.ModuleFile{{Name: "<beside>", Text: []byte(text)}})
			synctest.Wait()
			return b.toys.take(), err
		}
	default:
		b.t.Fatal("the host has been given nothing to load with")
		return nil
	}
}

func (b bench) metricsText() string {
	b.t.Helper()
	families, err := b.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	var text strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			b.t.Fatal(err)
		}
	}
	return text.String()
}

const hosting = "toy_host { }\ntoy.logs \"w\" { }\n"

const besideText = `
toy.logs "w" { }
toy.samples "m" { }
toy.source "s" {
	host       = module_path
	forward_to = [toy.logs.w.receiver]
}
`

func TestWhatIsLoadedBesideIsAModuleOfItsOwn(t *testing.T) {
	inBubble(t, func(b bench) {
		if err := b.Load(context.Background(), []config.Source{{Name: "/etc/c/config.alloy", Text: []byte(hosting)}}); err != nil {
			t.Fatal(err)
		}
		load := b.loadBeside()
		if _, err := load(besideText); err != nil {
			t.Fatal(err)
		}
		if got := b.host("toy_host/toy.source.s"); got != "/etc/c" {
			t.Errorf("module_path is %q", got)
		}
		if dir := b.toys.get("toy_host/toy.samples.m").(*toySamples).o.Dir; dir != filepath.Join("toy_host", "toy.samples.m") {
			t.Errorf("its folder is %s", dir)
		}
		info, ok := b.Component("toy_host/toy.source.s")
		if !ok || info.Module != "toy_host" || info.Local != "toy.source.s" || info.Health.State != Healthy || len(info.ReferencesTo) != 1 {
			t.Errorf("shown as %+v", info)
		}
		if n := len(b.Snapshot().Components); n != 5 {
			t.Errorf("%d components are shown", n)
		}
		text := b.metricsText()
		for _, want := range []string{
			`toy_samples_total{component_id="toy.samples.m",component_path="/toy_host"}`,
			`alloy_component_controller_running_components{controller_id="toy_host",controller_path="/",health_type="healthy"} 3`,
			`alloy_component_controller_running_components{controller_id="",controller_path="/",health_type="healthy"} 2`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("there is no %s in\n%s", want, text)
			}
		}
		for _, text := range []string{`toy.source "x" {
	host       = "x"
	forward_to = [toy.logs.other.receiver]
}`, `toy_host { }`} {
			if _, err := load(text); err == nil {
				t.Errorf("%s is loaded", text)
			}
		}
	})
}

func TestAWrongConfigurationBesideLeavesEverythingAsItWas(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(hosting)
		load := b.loadBeside()
		if _, err := load(besideText); err != nil {
			t.Fatal(err)
		}
		for _, wrong := range []string{"<html>", `toy.unknown "x" { }`, strings.Replace(besideText, "module_path", `"taken"`, 1), strings.Replace(besideText, "module_path", "missing", 1)} {
			log, err := load(wrong)
			log = slices.DeleteFunc(log, func(line string) bool { return strings.HasPrefix(line, "new ") })
			if err == nil || len(log) > 0 {
				t.Errorf("%s: %v, %q", wrong, err, log)
			}
		}
		if _, failed := b.Configuration(); failed != nil {
			t.Errorf("the user's own counts as failed: %s", failed.Error)
		}
		b.want(b.load(hosting+`toy.samples "new" { }`), "new toy.samples.new", "run toy.samples.new")
		if _, err := load(besideText); err != nil {
			t.Error(err)
		}
	})
}

func TestAHostThatKeepsRunningIsNotifiedOfAReload(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(hosting)
		if _, err := b.loadBeside()(besideText); err != nil {
			t.Fatal(err)
		}
		b.want(b.load(hosting))
		log, err := b.loadBeside()(besideText)
		if err != nil {
			t.Fatal(err)
		}
		b.want(log)
		b.load(strings.Replace(hosting, "{ }", `{ name = "x" }`, 1))
		log, err = b.loadBeside()(besideText)
		if err != nil {
			t.Fatal(err)
		}
		b.want(log) // what it brings outlives the component
	})
}

func TestWithoutItsHostNothingRunsBeside(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(hosting)
		load := b.loadBeside()
		if _, err := load(besideText); err != nil {
			t.Fatal(err)
		}
		b.want(sorted(b.load(`toy.logs "w" { }`)), "end toy_host", "end toy_host/toy.logs.w", "end toy_host/toy.samples.m", "end toy_host/toy.source.s")
		if log, err := load(besideText); err == nil || len(log) > 0 {
			t.Errorf("it loads when its block is no longer there: %v, %q", err, log)
		}
	})
}

func TestStopEndsWhatRunsBeside(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(hosting)
		load := b.loadBeside()
		if _, err := load(besideText); err != nil {
			t.Fatal(err)
		}
		b.toys.get("toy_host/toy.logs.w").(*toyLogs).stop = make(chan struct{})
		late := b.Stop(time.Second)
		b.want(late, "toy_host/toy.logs.w")
		close(b.toys.get("toy_host/toy.logs.w").(*toyLogs).stop)
		synctest.Wait()
		if log := b.toys.take(); !slices.Contains(log, "end toy_host/toy.source.s") || !slices.Contains(log, "end toy.logs.w") {
			t.Errorf("ended are %q", log)
		}
		if _, err := load(besideText); err == nil {
			t.Error("it loads after the end")
		}
	})
}

func TestAFileMayLeaveEverythingToItsHost(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(hosting)
		b.load("toy_host { }")
	})
}

func TestBesideNothingListensWhereTheConfigurationDoes(t *testing.T) {
	toys := newToys()
	c := New(Options{Kinds: toyKinds(), Definitions: toys.definitions(), Listeners: listen.NewDryPool()})
	defer c.Stop(time.Hour)
	port := func(n string) string {
		return "\ntoy.source \"s\" {\n\tforward_to = []\n\thost = \"listen:" + n + "\"\n}\n"
	}
	if err := c.Load(t.Context(), source(hosting+port("1"))); err != nil {
		t.Fatal(err)
	}
	beside := <-toys.get("toy_host").(*toyHost).given
	load := func(text string) error {
		return beside(t.Context(), []component.ModuleFile{{Name: "<beside>", Text: []byte(text)}})
	}
	if err := load(port("1")); err == nil {
		t.Error("two listen on port 1")
	}
	if err := load(port("2")); err != nil {
		t.Fatal(err)
	}
	if err := c.Load(t.Context(), source(hosting+port("2"))); err == nil {
		t.Error("two listen on port 2")
	}
	if err := c.Load(t.Context(), source(hosting+port("3"))); err != nil {
		t.Fatal(err)
	}
	if err := load(port("1")); err != nil {
		t.Errorf("port 1 is free again: %v", err)
	}
}

func TestQueuesWaitForAHostThatHasLoadedNothing(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(hosting)
		running := b.toys.get("toy_host").(*toyHost).running
		if uses := b.expected(); len(uses) != 1 || uses[0].Below != "toy_host" || running() {
			t.Errorf("before: %+v, running: %t", uses, running())
		}
		if _, err := b.loadBeside()(besideText); err != nil {
			t.Fatal(err)
		}
		if uses := b.expected(); len(uses) != 0 || !running() {
			t.Errorf("after: %+v, running: %t", uses, running())
		}
	})
}
