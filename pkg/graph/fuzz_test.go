package graph

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"collector/pkg/config"
)

// FuzzCheck checks that no configuration ends the program, that each diagnostic is
// somewhere in the source, unless that is UTF-16, and that what is rejected is rejected for
// a reason.
func FuzzCheck(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range txtar.Parse(text).Files {
			if strings.HasSuffix(file.Name, ".alloy") {
				f.Add(file.Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o := Options{Kinds: toyKinds(), Definitions: newToys().definitions()}.withDefaults()
		g, ds := build(o, newMetrics(""), []config.Source{{Name: "f", Text: text}}, nil)
		lines := bytes.Split(bytes.TrimPrefix(text, []byte("\ufeff")), []byte("\n"))
		for _, d := range ds {
			if d.At.Line == 0 && (bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff"))) {
				continue
			}
			if d.At.Line < 1 || d.At.Line > len(lines) || d.At.Column < 1 || d.At.Column > len(lines[d.At.Line-1])+1 {
				t.Fatalf("%q: %v is nowhere", text, d)
			}
			if strings.Contains(d.Message, "BUG") && !strings.Contains(d.Message, "fragile") {
				t.Fatalf("%q: %v", text, d)
			}
		}
		for id, block := range g.blocks {
			own := block.Name == "declare" || block.Name == "argument" || block.Name == "export"
			if ds.Err() == nil && g.byID[id] == nil && !own {
				t.Fatalf("%q: %s makes no component, and nothing is wrong", text, id)
			}
		}
	})
}
