package expression

import (
	"regexp"
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
}

var texts = []string{
	"", "a", "abcd", "aaa", "bac", "b", "\n", "a\nc\nabc", "foobarfoo", "foo bar  baz", "aab", "äöü", "ä ", "Straße K STRASSE", "x\x80y a\xffc", "\xe4\xb8", "日本語 5 a1",
	`203.0.113.7 - alice [02/Jan/2026:03:04:05 +0000] "GET /api/v1/orders/7 HTTP/1.1" 200 5316 "https://shop.example/cart" "Mozilla/5.0"`,
	`2026-01-02T03:04:05Z [info] com.example.OrderService: order 4111111111111111 von Jürgen: 5 € - stored`,
	"2026-01-02T03:04:05.678Z stdout F {\"level\":\"Info\"}\nsecond", "ts=1 level=WARNING msg=\"a b\" user=me@example.org password=x", "\x1b[31mred\x1b[0m", "key: value\nother:\n", "GET /healthcheck", strings.Repeat("ab ", 500),
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
		if x := MustCompile(e); x.find.code == nil || x.match.code == nil {
			t.Errorf("%q is left to package regexp", e)
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
