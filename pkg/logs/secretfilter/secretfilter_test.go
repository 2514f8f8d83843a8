package secretfilter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/logs/logstest"
	"collector/pkg/logs/recordedtest"
	"collector/pkg/pipeline"
)

// Secrets made up for these tests. They are put together from parts, so that secret
// scanners do not find them.
var (
	github = "ghp_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5"
	aws    = "AKIA" + "Q3E7HZ2MNB5KT6WD"
	slack  = "xoxb-" + "263594206564-2343594206574-FGqddMF8t08v8N7Oq4i57vs1MBS"
)

func logsOf(lines ...string) pipeline.Logs {
	s := pipeline.Stream{Labels: labels.FromStrings("job", "a")}
	for i, l := range lines {
		s.Entries = append(s.Entries, pipeline.Entry{Time: time.Unix(int64(i), 0), Line: l})
	}
	return pipeline.Logs{Streams: []pipeline.Stream{{Labels: labels.FromStrings("job", "other"), Entries: []pipeline.Entry{{Line: "nothing"}}}, s}}
}

func newFilter(t *testing.T, c Config, sink pipeline.LogsSink) *Filter {
	t.Helper()
	c.ForwardTo = []pipeline.LogsSink{sink}
	f, err := New(c, component.Options{Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// redacted is the result for one line.
func redacted(t *testing.T, c Config, line string) string {
	t.Helper()
	var sink logstest.Sink
	if err := newFilter(t, c, &sink).WriteLogs(t.Context(), logsOf(line)); err != nil {
		t.Fatal(err)
	}
	return sink.Lines()[1]
}

func TestSecretsAreRedacted(t *testing.T) {
	generic := "api_key = \"" + "zq8Yw3Lk9Vt2Rm5Xc7Bn" + "\""
	file := filepath.Join(t.TempDir(), "rules.toml")
	if err := os.WriteFile(file, []byte("[[rules]]\nid = \"pin\"\nregex = '''pin:([0-9]+)'''\nentropy = 2\n[rules.allowlist]\nregexes = ['000']\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name       string
		config     Config
		line, want string
	}{
		{"default", Config{}, "a " + github + " b " + aws + ", " + github, "a <REDACTED-SECRET:github-pat> b <REDACTED-SECRET:aws-access-token>, <REDACTED-SECRET:github-pat>"},
		{"nothing", Config{}, "GET /index.html 200", "GET /index.html 200"},
		{"types", Config{Types: []string{"GitHub", "gcp"}}, github + " " + aws, "<REDACTED-SECRET:github-pat> " + aws},
		{"redact_with", Config{RedactWith: "[$SECRET_NAME:$SECRET_HASH]"}, github, "[github-pat:ddbb7a2529a4cdfb4983dd39e6187bc2df4af60e]"},
		{"allowlist", Config{AllowList: []string{"^ghp_"}}, github + " " + aws, github + " <REDACTED-SECRET:aws-access-token>"},
		{"partial_mask", Config{PartialMask: 4}, github, "ghp_<REDACTED-SECRET:github-pat>"},
		{"partial_mask shows at most half", Config{PartialMask: 99}, aws, aws[:10] + "<REDACTED-SECRET:aws-access-token>"},
		{"without include_generic", Config{}, generic, generic},
		{"include_generic", Config{IncludeGeneric: true}, generic, "api_key = \"<REDACTED-SECRET:generic-api-key>\""},
		{"gitleaks_config", Config{GitleaksConfig: file}, "pin:123 pin:000 " + github, "pin:<REDACTED-SECRET:pin> pin:000 " + github},
		{"enable_entropy", Config{GitleaksConfig: file, EnableEntropy: true}, "pin:1111 pin:12345", "pin:1111 pin:<REDACTED-SECRET:pin>"},
		{"partial_mask of a short secret", Config{GitleaksConfig: file, PartialMask: 2}, "pin:12345", "pin:<REDACTED-SECRET:pin>"},
	} {
		if got := redacted(t, test.config, test.line); got != test.want {
			t.Errorf("%s: %q becomes %q, want %q", test.name, test.line, got, test.want)
		}
	}
}

func TestSecretsAreCountedByOrigin(t *testing.T) {
	var sink logstest.Sink
	f := newFilter(t, Config{OriginLabel: "job"}, &sink)
	if err := f.WriteLogs(t.Context(), logsOf(github, aws, "x")); err != nil {
		t.Fatal(err)
	}
	if n := testutil.ToFloat64(f.metrics.byOrigin.WithLabelValues("a")); n != 2 {
		t.Errorf("%v secrets of the origin", n)
	}
	if s := f.Status().(Status); s.Redacted != 2 || s.Rules < 200 {
		t.Errorf("%+v", s)
	}
}

// The input is not changed, and what fails is not counted: the caller retries.
func TestTheInputIsNotChanged(t *testing.T) {
	logs := logsOf("x", github)
	sink := logstest.Sink{Fail: func(call int) error {
		if call == 1 {
			return pipeline.ErrFull
		}
		return nil
	}}
	f := newFilter(t, Config{}, &sink)
	if err := f.WriteLogs(t.Context(), logs); !errors.Is(err, pipeline.ErrFull) {
		t.Error(err)
	}
	if n := testutil.ToFloat64(f.metrics.redacted); n != 0 {
		t.Errorf("%v secrets are counted", n)
	}
	if err := f.WriteLogs(t.Context(), logs); err != nil {
		t.Fatal(err)
	}
	if got := logs.Streams[1].Entries[1].Line; got != github {
		t.Errorf("what was given has become %q", got)
	}
	if diff := cmp.Diff([]string{"nothing", "x", "<REDACTED-SECRET:github-pat>"}, sink.Lines()); diff != "" {
		t.Error(diff)
	}
}

func TestRulesThatCannotWork(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]string{
		"[[rules]]\nid = 'a'\nregex = '('\n": "rule \"a\"",
		"no toml":                            "read ",
		"[[rules]]\nid = 'a'\nregex = 'x'\n[[rules.allowlists]]\nregexes = ['(']\n": "rule \"a\"",
		"[allowlist]\nregexes = ['(']\n":                                            "missing closing",
	} {
		file := filepath.Join(dir, "rules.toml")
		if err := os.WriteFile(file, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Config{GitleaksConfig: file}, component.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, c := range []Config{{GitleaksConfig: "/nowhere"}, {AllowList: []string{"("}}} {
		if _, err := New(c, component.Options{}); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

func TestARuleThatWouldNeverEndIsNotUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.toml")
	text := "[[rules]]\nid = 'empty'\nregex = 'x*'\n[[rules]]\nid = 'itself'\nregex = 'SECRET'\n[[rules]]\nid = 'none'\n[[rules]]\nid = 'good'\nregex = 'abc'\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := redacted(t, Config{GitleaksConfig: file}, "xx SECRET abc"); got != "xx SECRET <REDACTED-SECRET:good>" {
		t.Error(got)
	}
}

// The cost of a line must not grow with the square of the secrets in it: for four times
// as many, it would be 16 times as high.
func TestALineWithManySecretsCostsLittle(t *testing.T) {
	f := newFilter(t, Config{Types: []string{"aws-access"}}, discard{})
	_ = f.bytesFor(t, 10) // what is made once
	few, many := f.bytesFor(t, 2000), f.bytesFor(t, 8000)
	if many > 7*few {
		t.Errorf("2,000 secrets take %d bytes, 8,000 take %d", few, many)
	}
}

// bytesFor is how much memory a line with that many secrets takes, also for a moment.
func (f *Filter) bytesFor(t *testing.T, secrets int) uint64 {
	t.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	random := rand.New(rand.NewPCG(3, 4))
	var line strings.Builder
	for range secrets {
		line.WriteString("AKIA")
		for range 16 {
			line.WriteByte(alphabet[random.IntN(len(alphabet))])
		}
		line.WriteByte(' ')
	}
	w := work{marked: make([]bool, len(f.rules.list))}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := f.redact(&w, labels.EmptyLabels(), line.String())
	runtime.ReadMemStats(&after)
	if want := strings.Repeat("<REDACTED-SECRET:aws-access-token> ", secrets); got != want || len(w.redacted) != secrets {
		t.Errorf("%d secrets found of %d, the line becomes %.200q", len(w.redacted), secrets, got)
	}
	return after.TotalAlloc - before.TotalAlloc
}

// Whole secrets are replaced, even if a shorter one has the same beginning.
func TestTheLongerOfTwoSecretsIsReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.toml")
	if err := os.WriteFile(file, []byte("[[rules]]\nid = \"pin\"\nregex = '''pin:([0-9]+)'''\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := redacted(t, Config{GitleaksConfig: file, RedactWith: "X"}, "pin:12 pin:1234 pin:12 and 12345"); got != "pin:X pin:X pin:X and X5" {
		t.Error(got)
	}
}

func TestItStopsWithItsCaller(t *testing.T) {
	var sink logstest.Sink
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newFilter(t, Config{}, &sink).WriteLogs(ctx, logsOf("a")); !errors.Is(err, context.Canceled) || len(sink.Lines()) != 0 {
		t.Errorf("%v, and lines %q have come", err, sink.Lines())
	}
}

// naive is what the rules make of a line when each of them is tried.
func (f *Filter) naive(line string) string {
	for i := range f.rules.list {
		r := &f.rules.list[i]
		before := line
		for _, match := range r.regex.FindAllStringSubmatchIndex(before, -1) {
			if secret := r.secret(before, match); secret != "" && f.isSecret(&work{}, r, secret) {
				line = strings.ReplaceAll(line, secret, f.redaction(r.name, secret))
			}
		}
	}
	return line
}

// Rules that are not tried would not have matched.
func TestEachRuleThatMatchesIsTried(t *testing.T) {
	var sink logstest.Sink
	f := newFilter(t, Config{IncludeGeneric: true}, &sink)
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=.:/ \"'"
	random := rand.New(rand.NewPCG(1, 2))
	var lines []string
	for range 120 {
		var b strings.Builder
		for range 3 {
			of := f.rules.list[random.IntN(len(f.rules.list))]
			if texts := required(of.regex.String()); len(texts) > 0 {
				b.WriteString(texts[random.IntN(len(texts))])
			}
			b.WriteString([]string{"=", ": ", "_", " key=\""}[random.IntN(4)])
			for range random.IntN(60) {
				b.WriteByte(alphabet[random.IntN(len(alphabet))])
			}
		}
		lines = append(lines, b.String())
	}
	lines = append(lines, github, aws, slack, "ADOBE_key=0123456789abcdef0123456789abcdef", "\u017flack_token", strings.ToUpper("adafruit_key="+strings.Repeat("a1", 16)))
	changed, w := 0, work{marked: make([]bool, len(f.rules.list))}
	for _, line := range lines {
		want := f.naive(line)
		if want != line {
			changed++
		}
		if got := f.redact(&w, labels.EmptyLabels(), line); got != want {
			t.Errorf("%q becomes %q, want %q", line, got, want)
		}
	}
	if changed < 10 {
		t.Errorf("only %d lines have secrets: the test shows nothing", changed)
	}
}

func TestWhatMatchesRequire(t *testing.T) {
	for expression, want := range map[string][]string{
		"abc":                   {"abc"},
		"(?i)abC":               {"abc"},
		"x?abc":                 {"abc", "xabc"},
		"[0-9]+ghp_[0-9]":       {"ghp_"},
		"x[0-2]y[^a]":           {"x0y", "x1y", "x2y"},
		`\b(?:AKIA|ASIA)[A-Z]+`: {"akia", "asia"},
		"abc|def":               {"abc", "def"},
		"abc|.*":                nil,
		"abc|d*":                nil,
		"(abc)+":                {"abc"},
		"(abc){2,}":             {"abc"},
		"(abc){0,2}":            nil,
		"abc*":                  {"ab"},
		"a":                     nil,
		"[^a]bcd.*efghi":        {"efghi"},
		"(":                     nil,
		"(?i)ü+abc":             {"abc"},
	} {
		if diff := cmp.Diff(want, required(expression)); diff != "" {
			t.Errorf("%q: %s", expression, diff)
		}
	}
}

// An automaton finds what strings.Contains finds.
func FuzzAutomaton(f *testing.F) {
	f.Add("a she sells", "he", "she", "hers")
	f.Add("aaaa", "aa", "a", "")
	f.Fuzz(func(t *testing.T, line, a, b, c string) {
		nonempty := func(all ...string) []string { return slices.DeleteFunc(all, func(s string) bool { return s == "" }) }
		texts := [][]string{nonempty(lower(a), lower(b)), nonempty(lower(c))}
		found := make([]bool, 2)
		newAutomaton(texts).each(line, func(i int) { found[i] = true })
		for i, of := range texts {
			want := slices.ContainsFunc(of, func(s string) bool { return strings.Contains(lower(line), s) })
			if found[i] != want {
				t.Errorf("%q has one of %q: %t, want %t", line, of, found[i], want)
			}
		}
	})
}

// A text that an expression matches has what it requires.
func FuzzRequired(f *testing.F) {
	f.Add("(?i)ab[cd]|x{2}y?z+", "xABcz")
	f.Add("[0-9]{10}|[a-f]{12,}x", "12345678901")
	f.Fuzz(func(t *testing.T, expression, text string) {
		re, err := compileAll(nil, []string{expression}, "")
		if err != nil || strings.ContainsAny(text, odd) {
			return
		}
		match := re[0].regex.FindString(text)
		texts, run := required(expression), requiredRun(expression)
		if !run.in(match) && match != "" {
			t.Errorf("%q matches %q, which has no run of %d", expression, match, run.n)
		}
		if match != "" && len(texts) > 0 && !slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(lower(match), s) }) {
			t.Errorf("%q matches %q, which has none of %q", expression, match, texts)
		}
	})
}

func TestItKeepsTheContractOfSinks(t *testing.T) {
	logstest.TestPassing(t, func(t *testing.T, to pipeline.LogsSink) logstest.Passing { return newFilter(t, Config{}, to) })
}

func TestRecordedCases(t *testing.T) {
	for _, c := range recordedtest.Load(t, "loki.secretfilter") {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, []component.Definition{Definition()}, nil) })
	}
}

type discard struct{}

func (discard) WriteLogs(context.Context, pipeline.Logs) error { return nil }

func BenchmarkLines(b *testing.B) {
	f, err := New(Config{ForwardTo: []pipeline.LogsSink{discard{}}}, component.Options{})
	if err != nil {
		b.Fatal(err)
	}
	var lines []string
	for i := range 100 {
		lines = append(lines, fmt.Sprintf(`10.0.0.%d - - [14/Nov/2023:22:13:20 +0000] "GET /api/v1/orders/%d?page=2 HTTP/1.1" 200 5316 "https://shop.example/" "Mozilla/5.0" 0.%03d`, i, i*7, i))
	}
	logs := logsOf(lines...)
	b.ReportAllocs()
	for b.Loop() {
		if err := f.WriteLogs(b.Context(), logs); err != nil {
			b.Fatal(err)
		}
	}
}
