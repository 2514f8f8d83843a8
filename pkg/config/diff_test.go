package config

import (
	"fmt"
	"strings"
	"testing"
)

func sourceOf(name string, lines ...string) Source {
	return Source{Name: name, Text: []byte(strings.Join(lines, "\n") + "\n")}
}

// written is a diff as text.
func written(diffs []FileDiff) string {
	var b strings.Builder
	for _, d := range diffs {
		fmt.Fprintf(&b, "%s %s +%d -%d more %d\n", d.Name, d.Change, d.Added, d.Removed, d.More)
		for _, l := range d.Lines {
			fmt.Fprintf(&b, "%s%d,%d %s\n", l.Kind, l.Old, l.New, l.Text)
		}
	}
	return b.String()
}

func TestADiffShowsWhatChangedAndALittleAroundIt(t *testing.T) {
	before := []Source{sourceOf("a", "1", "2", "3", "4", "5", "6", "7", "8", "9"), sourceOf("gone", "x"), sourceOf("same", "y")}
	after := []Source{sourceOf("a", "1", "2", "3", "4", "five", "6", "7", "8", "9"), sourceOf("new", "z"), sourceOf("same", "y")}
	want := `a changed +1 -1 more 0
 2,2 2
 3,3 3
 4,4 4
-5,0 5
+0,5 five
 6,6 6
 7,7 7
 8,8 8
new added +1 -0 more 0
+0,1 z
gone removed +0 -1 more 0
-1,0 x
`
	if got := written(Diff(before, after)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := Diff(after, after); len(got) != 0 {
		t.Errorf("of equal files: %v", got)
	}
	crlf := []Source{{Name: "same", Text: []byte("y\r\n")}}
	if got := Diff(crlf, []Source{sourceOf("same", "y")}); len(got) != 0 {
		t.Errorf("of line ends alone: %v", got)
	}
}

// A secret that changes is seen to change, and not shown.
func TestADiffShowsNoSecret(t *testing.T) {
	block := func(password string) []Source {
		return []Source{sourceOf("c", `loki.write "x" {`, `	endpoint {`, `		url = "http://user:`+password+`@host/"`, `		basic_auth { password = "`+password+`" }`, `	}`, `}`, `// token = `+password)}
	}
	got := written(Diff(block("hunter2"), block("hunter3")))
	if strings.Contains(got, "hunter") || !strings.Contains(got, "+3 -3") || !strings.Contains(got, "******") {
		t.Errorf("%s", got)
	}
}

func TestADiffIsBounded(t *testing.T) {
	var lines []string
	for i := range 5000 {
		lines = append(lines, fmt.Sprintf("line %d %s", i, strings.Repeat("é", maxDiffLine)))
	}
	d := Diff(nil, []Source{sourceOf("a", lines...)})
	if len(d) != 1 || len(d[0].Lines) != maxDiffLines || d[0].More != 5000-maxDiffLines || d[0].Added != 5000 {
		t.Fatalf("%d lines, %d more, %d added", len(d[0].Lines), d[0].More, d[0].Added)
	}
	if n := len(d[0].Lines[0].Text); n > maxDiffLine+len("…") {
		t.Errorf("a line of %d bytes", n)
	}
	// Lines that all are the same have no anchor, and are too many to compare exactly.
	same := strings.Split(strings.Repeat("x,", 3000), ",")
	if got := commonLines(append([]string{"a"}, same...), append(same, "b")); len(got) > 3001 {
		t.Errorf("%d common lines", len(got))
	}
}

// Whatever the texts are, what is paired is equal and in order, and what is not
// paired is all that differs.
func FuzzDiff(f *testing.F) {
	f.Add("a\nb\nc", "a\nc\nd")
	f.Add("x\nx\nx\ny", "x\ny\nx\nx")
	f.Add("", "1\n2")
	f.Add("}\n}\na\n}\n", "}\na\n}\n}\n}\n")
	f.Fuzz(func(t *testing.T, before, after string) {
		a, b := linesOf(Source{Text: []byte(before)}), linesOf(Source{Text: []byte(after)})
		last := pair{-1, -1}
		pairs := commonLines(a, b)
		for _, p := range pairs {
			if p.a <= last.a || p.b <= last.b || a[p.a] != b[p.b] {
				t.Fatalf("%v after %v: %q, %q", p, last, a[p.a], b[p.b])
			}
			last = p
		}
		d := Diff([]Source{{Text: []byte(before)}}, []Source{{Text: []byte(after)}})
		if len(d) == 0 {
			return
		}
		added, removed := d[0].More, d[0].More
		for _, l := range d[0].Lines {
			switch l.Kind {
			case "+":
				added++
			case "-":
				removed++
			}
		}
		if added < d[0].Added || removed < d[0].Removed || d[0].Added != len(b)-len(pairs) || d[0].Removed != len(a)-len(pairs) {
			t.Fatalf("%d lines became %d, of which %d are the same: %s", len(a), len(b), len(pairs), written(d))
		}
	})
}
