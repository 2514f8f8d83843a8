package reference

import (
	"context"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/component"
	"collector/pkg/pipeline"
)

var update = flag.Bool("update", false, "rewrite testdata")

type sink interface{ Write() }

type toyConfig struct {
	ForwardTo []sink            `alloy:"forward_to,attr"`
	Labels    map[string]string `alloy:"labels,attr,optional"`
	Kinds     []string          `alloy:"kinds,attr,optional"`
	Endpoints []endpointConfig  `alloy:"endpoint,block,optional"`
	Output    outputConfig      `alloy:"output,block"`
}

func (c *toyConfig) SetToDefault() { *c = toyConfig{Kinds: []string{"", "a"}} }

type endpointConfig struct {
	URL      string           `alloy:"url,attr"`
	Password component.Secret `alloy:"password,attr,optional"`
	Wait     time.Duration    `alloy:"wait,attr,optional"`
	Size     component.Bytes  `alloy:"size,attr,optional"`
	Queue    queueConfig      `alloy:"queue,block,optional"`
}

func (c *endpointConfig) SetToDefault() { *c = endpointConfig{Wait: time.Minute, Size: component.MiB} }

type queueConfig struct {
	Shards uint `alloy:"shards,attr,optional"`
}

func (c *queueConfig) SetToDefault() { *c = queueConfig{Shards: 7} }

type outputConfig struct{}

type toy struct{}

func newToy(toyConfig, component.Options) (toy, error) { return toy{}, nil }
func (toy) Run(context.Context) error                  { return nil }

func kinds() []pipeline.Kind {
	return []pipeline.Kind{{Type: reflect.TypeFor[sink](), Name: "Receiver"}}
}

const toyPage = "Does nothing\nat all.\n\nIt is a toy.\n\n" +
	"## Example\n\n```alloy\ntoy \"a\" {\n## no heading\n}\n```\n\n" +
	"## Arguments\n\n- `labels`: what `a|b`\n  means\n- `output`: Where to.\n\n" +
	"## Without effect\n\n- `endpoint > queue > shards`: there is one\n\n" +
	"## Caveats\n\nNone.\n"

func define(page string) component.Definition {
	return component.Define("toy", newToy, component.Doc{Page: page, Exports: []component.Export{{Name: "receiver", Type: "Receiver", Note: "one"}}})
}

func TestPageHasItsTextAndTables(t *testing.T) {
	got, err := Page(define(toyPage), kinds())
	if err != nil {
		t.Fatal(err)
	}
	index, err := Index([]component.Definition{define(toyPage)}, "pages")
	if err != nil {
		t.Fatal(err)
	}
	got += "\n" + index
	const file = "testdata/toy.md"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsOfAPageAreReported(t *testing.T) {
	f := func(old, replacement, want string) {
		t.Helper()
		_, err := Page(define(strings.Replace(toyPage, old, replacement, 1)), kinds())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q in the place of %q: %v, want %q", replacement, old, err, want)
		}
	}
	f(toyPage, "", "what the component is for")
	f("## Caveats", "## Caveat", `unexpected heading "## Caveat"`)
	f("## Caveats", "## Arguments", `unexpected heading "## Arguments"`)
	f("## Arguments", "## Caveats", "unexpected heading")
	f("```alloy", "```", "one block of code")
	f("- `labels`:", "- labels:", "is not an item")
	f("- `output`", "- `labels`", "labels is listed more than once")
	f("- `output`", "- `outputs`", "takes no outputs")
	f("queue > shards", "shards", "takes no endpoint > shards")
	f("- `endpoint > queue > shards`", "- `labels`", "labels is under")
}
