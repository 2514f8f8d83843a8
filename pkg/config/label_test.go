package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// labeled has blocks with labels.
type labeled struct {
	Custom []oneLabel `alloy:"custom.kind,block,optional"`
	Plain  *inner     `alloy:"plain,block,optional"`
}

type oneLabel struct {
	Name string `alloy:",label"`
	A    int    `alloy:"a,attr,optional"`
}

func (l *oneLabel) SetToDefault() { *l = oneLabel{A: 7} }

func (l *oneLabel) Validate() error {
	if l.Name == "bad" {
		return errors.New("the label is bad")
	}
	return nil
}

func decodeLabeled(t *testing.T, text string) (n labeled, ds Diagnostics) {
	t.Helper()
	doc, ds := Parse([]Source{{Name: "t", Text: []byte("component \"x\" {\n" + text + "\n}")}})
	if ds != nil {
		t.Fatal(ds)
	}
	d := Decoder{Language: NewLanguage("v1")}
	ds = d.Decode(doc.Blocks[0], &n)
	return n, ds
}

func TestTheLabelOfABlockIsAField(t *testing.T) {
	n, ds := decodeLabeled(t, "custom.kind \"one\" { }\ncustom.kind \"two\" { a = 1 }")
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	if diff := cmp.Diff([]oneLabel{{"one", 7}, {"two", 1}}, n.Custom); diff != "" {
		t.Error(diff)
	}
}

func TestALabelIsWhereItBelongs(t *testing.T) {
	for text, want := range map[string]string{
		`custom.kind { }`:       `block "custom.kind" of component needs a label`,
		`plain "x" { }`:         `block "plain" of component takes no label`,
		`custom.kind "bad" { }`: "the label is bad",
	} {
		if _, ds := decodeLabeled(t, text); len(ds) != 1 || !strings.Contains(ds[0].Message, want) {
			t.Errorf("%s: %v", text, ds)
		}
	}
}
