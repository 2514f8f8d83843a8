package process

import (
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/prometheus/prometheus/model/labels"
)

// Stages that do by hand what a library does are compared with the library.

// templates are what templates in configurations look like.
var templates = []string{
	"", "text", "{{ .level }}", "{{ .Value }}", "{{ .Entry }}", "{{ .missing }}", "{{ .null }}", "{{ .number }} {{ .bool }}",
	"{{ ToUpper .Value }}", "{{ .Value | ToLower | TrimSpace }}", "{{ .missing | ToUpper }}", "a{{- .level -}} b",
	`{{ Replace .Value "a" "b" -1 }}`, `{{ Replace .Value "a" "b" 1 | ToUpper }}`, `{{ Replace .Value "a" "b" 0x1 }}`, `{{ Replace .Value "a" "b" 1.0 }}`,
	`{{ Trim .Value " x" }}|{{ TrimLeft .Value " " }}|{{ TrimRight .Value " " }}|{{ TrimPrefix .Value "a" }}{{ TrimSuffix .Value "a" }}`,
	`{{ Sha2Hash .Value "salt" }} {{ Hash "salt" .Value }}`, `{{ lower .Value }}{{ upper .Value }}{{ trim .Value }}`,
	"{{ if .level }}{{ .level }}{{ else }}info{{ end }}", "{{ if .missing }}a{{ else if .level }}b{{ else }}c{{ end }}",
	`{{ if contains "a" .Value }}yes{{ else if hasPrefix "b" .Value }}b{{ else if hasSuffix "c" .Value }}c{{ end }}`,
	`{{ if eq .level "info" }}i{{ end }}`, `{{ if eq .level "a" "info" .Value }}i{{ end }}`, `{{ eq .missing .null }}`, `{{ eq .missing "" }}`, `{{ eq "" .missing }}`,
	`{{ eq .level 1 }}`, `{{ eq 1 1 }}`, `{{ eq 1 2 }}{{ eq 1 "1" .level }}`, `{{ eq .missing 1 }}`, `{{ eq (eq 1 1) (eq 2 2) }}`, `{{ eq .level (eq 1 1) }}`, `{{ eq .level }}`,
	`{{ or .missing .level "x" }}`, `{{ or .missing .null }}`, `{{ and .level .Value }}`, `{{ and .missing (ToUpper .missing) }}`, `{{ or .level (ToUpper .missing) }}`,
	`{{ .level | or .missing }}`, `{{ or 0 1 }}{{ and 1 0 }}`, `{{ not .missing }}{{ not .level }}{{ not 0 }}`, `{{ or }}`,
	`{{ default "x" .missing }}{{ default "x" .level }}{{ .level | default "y" }}{{ default "x" "" }}{{ default .missing .null }}{{ default 1 0 }}`, `{{ default "x" }}`,
	`{{ "constant" }}`, "{{ `raw` | ToUpper }}", `{{ 1 }}`, `{{ -5 }}`, `{{ +5 }}`, `{{ 0x10 }}`, `{{ 1.5 }}`, `{{ 'a' }}`, `{{ 1_000 }}`, `{{ true }}`, `{{ nil }}`,
	`{{ ToUpper 1 }}`, `{{ ToUpper (not .level) }}`, `{{ ToUpper (ToLower .Value) }}`, `{{ (ToLower .Value) | ToUpper }}`, `{{ (.level) }}`, `{{ ToUpper }}`, `{{ ToUpper .level .level }}`,
	"{{/* a comment */}}x", "{{ $x := .level }}{{ $x }}", "{{ with .level }}{{ . }}{{ end }}", "{{ range $k, $v := . }}{{ $v }}{{ end }}", "{{ . }}", "{{ .level.x }}",
	`{{ printf "%s-%d" .level 5 }}`, `{{ regexReplaceAll "a+" .Value "b" }}`, `{{ toJson .Value }}`, `{{ .Value | quote }}`, `{{ define "a" }}x{{ end }}{{ template "a" }}`,
	`{{ len .Value }}`, `{{ index . "level" }}`, `{{ if not (eq .level "info") }}x{{ end }}`, `{{ if ne .level "info" }}x{{ end }}`, "{{ .level", "{{ unknown .level }}",
	`{{ contains 1 .Value }}`, `{{ contains .missing .Value }}`, `{{ Replace .Value "a" "b" .number }}`, `{{ Replace .Value "a" "b" (or 1) }}`,
}

// checkTemplate compares a template's program with text/template.
func checkTemplate(t *testing.T, text, level, value string) (quick bool) {
	t.Helper()
	template, err := newTextTemplate(text)
	if err != nil {
		return false
	}
	x := Extracted{initial: labels.FromStrings("level", level, "number", "label")}
	x.Set("source", Text(value))
	x.Set("null", Null())
	x.Set("number", Number(1.5))
	x.Set("bool", Bool(true))
	for _, in := range []templateInput{
		{extracted: &x, entry: "the line", isEntry: true},
		{extracted: &x, entry: "the line", isEntry: true, value: value, isText: true},
		{extracted: &x, value: value, isText: true},
	} {
		got, ok := template.execute(&in)
		made := string(got)
		if err := template.executeLibrary(&in); (err == nil) != ok {
			t.Fatalf("%q of %q, %q: it succeeds: %t, and by the library: %v", text, level, value, ok, err)
		}
		if want := template.out.String(); ok && made != want {
			t.Fatalf("%q of %q, %q is %q, and by the library %q", text, level, value, made, want)
		}
	}
	return template.program != nil
}

func TestTemplatesDoWhatTheLibraryDoes(t *testing.T) {
	quick := 0
	for _, text := range templates {
		if checkTemplate(t, text, "info", " aab ") {
			quick++
		}
		checkTemplate(t, text, "", "")
	}
	if quick < 50 {
		t.Errorf("of %d templates, %d need no library", len(templates), quick)
	}
	r := rand.New(rand.NewPCG(1, 2))
	quick = 0
	for range 3000 {
		if checkTemplate(t, "a{{"+randomPipe(r, 3)+"}}{{if "+randomPipe(r, 3)+"}}b{{else}}c{{end}}", []string{"", "info", "1"}[r.IntN(3)], []string{"", "a b", "ab"}[r.IntN(3)]) {
			quick++
		}
	}
	if quick < 1000 {
		t.Errorf("%d templates made at random need no library", quick)
	}
}

// randomPipe makes a pipe, whose arguments may be of any kind.
func randomPipe(r *rand.Rand, depth int) string {
	operands := []string{".level", ".Value", ".Entry", ".missing", ".null", ".number", `""`, `"a"`, `"info"`, "0", "1", "-1"}
	operand := func() string {
		if depth > 0 && r.IntN(3) == 0 {
			return "(" + randomPipe(r, depth-1) + ")"
		}
		return operands[r.IntN(len(operands))]
	}
	calls := map[string]int{"ToLower": 1, "lower": 1, "TrimSpace": 1, "trim": 1, "Trim": 2, "TrimLeft": 2, "TrimPrefix": 2, "contains": 2, "hasPrefix": 2, "hasSuffix": 2,
		"Replace": 4, "eq": 2 + r.IntN(2), "not": 1, "default": 2, "or": 1 + r.IntN(3), "and": 1 + r.IntN(3), "Sha2Hash": 2}
	var out strings.Builder
	if r.IntN(2) == 0 {
		out.WriteString(operand())
		if r.IntN(2) == 0 {
			return out.String()
		}
		out.WriteString(" | ")
	}
	names := []string{"ToLower", "lower", "TrimSpace", "trim", "Trim", "TrimLeft", "TrimPrefix", "contains", "hasPrefix", "hasSuffix", "Replace", "eq", "not", "default", "or", "and", "Sha2Hash"}
	name := names[r.IntN(len(names))]
	piped := out.Len() > 0
	out.WriteString(name)
	for i := range calls[name] {
		if piped && i == 0 {
			continue
		}
		out.WriteString(" " + operand())
	}
	return out.String()
}

func FuzzTemplate(f *testing.F) {
	for _, text := range templates {
		f.Add(text, "info", "a b")
	}
	f.Fuzz(func(t *testing.T, text, level, value string) {
		if len(text)+len(level)+len(value) > 200 { // Replace within Replace multiplies
			return
		}
		if template, err := newTextTemplate(text); err == nil && template.program != nil {
			checkTemplate(t, text, level, value)
		}
	})
}

// escapes is the expression by which Alloy removes escape sequences.
var escapes = regexp.MustCompile(`[\x{1B}\x{9B}][[\]()#;?]*(?:(?:(?:[a-zA-Z\d]*(?:;[a-zA-Z\d]*)*)?\x{07})|(?:(?:\d{1,4}(?:;\d{0,4})*)?[\dA-PRZcf-ntqry=><~]))`)

func checkEscapes(t *testing.T, text string) {
	t.Helper()
	if got, want := withoutEscapes(text), escapes.ReplaceAllLiteralString(text, ""); got != want {
		t.Fatalf("%q becomes %q, want %q", text, got, want)
	}
}

func TestEscapesAreRemovedLikeByAlloysExpression(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const characters = "\x1b\u009b\x1b[[]();;?0123456789mKxZQ\a ~=é\xff"
	runes := []rune(characters)
	for range 100_000 {
		var text strings.Builder
		for range r.IntN(14) {
			text.WriteRune(runes[r.IntN(len(runes))])
		}
		checkEscapes(t, text.String())
	}
	for _, text := range []string{"", "plain", "\x1b", "\x9b1m", "\x1b[", "\x1b[31mred\x1b[0m", "\x1b]0;title\a", "\x1b[12345m", "\x1b[1;;2m", "\x1b[;m", "a\x1bx"} {
		checkEscapes(t, text)
	}
}

func FuzzDecolorize(f *testing.F) {
	f.Add("\x1b[31mred\x1b[0m \u009b1;2m \x1b]0;title\a")
	f.Fuzz(checkEscapes)
}

// redactSlowly is what redact does, as plainly as it can be written.
func redactSlowly(text string, min int, delimiters, replacement string) string {
	runes := []rune(text)
	out := ""
	for i := 0; i < len(runes); {
		if !unicode.IsDigit(runes[i]) {
			out += string(runes[i])
			i++
			continue
		}
		digits, end, last := "", i, i
		for end < len(runes) && (unicode.IsDigit(runes[end]) || strings.ContainsRune(delimiters, runes[end])) {
			if unicode.IsDigit(runes[end]) {
				digits, last = digits+string(runes[end]), end+1
			}
			end++
		}
		n, err := strconv.Atoi(digits)
		sum := 0
		for double := false; n > 0; double, n = !double, n/10 {
			d := n % 10
			if double {
				d = 2*d/10 + 2*d%10
			}
			sum += d
		}
		switch {
		case err != nil || len(digits) < min || sum%10 != 0:
			out += string(runes[i:end])
		case end > last:
			out += replacement + string(runes[end-1])
		default:
			out += replacement
		}
		i = end
	}
	return out
}

func TestCardNumbersAreRedacted(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	replaced := 0
	for range 20_000 {
		var text strings.Builder
		runes := []rune("0123456789012345678901234567890123456789--. x٣")
		for range r.IntN(50) {
			text.WriteRune(runes[r.IntN(len(runes))])
		}
		delimiters := []string{"", "-", "- ."}[r.IntN(3)]
		s, err := newLuhn(LuhnConfig{Delimiters: delimiters, MinLength: 5, Replacement: "R"})
		if err != nil {
			t.Fatal(err)
		}
		got, want := s.(*luhn).redact(text.String()), redactSlowly(text.String(), 5, delimiters, "R")
		if got != want {
			t.Fatalf("%q becomes %q, want %q", text.String(), got, want)
		}
		replaced += strings.Count(want, "R")
	}
	if replaced < 1000 {
		t.Errorf("only %d numbers were replaced", replaced)
	}
}
