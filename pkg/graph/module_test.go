package graph

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
)

const tailer = `
declare "tailer" {
	argument "out" { }
	argument "host" {
		optional = true
		default  = "here"
	}
	argument "targets" {
		optional = true
	}
	toy.source "s" {
		host       = argument.host.value
		forward_to = argument.out.value
		targets    = argument.targets.value
	}
	toy.logs "w" { }
	export "receiver" { value = toy.logs.w.receiver }
	export "host" { value = argument.host.value + "!" }
}
`

func (b bench) host(id string) string {
	b.t.Helper()
	s, ok := b.toys.get(id).(*toySource)
	if !ok {
		b.t.Fatalf("there is no %s", id)
	}
	return s.config.Host
}

// sorted is log without its order.
func sorted(log []string) []string { return slices.Sorted(slices.Values(log)) }

func TestACustomComponentIsWhatItDeclares(t *testing.T) {
	inBubble(t, func(b bench) {
		log := b.load(tailer + `
toy.logs "w" { }
tailer "a" { out = [toy.logs.w.receiver] }
tailer "b" {
	out  = [tailer.a.receiver]
	host = tailer.a.host
}`)
		for _, id := range []string{"toy.logs.w", "tailer.a/toy.source.s", "tailer.a/toy.logs.w", "tailer.b/toy.source.s"} {
			if !slices.Contains(log, "run "+id) {
				t.Errorf("%s does not run", id)
			}
		}
		if a, of := b.host("tailer.a/toy.source.s"), b.host("tailer.b/toy.source.s"); a != "here" || of != "here!" {
			t.Errorf("hosts are %q and %q", a, of)
		}
		info, ok := b.Component("tailer.b/toy.source.s")
		if !ok || info.Module != "tailer.b" || info.Local != "toy.source.s" || info.Health.State != Healthy {
			t.Errorf("it shows as %+v", info)
		}
		if !slices.Equal(info.FlowsTo, []string{"tailer.a/toy.logs.w"}) {
			t.Errorf("it sends to %q", info.FlowsTo)
		}
		info, _ = b.Component("tailer.b")
		if string(info.Arguments) != `{"host":"here!","out":["tailer.a.receiver"]}` && !strings.Contains(string(info.Arguments), `"host":"here!"`) {
			t.Errorf("arguments are %s", info.Arguments)
		}
		if !slices.Equal(info.ReferencesTo, []string{"tailer.a"}) {
			t.Errorf("it refers to %q", info.ReferencesTo)
		}
	})
}

func TestAReloadThatChangesADeclareReplacesOnlyWhatItChanges(t *testing.T) {
	inBubble(t, func(b bench) {
		text := tailer + `
toy.logs "w" { }
tailer "a" { out = [toy.logs.w.receiver] }
toy.source "use" {
	host       = "x"
	forward_to = [tailer.a.receiver]
}`
		b.load(text)
		b.want(b.load(text))
		log := b.load(strings.Replace(text, `host       = argument.host.value`, `host       = argument.host.value + "2"`, 1))
		b.want(log, "new tailer.a/toy.source.s", "bind tailer.a/toy.source.s", "end tailer.a/toy.source.s", "run tailer.a/toy.source.s")
		log = b.load(strings.Replace(text, `toy.logs "w" { }
	export`, `toy.logs "w" { max_streams = 3 }
	export`, 1))
		b.want(sorted(log), sorted([]string{
			"new tailer.a/toy.source.s", "bind tailer.a/toy.source.s", "end tailer.a/toy.source.s", "run tailer.a/toy.source.s", // back to the first
			"new tailer.a/toy.logs.w", "end tailer.a/toy.logs.w", "run tailer.a/toy.logs.w",
			"new toy.source.use", "bind toy.source.use", "end toy.source.use", "run toy.source.use",
		})...)
	})
}

func TestAnArgumentThatChangesReplacesOnlyWhatUsesIt(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(tailer + `
toy.dynamic "d" { value = "one" }
tailer "a" {
	out  = []
	host = toy.dynamic.d.value
}
toy.value "v" { value = tailer.a.host }
`)
		b.toys.get("toy.dynamic.d").(*toyDynamic).set("two")
		log := b.settle()
		if want := "new tailer.a/toy.source.s"; !slices.Contains(log, want) || slices.Contains(log, "new tailer.a/toy.logs.w") || !slices.Contains(log, "new toy.value.v") {
			t.Errorf("the change did %q", log)
		}
		if host := b.host("tailer.a/toy.source.s"); host != "two" {
			t.Errorf("host is %q", host)
		}
	})
}

func TestTargetsStayLiveThroughModules(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(`
declare "more" {
	argument "targets" { }
	export "same" { value = argument.targets.value }
	export "joined" { value = array.concat(argument.targets.value, [{"__address__" = "extra"}]) }
}
toy.targets "t" { list = [{"__address__" = "one"}] }
more "lone" { targets = toy.targets.t.targets }
more "made" { targets = array.concat(toy.targets.t.targets, [{"__address__" = "own"}]) }
toy.scrape "same" {
	targets    = more.lone.same
	forward_to = []
}
toy.scrape "joined" {
	targets    = more.made.joined
	forward_to = []
}`)
		set := b.toys.get("toy.targets.t").(*toyTargets).set
		if b.toys.get("toy.scrape.same").(*toyScrape).config.Targets != set {
			t.Error("a lone reference is another set")
		}
		addresses := func() (out []string) {
			targets, _ := b.toys.get("toy.scrape.joined").(*toyScrape).config.Targets.Targets()
			for _, target := range targets {
				out = append(out, target.Get("__address__"))
			}
			return out
		}
		b.want(addresses(), "one", "own", "extra")
		set.Replace([]discovery.Target{labels.FromStrings("__address__", "two")})
		b.want(b.settle()) // nothing is made again
		b.want(addresses(), "two", "own", "extra")
	})
}

func TestTargetsStayLiveThroughExpressions(t *testing.T) {
	for expression, want := range map[string][]string{
		`toy.targets.t.targets`: {"two", "three"},
		`array.concat([{"__address__" = "own"}], toy.targets.t.targets)`:               {"own", "two", "three"},
		`encoding.from_json(encoding.to_json({"t" = toy.targets.t.targets}))["t"]`:     {"two", "three"},
		`[toy.targets.t.targets[0]]`:                                                   {"two"},
		`[{"__address__" = toy.targets.t.targets[0]["__address__"] + ":9100"}]`:        {"two:9100"},
		`array.combine_maps(toy.targets.t.targets, [{"x" = "1"}, {"x" = "2"}], ["x"])`: {"three"},
	} {
		t.Run(expression, func(t *testing.T) {
			inBubble(t, func(b bench) {
				b.load(`
declare "through" {
	argument "targets" { }
	export "targets" { value = argument.targets.value }
}
toy.targets "t" { list = [{"__address__" = "one", "x" = "0"}] }
through "x" { targets = ` + expression + ` }
toy.scrape "s" {
	targets    = through.x.targets
	forward_to = []
}`)
				set := b.toys.get("toy.targets.t").(*toyTargets).set
				set.Replace([]discovery.Target{labels.FromStrings("__address__", "two", "x", "0"), labels.FromStrings("__address__", "three", "x", "2")})
				b.want(b.settle()) // nothing is made again
				var got []string
				targets, _ := b.toys.get("toy.scrape.s").(*toyScrape).config.Targets.Targets()
				for _, target := range targets {
					got = append(got, target.Get("__address__"))
				}
				b.want(got, want...)
			})
		})
	}
}

func TestAModuleThatChangesReplacesOnlyWhatItChanges(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(`
import.text "m" { text = "" }
`)
		b.load(fmt.Sprintf(`
import.text "m" { text = %q }
m.tailer "a" { out = [] }
`, tailer))
		m := b.toys.get("import.text.m").(*toyImport)
		b.toys.take()
		m.set(strings.Replace(tailer, `host       = argument.host.value`, `host       = "changed"`, 1))
		b.want(b.settle(), "new m.tailer.a/toy.source.s", "bind m.tailer.a/toy.source.s", "end m.tailer.a/toy.source.s", "run m.tailer.a/toy.source.s")
		m.set("declare \"tailer\" {")
		b.want(b.settle())
		if info, _ := b.Component("import.text.m"); info.Health.State != Unhealthy {
			t.Errorf("with a broken module it is %+v", info.Health)
		}
		m.set(tailer)
		b.want(b.settle(), "new m.tailer.a/toy.source.s", "bind m.tailer.a/toy.source.s", "end m.tailer.a/toy.source.s", "run m.tailer.a/toy.source.s")
	})
}

func TestForeachOverTargetsStartsAndStopsOnlyWhatChanged(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(`
toy.targets "t" { list = [{"__address__" = "a"}, {"__address__" = "b"}] }
toy.logs "w" { }
foreach "f" {
	collection = toy.targets.t.targets
	var        = "each"
	id         = "__address__"
	template {
		toy.source "s" {
			host       = each["__address__"]
			forward_to = [toy.logs.w.receiver]
		}
	}
}`)
		if a, of := b.host("foreach.f/foreach_a_1/toy.source.s"), b.host("foreach.f/foreach_b_1/toy.source.s"); a != "a" || of != "b" {
			t.Errorf("hosts are %q and %q", a, of)
		}
		b.toys.get("toy.targets.t").(*toyTargets).set.Replace([]discovery.Target{labels.FromStrings("__address__", "b"), labels.FromStrings("__address__", "c")})
		gone, come := "foreach.f/foreach_a_1/toy.source.s", "foreach.f/foreach_c_1/toy.source.s"
		b.want(b.settle(), "new "+come, "bind "+come, "end "+gone, "run "+come)
	})
}

func TestForeachOverAList(t *testing.T) {
	inBubble(t, func(b bench) {
		log := b.load(`
foreach "f" {
	collection = ["a", "a", 3, 2.5, true, "x/y"]
	var        = "each"
	template {
		toy.value "v" { value = each }
	}
}`)
		for _, name := range []string{"a_1", "a_2", "3_1", "2_500000_1", "true_1", "x_y_1"} {
			if id := "foreach.f/foreach_" + name + "/toy.value.v"; !slices.Contains(log, "run "+id) {
				t.Errorf("%s does not run: %q", id, log)
			}
		}
		families, err := b.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.Metric {
				if strings.Contains(m.String(), "foreach_") {
					t.Errorf("without enable_metrics there is %s", m)
				}
			}
		}
	})
}

// refused returns the messages of what is wrong with text.
func refused(t *testing.T, text string) string {
	t.Helper()
	toys := newToys()
	ds := Check(Options{Definitions: toys.definitions()}, source(text))
	if ds.Err() == nil {
		t.Errorf("accepted:\n%s", text)
	}
	return ds.String()
}

func TestWhatIsPartOfItselfIsRejected(t *testing.T) {
	for text, want := range map[string]string{
		`declare "a" { a "x" { } }
a "x" { }`: "declare a contains itself: declare a → declare a",
		`declare "a" { b "x" { } }
declare "b" { a "x" { } }
a "x" { }`: "declare a → declare b → declare a",
		`import.text "m" {
	key  = "k"
	text = "import.text \"m\" {\n key = \"k\"\n text = \"\"\n }"
}`: "import.text k contains itself: import.text k → import.text k",
		`declare "two" {
	argument "n" { }
	foreach "f" {
		collection = [1, 2]
		var        = "i"
		template {
			foreach "g" {
				collection = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]
				var        = "j"
				template {
					foreach "h" {
						collection = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]
						var        = "k"
						template {
							foreach "i" {
								collection = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26]
								var        = "l"
								template { toy.value "v" { } }
							}
						}
					}
				}
			}
		}
	}
}
two "x" { n = 1 }`: "more than 20000 components",
	} {
		if got := refused(t, text); !strings.Contains(got, want) {
			t.Errorf("%s\nis refused by\n%s\nwant %q", text, got, want)
		}
	}
}

func TestErrorsInAModuleAreReported(t *testing.T) {
	for text, want := range map[string]string{
		`tailer "a" { }`:           `tailer lacks the required argument "out"`,
		`tailer "a" { oud = [] }`:  `unknown argument "oud" of tailer; did you mean "out"?`,
		`tailer { out = [] }`:      "component tailer needs a label",
		`argument "x" { }`:         "argument.x is outside of a declare",
		`export "x" { value = 1 }`: "export.x is outside of a declare",
		`foreach "x" { collection = []
 var = "i" }`: `lacks the required block "template"`,
		`declare "d" { logging { } }
d "x" { }`: "block logging belongs to the configuration itself",
		`toy.value "v" { value = 1 }
declare "d" { export "x" { value = toy.value.v.value } }
d "x" { }`: "a declare sees only its own blocks and arguments",
		`import.text "m" { text = "toy.value \"v\" { }" }`: "toy.value.v is not allowed in an imported module",
		`import.text "m" { text = "" }
m.gone "x" { }`: "the module does not declare m.gone",
		`tailer "a" { out = [] }
toy.value "v" { value = tailer.a.receiverr }`: `tailer.a has no export "receiverr"; did you mean tailer.a.receiver?`,
		`tailer "a" {
	out = []
	block { }
}`: `"block" of tailer is a block`,
	} {
		if got := refused(t, tailer+text); !strings.Contains(got, want) {
			t.Errorf("%s\nis refused by\n%s\nwant %q", text, got, want)
		}
	}
}

func TestAnUnusedDeclareIsNotBuilt(t *testing.T) {
	inBubble(t, func(b bench) {
		b.want(b.load(`declare "unused" { toy.source "s" { } }`))
	})
}

func TestModulesSeeTheirFolder(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(`
import.text "m" {
	path = "/modules"
	text = "declare \"d\" { export \"v\" { value = module_path } }"
}
m.d "x" { }
toy.source "s" {
	host       = m.d.x.v + " " + module_path
	forward_to = []
}`)
		if host := b.host("toy.source.s"); host != "/modules ." {
			t.Errorf("host is %q", host)
		}
	})
}

// FuzzModule checks that no text of a module ends the program.
func FuzzModule(f *testing.F) {
	for _, text := range []string{
		tailer, `declare "tailer" { tailer "x" { } }`, `import.text "m" { text = "declare \"x\" { }" }`,
		`declare "tailer" { argument "out" { default = argument.out.value } }`,
		`declare "tailer" { foreach "f" { collection = [1] var = "x" template { toy.value "v" { value = x } } } }`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o := Options{Definitions: newToys().definitions()}.withDefaults()
		sources := source(fmt.Sprintf("import.text \"m\" { text = %s }\nm.tailer \"a\" { out = [] }\n", quoted(text)))
		g, ds := build(o, newMetrics(""), sources, nil)
		again, _ := build(o, newMetrics(""), sources, g)
		for _, n := range again.nodes {
			if ds.Err() == nil && !g.has(n) {
				t.Fatalf("%q: %s is created again though nothing changed", text, n.id)
			}
		}
		if ds.Err() == nil {
			for _, n := range g.nodes {
				if !n.hidden {
					g.info(n)
				}
			}
		}
	})
}

// quoted is text as a string of the language.
func quoted(text string) string {
	return `encoding.from_base64("` + base64.StdEncoding.EncodeToString([]byte(text)) + `")`
}
