package expression

import (
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// expressions are those that log lines are read with, and odd ones.
var expressions = []string{
	`^(?P<ip>\S+) \S+ (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<method>\S+) (?P<path>\S+) [^"]*" (?P<status>\d{3}) (?P<size>\d+)`,
	`^(?P<ts>\S+) \[(?P<level>\w+)\] (?P<logger>\S+): (?P<msg>.*)$`,
	`^(?s)(?P<time>\S+?) (?P<stream>stdout|stderr) (?P<flags>\S+?) (?P<content>.*)$`,
	`(?i)level=(debug|info|warn(?:ing)?|error)`, `(?P<level>INFO|WARN|ERROR|ERR)`, `\b(\w+)=("[^"]*"|\S*)`, `.*(healthcheck|readiness).*`,
	`(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})(?::(\d+))?`, `^\s*$`, `^\d{4}-\d{2}-\d{2}`, `password=(\S+)`, `(\d{16})`, `(\S+)@(\S+)`, `\S+@\S+`,
	`^\[\x1b\d*;?(m|K)`, `(?m)^(\w+):\s*(.*)$`, `(a|ab)(c|bcd)(d*)`, `(a+)(b+)?`, `(?:(a)|b)*c`, `a*`, `(a*)(a*)`, `(a*?)(a*)`, `(a??)b`, `(|a)+`, `x*`, `(a|b)*?c`,
	`^$`, `$`, `\B`, `(.)(.)`, `.{2,3}x`, `[^a-z]{2}`, `ä+(\W)`, `[ä-ü]+`, `(?i)straße|kelvin`, `\D{3}(\d)`, `(.*?) - (.*)`, `(\w+)\s+(\w+)\s*(\w*)$`, `(?:foo|bar){2,3}`,
	`a.c`, `(?s)a.c`, `[[:alpha:]]+\d`, `\pL+`, `^(?:a|b|c|d|e)+$`, `(a)(b)?(c)?(d)?`, `\w+ \w+ \w+`, `[\s\S]*end`, `^.*?(\d+)[^\d]*$`,
	`\x{FFFD}`, `a\x{FFFD}+`, `[\x{FFFD}]`, `[x\x{FFFD}]`, `[\x{FFF0}-\x{FFFF}]b`, `^\x{FFFD}`, `\x{D800}`, `[\x{D800}]`, `[a\x{D800}]`, `(?i)\x{FFFD}`, `^[^\x{FFFD}]$`,
}

var texts = []string{
	"", "a", "abcd", "aaa", "bac", "b", "\n", "a\nc\nabc", "foobarfoo", "foo bar  baz", "aab", "äöü", "ä ", "Straße K STRASSE", "x\x80y a\xffc", "\xe4\xb8", "日本語 5 a1",
	`203.0.113.7 - alice [02/Jan/2026:03:04:05 +0000] "GET /api/v1/orders/7 HTTP/1.1" 200 5316 "https://shop.example/cart" "Mozilla/5.0"`,
	`2026-01-02T03:04:05Z [info] com.example.OrderService: order 4111111111111111 von Jürgen: 5 € - stored`,
	"2026-01-02T03:04:05.678Z stdout F {\"level\":\"Info\"}\nsecond", "ts=1 level=WARNING msg=\"a b\" user=me@example.org password=x", "\x1b[31mred\x1b[0m", "key: value\nother:\n", "a\xff", "\uFFFD", "a\uFFFDb", "\xffb", "\xed\xa0\x80", "GET /healthcheck", strings.Repeat("ab ", 500),
}

// same checks that an expression finds what package regexp finds.
func same(t *testing.T, expression string, texts ...string) {
	t.Helper()
	x, err := Compile(expression)
	if err != nil {
		return
	}
	want := regexp.MustCompile(expression)
	for _, text := range texts {
		if got, want := x.MatchString(text), want.MatchString(text); got != want {
			t.Errorf("%q in %q: %t, want %t", expression, text, got, want)
		}
		if got, want := x.FindStringSubmatchIndex(text), want.FindStringSubmatchIndex(text); !slices.Equal(got, want) {
			t.Errorf("%q in %q: %v, want %v", expression, text, got, want)
		}
		if d := cmp.Diff(want.FindAllStringSubmatchIndex(text, -1), x.FindAllStringSubmatchIndex(text)); d != "" {
			t.Errorf("all %q in %q (-want +got):\n%s", expression, text, d)
		}
	}
}

func TestAnExpressionFindsWhatRegexpFinds(t *testing.T) {
	for _, e := range expressions {
		same(t, e, texts...)
	}
}

// Most of the expressions that log lines are read with are matched here.
func TestUsualExpressionsAreMatchedHere(t *testing.T) {
	for _, e := range expressions[:15] {
		x := MustCompile(e)
		if x.find.code == nil || x.match.code == nil {
			t.Errorf("%q is left to package regexp", e)
		}
		for _, text := range texts {
			x.MatchString(text)
			if x.FindStringSubmatchIndex(text); x.slow > 0 {
				t.Errorf("the matcher gives up for %q in %q", e, text)
				x.slow = 0
			}
		}
	}
	for _, e := range []string{`(a*)*`, `(|a)+`, `(?:x?)+`} {
		if x := MustCompile(e); x.find.code != nil {
			t.Errorf("%q is not left to package regexp", e)
		}
	}
}

// An expression for which there are too many ways to try is left to package regexp.
func TestAnExpressionWithTooManyWaysIsLeftToRegexp(t *testing.T) {
	x, text := MustCompile(`(a|aa)+(a|aa)+(a|aa)+b`), strings.Repeat("a", 60)
	for range 2 * tooSlow / gaveUp {
		if x.MatchString(text) || x.FindStringSubmatchIndex(text) != nil {
			t.Fatal("it is found")
		}
	}
	if x.usable(&x.match, text) {
		t.Error("the matcher still tries")
	}
	if !x.MatchString("aaab") {
		t.Error("it is not found any more")
	}
}

// A line can't make the matcher take much stack, and it doesn't try again and again.
func TestALongLineTakesLittleStack(t *testing.T) {
	text := strings.Repeat("a", maxText)
	for _, e := range []string{`(?:aw*x*)*`, `(?:\w\s*)*`, `^(\S\s?)*`, `^(\S\s?)*$`} {
		x, want := MustCompile(e), regexp.MustCompile(e)
		before := stack()
		if got, want := x.FindStringSubmatchIndex(text), want.FindStringSubmatchIndex(text); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", e, got, want)
		}
		if grew := stack() - before; grew > 4<<20 {
			t.Errorf("%q: the stack grew by %d KiB", e, grew>>10)
		}
		if x.slow != gaveUp {
			t.Errorf("%q: slow is %d: the matcher has not given up", e, x.slow)
		}
	}
}

func stack() int {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.StackInuse)
}

// Some lines for which the matcher gives up don't turn it off for good.
func TestTheMatcherIsTriedAgain(t *testing.T) {
	x, hostile := MustCompile(`(a|aa)+(a|aa)+(a|aa)+b`), strings.Repeat("a", 60)
	for range 2 * tooSlow / gaveUp {
		x.MatchString(hostile)
	}
	for range restFor {
		x.MatchString("aaab")
	}
	if !x.usable(&x.match, "aaab") {
		t.Error("the matcher is still off")
	}
}

// A line is part of the batch that it came in, which must not outlive the call.
func TestTheTextIsNotKept(t *testing.T) {
	long := strings.Repeat("ab ", 900)
	for _, e := range []string{`(\w)+ $`, `(?:(a)|(b)|( ))+$`, `ä`, `c`} {
		for _, text := range []string{long, "ä" + long} {
			x := MustCompile(e)
			x.MatchString(text)
			x.FindStringSubmatchIndex(text)
			if x.FindAllStringSubmatchIndex(text); x.run.text != "" {
				t.Errorf("%q keeps the text", e)
			}
			if kept := cap(x.run.undo); kept > maxUndo {
				t.Errorf("%q keeps %d groups", e, kept)
			}
		}
	}
}

func TestUnknownSyntaxIsAnError(t *testing.T) {
	if _, err := Compile("("); err == nil {
		t.Error("no error")
	}
}

func FuzzAnExpressionFindsWhatRegexpFinds(f *testing.F) {
	for i, e := range expressions {
		f.Add(e, texts[i%len(texts)])
	}
	f.Fuzz(func(t *testing.T, expression, text string) {
		if len(expression) > 200 || len(text) > 2000 {
			return
		}
		same(t, expression, text)
	})
}

func TestFindingAllocatesNothing(t *testing.T) {
	text := texts[17]
	for _, e := range expressions[:2] {
		x := MustCompile(e)
		if n := testing.AllocsPerRun(100, func() {
			x.MatchString(text)
			x.FindStringSubmatchIndex(text)
		}); n > 0 {
			t.Errorf("%q: %v allocations", e, n)
		}
	}
}

func BenchmarkExpressions(b *testing.B) {
	for i, name := range []string{"access", "text", "cri"} {
		text := []string{texts[17], texts[18], texts[19]}[i]
		x := MustCompile(expressions[i])
		b.Run(name+"/here", func(b *testing.B) {
			for b.Loop() {
				x.FindStringSubmatchIndex(text)
			}
		})
		b.Run(name+"/regexp", func(b *testing.B) {
			for b.Loop() {
				x.Regexp.FindStringSubmatchIndex(text)
			}
		})
	}
}
