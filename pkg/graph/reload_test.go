package graph

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/config"
	"collector/pkg/discovery"
)

// bench is a controller of toys in a bubble of synctest.
type bench struct {
	t    *testing.T
	toys *toys
	*Controller
}

// inBubble runs test with a controller that is stopped at the end.
func inBubble(t *testing.T, test func(b bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		toys := newToys()
		b := bench{t, toys, New(Options{Kinds: toyKinds(), Definitions: toys.definitions()})}
		test(b)
		b.Stop(time.Hour)
		synctest.Wait()
	})
}

func source(text string) []config.Source {
	return []config.Source{{Name: "config.alloy", Text: []byte(text)}}
}

// load loads text, which must be good, and returns what that did.
func (b bench) load(text string) []string {
	b.t.Helper()
	if err := b.Load(context.Background(), source(text)); err != nil {
		b.t.Fatal(err)
	}
	synctest.Wait()
	return b.toys.take()
}

func (b bench) want(got []string, want ...string) {
	b.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("(-want +got):\n%s", diff)
	}
}

const pipeline1 = `
toy.logs "w" { }
toy.targets "t" { }
toy.relabel "r" { targets = toy.targets.t.targets }
toy.source "s" {
	host       = "a"
	targets    = toy.relabel.r.output
	forward_to = [toy.logs.w.receiver]
}
`

func TestFirstLoadStartsWhatIsReferredToFirst(t *testing.T) {
	inBubble(t, func(b bench) {
		log := b.load(pipeline1)
		b.want(log[:5], "new toy.logs.w", "new toy.targets.t", "new toy.relabel.r", "new toy.source.s", "bind toy.source.s")
		runs := slices.Sorted(slices.Values(log[5:]))
		b.want(runs, "run toy.logs.w", "run toy.relabel.r", "run toy.source.s", "run toy.targets.t")
	})
}

func TestReloadOfTheSameConfigurationDoesNothing(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(pipeline1)
		b.want(b.load("// a comment\n\n" + strings.ReplaceAll(pipeline1, "host       = ", "host =  ")))
		if got := b.Snapshot().Components[0].Line; got != 4 {
			t.Errorf("the first block is on line %d, want 4: the snapshot shows the new source", got)
		}
	})
}

func TestReloadReplacesWhatChangedAndWhatRefersToIt(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(pipeline1)
		log := b.load(strings.Replace(pipeline1, `"w" { }`, `"w" { max_streams = 1 }`, 1))
		slices.Sort(log[5:]) // begun in order, but their first steps may overlap
		b.want(log,
			"new toy.logs.w", "new toy.source.s", "bind toy.source.s",
			"end toy.source.s", "end toy.logs.w", "run toy.logs.w", "run toy.source.s")
	})
}

func TestReloadFollowsTheEnvironment(t *testing.T) {
	t.Setenv("TOY_HOST", "one")
	inBubble(t, func(b bench) {
		text := strings.Replace(pipeline1, `"a"`, `sys.env("TOY_HOST")`, 1)
		b.load(text)
		b.want(b.load(text))
		t.Setenv("TOY_HOST", "two")
		b.want(b.load(text), "new toy.source.s", "bind toy.source.s", "end toy.source.s", "run toy.source.s")
		if got := b.toys.get("toy.source.s").(*toySource).config.Host; got != "two" {
			t.Errorf("host = %q", got)
		}
	})
}

func TestReloadFollowsExportsThatChanged(t *testing.T) {
	inBubble(t, func(b bench) {
		text := `
toy.value "v" { value = "one" }
toy.targets "t" { list = [{"a" = toy.value.v.value}] }`
		b.load(text)
		// A component such as local.file exports something else after a while.
		b.graph().byID["toy.value.v"].exports["value"] = "two"
		b.want(b.load(text), "new toy.targets.t", "end toy.targets.t", "run toy.targets.t")
	})
}

func TestReloadStopsWhatWasRemoved(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(pipeline1)
		b.want(b.load(`toy.logs "w" { }`), "end toy.source.s", "end toy.relabel.r", "end toy.targets.t")
	})
}

func TestFailedReloadLeavesEverythingAsItWas(t *testing.T) {
	for name, text := range map[string]string{
		"syntax":    pipeline1 + "{",
		"argument":  strings.Replace(pipeline1, "host ", "hots ", 1),
		"component": pipeline1 + `toy.fragile "p" { panic = true }`,
		"port": strings.Replace(pipeline1, `"a"`, `"b"`, 1) + `
			toy.source "other" {
				host       = "taken"
				forward_to = []
			}`,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b bench) {
				b.load(pipeline1)
				before := b.graph()
				err := b.Load(b.t.Context(), source(text))
				var ds config.Diagnostics
				if !errors.As(err, &ds) || ds[0].At.Line == 0 {
					t.Fatalf("error = %v, want diagnostics with a position", err)
				}
				synctest.Wait()
				if b.graph() != before {
					t.Error("the graph was replaced")
				}
				for _, event := range b.toys.take() {
					if strings.HasPrefix(event, "run") || strings.HasPrefix(event, "end") {
						t.Errorf("%s after a failed reload", event)
					}
				}
				if b.Snapshot().LoadError == "" {
					t.Error("the snapshot does not show the failure")
				}
				b.load(pipeline1)
				if b.Snapshot().LoadError != "" {
					t.Error("the snapshot shows a failure after a load that succeeded")
				}
			})
		})
	}
}

func TestFailedBindGivesBackWhatOthersBound(t *testing.T) {
	inBubble(t, func(b bench) {
		err := b.Load(b.t.Context(), source(`
toy.source "a" {
	host       = "free"
	forward_to = []
}
toy.source "b" {
	host       = "taken"
	forward_to = []
}`))
		if err == nil || !strings.Contains(err.Error(), "config.alloy:7:2: host: the port is in use") {
			t.Errorf("error = %v", err)
		}
		b.want(b.toys.take(), "new toy.source.a", "new toy.source.b", "bind toy.source.a", "close toy.source.a")
		if b.Ready() {
			t.Error("ready after a load that failed")
		}
	})
}

func TestSuccessorWaitsForTheEndOfItsPredecessor(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(`toy.logs "w" { }`)
		old := b.toys.get("toy.logs.w").(*toyLogs)
		old.stop = make(chan struct{})
		start := time.Now()
		b.want(b.load(`toy.logs "w" { max_streams = 1 }`), "new toy.logs.w")
		b.want(b.load(`toy.logs "w" { max_streams = 2 }`), "new toy.logs.w")
		if took := time.Since(start); took > 2*reloadTimeout {
			t.Errorf("the reloads took %s", took)
		}
		close(old.stop)
		synctest.Wait()
		b.want(b.toys.take(), "end toy.logs.w", "run toy.logs.w")
	})
}

func TestSourceWaitsUntilWhatItSendsToHasBegun(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(pipeline1)
		sink := b.toys.get("toy.logs.w").(*toyLogs)
		sink.stop = make(chan struct{})
		log := b.load(strings.Replace(pipeline1, `"w" { }`, `"w" { max_streams = 1 }`, 1))
		b.want(log, "new toy.logs.w", "new toy.source.s", "bind toy.source.s", "end toy.source.s")
		if h := b.health("toy.source.s"); h.State != Unknown {
			t.Errorf("health = %v", h)
		}
		close(sink.stop)
		synctest.Wait()
		log = b.toys.take()
		slices.Sort(log)
		b.want(log, "end toy.logs.w", "run toy.logs.w", "run toy.source.s")
	})
}

func TestDerivedTargetsFollowTheirSets(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(`
toy.targets "a" { list = [{"n" = "1"}] }
toy.targets "b" { }
toy.relabel "r" { targets = concat(toy.targets.a.targets, toy.targets.b.targets, [{"n" = "9"}]) }
toy.relabel "one" { targets = [toy.targets.a.targets[0]] }`)
		output := b.toys.get("toy.relabel.r").(*toyRelabel).config.Targets
		check := func(want ...string) {
			t.Helper()
			synctest.Wait()
			targets, _ := output.Targets()
			var got []string
			for _, target := range targets {
				got = append(got, target.Get("n"))
			}
			b.want(got, want...)
		}
		check("1", "9")
		b.toys.get("toy.targets.b").(*toyTargets).set.Replace([]discovery.Target{labels.FromStrings("n", "2")})
		check("1", "2", "9")
		a := b.toys.get("toy.targets.a").(*toyTargets).set
		a.Replace(nil)
		check("2", "9")
		b.want(b.unhealthy(), "toy.relabel.one")
		if h := b.health("toy.relabel.one"); h.Alloy != Healthy {
			b.t.Errorf("%s in Alloy's metric", h.Alloy)
		}
		targets, _ := b.toys.get("toy.relabel.one").(*toyRelabel).config.Targets.Targets()
		if len(targets) != 1 {
			t.Errorf("an expression that fails gives %v, want the last targets", targets)
		}
		a.Replace([]discovery.Target{labels.FromStrings("n", "3")})
		check("3", "2", "9")
		b.want(b.unhealthy())
	})
}

func TestASetIsForwardedIfAnExpressionIsOnlyAReference(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(pipeline1)
		set := b.toys.get("toy.targets.t").(*toyTargets).set
		if got := b.toys.get("toy.source.s").(*toySource).config.Targets; got != set {
			t.Error("the source has another set than the one that it refers to, through toy.relabel")
		}
	})
}
