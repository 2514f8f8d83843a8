package config

import (
	"strings"
	"testing"
)

// A few lines must not cost the program its memory.
func TestFunctionsThatMakeLongTextsAreBounded(t *testing.T) {
	thousand := strings.Repeat("x", 1000)
	nested := `"x"`
	for range 4 {
		nested = `string.replace(` + nested + `, "x", "` + thousand + `")`
	}
	for expression, want := range map[string]string{
		nested: "replace would be larger",
		strings.ReplaceAll(nested, "string.", ""):                                                  "replace would be larger",
		`string.join([string.format("%999999d", 1), "b"], "c")`:                                    "",
		`string.format("` + strings.Repeat("%999999d", 40) + `"` + strings.Repeat(", 1", 40) + `)`: "format would be larger",
		`format("` + strings.Repeat("%[1]s", 40) + `", string.format("%999999d", 1))`:              "format would be larger",
		`string.format("%s is %05d", "a", 7)`:                                                      "",
		`string.replace("a-b", "-", "_")`:                                                          "",
	} {
		doc, ds := Parse([]Source{{Name: "f", Text: []byte("a { b = " + expression + " }\n")}})
		if ds.Err() != nil {
			t.Fatal(ds)
		}
		var c struct {
			B string `alloy:"b,attr"`
		}
		got := (&Decoder{Language: NewLanguage("v1")}).Decode(doc.Blocks[0], &c).Err()
		if (got == nil) != (want == "") || got != nil && !strings.Contains(got.Error(), want) {
			t.Errorf("%.60s: %v, want %q", expression, got, want)
		}
	}
}
