package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"collector/pkg/component"
)

// problems is what a user sees of what is wrong with text.
func problems(text string) string {
	_, ds := Parse([]Source{{Name: "x.alloy", Text: []byte(text)}})
	return ds.String()
}

func TestSyntaxErrorsSayWhatWouldBeAccepted(t *testing.T) {
	for text, want := range map[string]string{
		"# note\n":                     "comments begin with //",
		"a \"b\" {\n\tc: 1\n}\n":       `"=" between a name and its value`,
		"a { b = 1; c = 2 }\n":         "each argument on a line of its own",
		"a { b = 1 c = 2 }\n":          "expected the end of the line, got a name",
		"a { b = “x” }\n":              "straight double quotes",
		"a { b = \"\\d\" }\n":          "backquotes",
		"a { b = \"x\n}\n":             `ends with " on the same line`,
		"a default { }\n":              "the label of a block must be in double quotes",
		"a \"b-c\" { }\n":              "letters, digits and _",
		"a {\n":                        "a block is not closed before the end of the file",
		"}\n":                          "expected a name, got }",
		"a {\n b = [\n  1\n  2\n ]\n}": `"," after each element`,
	} {
		if got := problems(text); !strings.Contains(got, want) || strings.Contains(got, "TERMINATOR") {
			t.Errorf("%q: got\n%swant %q", text, got, want)
		}
	}
}

func TestAFileThatIsNotUTF8IsOneError(t *testing.T) {
	for text, want := range map[string]string{
		"a {\n\tb = \"gr\xf6\xdfe\"\n}\n":    "x.alloy:2:9: the file has a byte that is not UTF-8 here\n    2 | \tb = \"gr\uFFFD\uFFFDe\"\n      | \t       ^\n",
		"a {\n\tb = \"\x00\x00\"\n}\n":       "x.alloy:2:7: the file has a NUL byte here\n    2 | \tb = \"\uFFFD\uFFFD\"\n      | \t     ^\n",
		"\xff\xfea\x00 \x00{\x00}\x00\n\x00": "x.alloy: the file is UTF-16, not UTF-8\n",
	} {
		if got := problems(text); got != want+"      accepted: save the file as UTF-8\n" {
			t.Errorf("%q: got\n%s", text, got)
		}
	}
	if got := problems("a { b = \"\uFFFD ü\" }\n"); got != "" {
		t.Errorf("a replacement character is a character: %s", got)
	}
}

func TestAnExcerptIsSafeForTerminals(t *testing.T) {
	if got := problems("a { b = \x1b[2J }\n"); strings.Contains(got, "\x1b") {
		t.Errorf("got %q", got)
	}
	long := "a { b = [" + strings.Repeat("1234567, ", 2_000) + "üü ?] }"
	for line := range strings.Lines(problems(long)) {
		if len(line) > 300 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	// The caret is below the character that is meant, also in an excerpt.
	_, ds := Parse([]Source{{Name: "x.alloy", Text: []byte("a { b = \"" + strings.Repeat("äöü", 100) + "\" ? }")}})
	if len(ds) == 0 {
		t.Fatal("no error")
	}
	source, carets := ds[0].At.excerpt()
	if !strings.HasPrefix(source, "…") || []rune(source)[len([]rune(carets))-1] != '?' {
		t.Errorf("got\n%s\n%s", source, carets)
	}
}

func TestReadRejectsWhatIsTooLarge(t *testing.T) {
	name := filepath.Join(t.TempDir(), "large.alloy")
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, maxSource+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(name); err == nil || !strings.Contains(err.Error(), "larger than 32 MiB") {
		t.Errorf("got %v", err)
	}
}

func TestNothingOfASecretIsShown(t *testing.T) {
	for _, body := range []string{
		"headers = {\"Authorization\" = [{\"a\" = \"hunter2\"}]}",
		"map = {\"Authorization\" = {\"a\" = \"hunter2\"}}",
		"map = {\"Authorization\" = string.format(\"Bearer %s\", \"hunter2\", no)}",
		"map = {\"x-api-key\" = \"hunter2\" * 2}",
		"map = {\"Cookie\" = `hunter2` * 2}",
		"text = \"http://u:hunter2@h/\" * 2",
		"secret = string.format(\"%d\", \"hunter2\") + 1",
	} {
		_, ds := decode(body, nil)
		if len(ds) == 0 || strings.Contains(ds.String(), "hunter2") {
			t.Errorf("%s: got\n%s", body, ds)
		}
	}
}

func TestAMisspeltFunctionNamesThoseOfItsNamespace(t *testing.T) {
	_, ds := decode(`text = "a" + sys.environment("X")`, nil)
	if len(ds) != 1 || ds[0].Accepted != "sys.env" {
		t.Errorf("got %s", ds)
	}
	_, ds = decode(`text = encoding.from_jsn("X")`, nil)
	if len(ds) != 1 || !strings.Contains(ds[0].Accepted, "encoding.from_json, ") {
		t.Errorf("got %s", ds)
	}
}

func TestABlockAmongSeveralIsFoundByItsNumber(t *testing.T) {
	doc, ds := Parse([]Source{{Name: "x.alloy", Text: []byte("x.y \"z\" {\n\tmany { a = 1 }\n\tmany { a = 2 }\n\tcount = 2\n}\n")}})
	if ds != nil {
		t.Fatal(ds)
	}
	b := doc.Blocks[0]
	for path, want := range map[string]string{
		"many/a": "2 many 1 > a", "many[0]/a": "2 many 1 > a", "many[1]/a": "3 many 2 > a", "many[1]/b": "3 many 2 > b", "many[2]/a": "1 many 3 > a", "count": "4 count",
	} {
		if at, words := b.Find(path); fmt.Sprint(at.Line, " ", words) != want {
			t.Errorf("%s: %d %s, want %s", path, at.Line, words, want)
		}
	}
	for path, want := range map[string]string{
		"many[1]/a": "x.alloy:3:9: many 2 > a: is too large", "many[1]": "x.alloy:3:2: many 2: is too large", "many[1]/b": "x.alloy:3:2: many 2 > b: is too large",
		"other": "x.alloy:1:1: x.y: other: is too large",
	} {
		if ds := b.Place(component.At(path, errors.New("is too large"))); len(ds) != 1 || ds[0].Error() != want {
			t.Errorf("got %s, want %s", ds, want)
		}
	}
	err := fmt.Errorf("make it: %w", component.At("count", errors.New("no")))
	if ds := b.Place(err); len(ds) != 1 || ds[0].Error() != "x.alloy:4:2: make it: count: no" {
		t.Errorf("got %s", ds)
	}
}
