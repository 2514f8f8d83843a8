package process

import (
	"strings"
	"testing"

	"github.com/go-logfmt/logfmt"
	"github.com/google/go-cmp/cmp"
)

// A line gives the pairs that the library finds before its first mistake.
func FuzzLogfmtAgreesWithTheLibrary(f *testing.F) {
	for _, text := range []string{
		`level=info msg="a b" n=1`, `a= b c="" =d`, `a="b"c=d`, `a"b=c`, `a=b"c`, `a=b=c`, `a="unended`, `a="\"q\" \n \u00e4 \x"`, `a="esc\"aped" b=1`, "\xff=1", "ä=ö \uFFFD=1",
		"a=1\r", "a=1\nb=2", "", " \t", `a="\`, "a=\"\x01\"", "a=\"\xff\\n\"", "tab\t=1",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.IndexByte(text, '\n') >= 0 {
			return // read by the library
		}
		var want, got [][2]string
		for d := logfmt.NewDecoder(strings.NewReader(text)); d.ScanRecord(); {
			for d.ScanKeyval() {
				want = append(want, [2]string{string(d.Key()), string(d.Value())})
			}
		}
		for p := (logfmtLine{rest: text}); p.next(); {
			got = append(got, [2]string{p.key, p.value})
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q (-library +got):\n%s", text, d)
		}
	})
}

// CRI's format is read as Alloy's regular expression reads it.
func FuzzCRILinesAreReadAsTheExpressionDoes(f *testing.F) {
	stage, err := newRegex(RegexConfig{Expression: `^(?s)(?P<time>\S+?) (?P<stream>stdout|stderr) (?P<flags>\S+?) (?P<content>.*)$`})
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{
		"2026-01-02T03:04:05Z stdout F text", "t stderr P ", "t stdout F", " stdout F x", "t  stdout F x", "t\tx stdout F y", "t stdin F x", "t stdout  x", "t stdout \xff\xffF \xff\n x", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got, want Entry
		got.Line, want.Line = text, text
		criLine{}.Process(&got, func(*Entry) {})
		stage.Process(&want, func(*Entry) {})
		if d := cmp.Diff(want.Extracted.fields, got.Extracted.fields, cmp.AllowUnexported(field{}, Value{})); d != "" {
			t.Errorf("%q (-want +got):\n%s", text, d)
		}
	})
}
