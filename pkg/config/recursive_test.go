package config

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree is a block that contains itself, alone and in a list, and whose steps
// contain steps.
type tree struct {
	Text     string   `alloy:"text,attr,optional"`
	Next     *tree    `alloy:"next,block,optional"`
	Children []tree   `alloy:"child,block,optional"`
	Steps    []branch `alloy:"do,enum,optional"`
}

func (c *tree) SetToDefault() { c.Text = "leaf" }

type branch struct {
	Print *printing  `alloy:"print,block,optional"`
	When  *condition `alloy:"when,block,optional"`
}

type printing struct {
	Line string `alloy:"line,attr"`
}

type condition struct {
	Is    string   `alloy:"is,attr"`
	Steps []branch `alloy:"do,enum,optional"`
}

func decodeTree(t *testing.T, text string) (tree, Diagnostics) {
	t.Helper()
	doc, ds := Parse([]Source{{Name: "x.alloy", Text: []byte(text)}})
	if ds != nil {
		t.Fatal(ds)
	}
	var out tree
	d := Decoder{Language: NewLanguage("v1")}
	ds = d.Decode(doc.Blocks[0], &out)
	return out, ds
}

func TestABlockMayContainItself(t *testing.T) {
	got, ds := decodeTree(t, `x "y" {
		next {
			text = "a"
			child { next { text = "b" } }
			child { }
		}
		do.when {
			is = "1"
			do.print { line = "one" }
			do.when {
				is = "2"
				do.print { line = "two" }
			}
		}
	}`)
	if ds != nil {
		t.Fatal(ds)
	}
	want := tree{
		Text: "leaf",
		Next: &tree{Text: "a", Children: []tree{{Text: "leaf", Next: &tree{Text: "b"}}, {Text: "leaf"}}},
		Steps: []branch{{When: &condition{"1", []branch{
			{Print: &printing{"one"}},
			{When: &condition{"2", []branch{{Print: &printing{"two"}}}}},
		}}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	shown := string(Encode(&got, func(any) (any, bool) { return nil, false }))
	if !strings.Contains(shown, `{"when":{"is":"2","do":[{"print":{"line":"two"}}]}}`) || !strings.Contains(shown, `"next":{"text":"b"}`) {
		t.Errorf("shown as %s", shown)
	}
}

func TestAMisspeltArgumentOfABlockThatContainsItselfIsFound(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, ds := decodeTree(t, `x "y" { `+text+` }`)
		if len(ds) != 1 || !strings.Contains(ds[0].Message, want) {
			t.Errorf("%s: %v, want %q", text, ds, want)
		}
	}
	f(`next { txt = "a" }`, `unknown argument "txt" of next; did you mean "text"?`)
	f(`nothing = 1`, `unknown argument "nothing" of x`)
	f(`line = "a"`, `"line" belongs in the block do.print`)
	f(`do.when {
		is = "1"
		do.when {
			is = "2"
			line = "a"
		}
	}`, `"line" belongs in the block do.print`)
	f(`do.when {
		is = "1"
		do.prin { line = "a" }
	}`, `unknown block "do.prin" of do.when; did you mean "do.print"?`)
	f(`do.when {
		is = "1"
		do.when { }
	}`, `do.when lacks the required argument "is"`)
}

func TestDescribingABlockThatContainsItselfEnds(t *testing.T) {
	var got []string
	var walk func(prefix string, list []Argument)
	walk = func(prefix string, list []Argument) {
		for _, a := range list {
			line := prefix + a.Name
			if a.As != "" {
				line += " as " + a.As
			}
			got = append(got, line)
			walk(prefix+a.Name+" > ", a.Arguments)
		}
	}
	walk("", Describe(reflect.TypeFor[struct {
		Root tree `alloy:"root,block"`
	}](), func(reflect.Type) string { return "" }))
	want := []string{
		"root", "root > text", "root > next as root", "root > child as root",
		"root > do.print", "root > do.print > line",
		"root > do.when", "root > do.when > is", "root > do.when > do.* as root > do.*",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
