package config

import (
	"bytes"
	"testing"
)

func seeds(f *testing.F) {
	for _, text := range []string{
		"",
		"a.b \"c\" {\n\td = 1\n}\n",
		"a \"b\" {\r\n\tc = {d = [1, .5, \"x\", `raw\r\n`], \"e-f\" = g.h[\"i\"].j(k, 1)[0]}\r\n\te \"f\" { }\r\n}",
		"// comment\nx { /* inner */ y = (1 + -2 ^ 3 * 4) == 5 && !true || null // end\n}\n// last",
		"a = ", "a {", "a = 'x'", "\ufeff a { b = \"\\u00e9\\x00\" }", "a \"1\" { }", "a. { }", "}", "\x00", "\xff",
		"a { b = coalesce(sys.env(\"X\"), \"y\") }\na { }\n",
	} {
		f.Add([]byte(text))
	}
}

// FuzzFormat checks that formatting changes neither what a configuration means
// nor, the second time, the text.
func FuzzFormat(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, ds := Parse([]Source{{Name: "f", Text: text}})
		validPositions(t, ds, text)
		formatted, err := Format(Source{Name: "f", Text: text})
		if (err != nil) == doc.Complete {
			t.Fatalf("Parse says %v, Format says %v", ds, err)
		}
		if err != nil {
			return
		}
		again, _ := Parse([]Source{{Name: "f", Text: formatted}})
		if !again.Complete || len(again.Blocks) != len(doc.Blocks) {
			t.Fatalf("%q became %q", text, formatted)
		}
		for i, b := range doc.Blocks {
			if b.Text != again.Blocks[i].Text || b.ID() != again.Blocks[i].ID() {
				t.Fatalf("block %q became %q", b.Text, again.Blocks[i].Text)
			}
		}
	})
}

// validPositions checks that every diagnostic is somewhere in text, but for
// one about a whole file that is not in UTF-8.
func validPositions(t *testing.T, ds Diagnostics, text []byte) {
	t.Helper()
	lines := bytes.Split(normalize(text), []byte("\n"))
	for _, d := range ds {
		if d.At.Line == 0 && (bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff"))) {
			continue
		}
		if d.At.Line < 1 || d.At.Line > len(lines) || d.At.Column < 1 || d.At.Column > len(lines[d.At.Line-1])+1 {
			t.Fatalf("%q: %v is nowhere", text, d)
		}
		if d.Message == "" || d.String() == "" {
			t.Fatalf("%q: a diagnostic says nothing", text)
		}
	}
}
