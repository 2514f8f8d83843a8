package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/component"
)

func TestReadTakesTheAlloyFilesOfADirectoryInOrder(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "sub.alloy"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"b.alloy", "a.alloy", "c.txt", "sub.alloy/d.alloy"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("// "+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sources, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range sources {
		got = append(got, filepath.Base(s.Name)+string(s.Text))
	}
	if diff := cmp.Diff([]string{"a.alloy// a.alloy", "b.alloy// b.alloy"}, got); diff != "" {
		t.Error(diff)
	}
	one, err := Read(filepath.Join(dir, "c.txt"))
	if err != nil || len(one) != 1 {
		t.Errorf("a single file of any name: %v, %v", one, err)
	}
}

func TestReadReportsWhatCannotBeRead(t *testing.T) {
	if _, err := Read(filepath.Join(t.TempDir(), "none.alloy")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that does not exist: %v", err)
	}
	if _, err := Read(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no file whose name ends in .alloy") {
		t.Errorf("an empty directory: %v", err)
	}
}

// sample has a field of every type that a configuration may have.
type sample struct {
	Text     string                        `alloy:"text,attr,optional"`
	Flag     bool                          `alloy:"flag,attr,optional"`
	Int      int                           `alloy:"int,attr,optional"`
	Small    int8                          `alloy:"small,attr,optional"`
	Uint     uint64                        `alloy:"uint,attr,optional"`
	Float    float64                       `alloy:"float,attr,optional"`
	Pointer  *int                          `alloy:"pointer,attr,optional"`
	Duration time.Duration                 `alloy:"duration,attr,optional"`
	Size     component.Bytes               `alloy:"size,attr,optional"`
	Secret   component.Secret              `alloy:"secret,attr,optional"`
	List     []string                      `alloy:"list,attr,optional"`
	Map      map[string]string             `alloy:"map,attr,optional"`
	Headers  map[string][]component.Secret `alloy:"headers,attr,optional"`
	Any      any                           `alloy:"any,attr,optional"`
	Inner    inner                         `alloy:"inner,block,optional"`
	Optional *inner                        `alloy:"optional,block,optional"`
	Many     []inner                       `alloy:"many,block,optional"`
	Group    group                         `alloy:",squash"`
}

type inner struct {
	A int `alloy:"a,attr,optional"`
	B int `alloy:"b,attr,optional"`
}

func (i *inner) SetToDefault() { *i = inner{A: 1, B: 2} }

type group struct {
	Squashed string `alloy:"squashed,attr,optional"`
}

func (s *sample) SetToDefault() {
	*s = sample{Inner: inner{A: 10, B: 20}, Many: []inner{{A: 5}}, List: []string{"default"}}
}

// decode decodes the body of one block. The names that it may refer to are
// those of values.
func decode(body string, values map[string]any) (sample, Diagnostics) {
	var got sample
	doc, ds := Parse([]Source{{Name: "x.alloy", Text: []byte("x.y \"z\" {\n" + body + "\n}\n")}})
	if ds != nil {
		return got, ds
	}
	d := Decoder{
		Language: NewLanguage("v1.2.3"),
		Resolve: func(r Reference) (any, int, error) {
			v, ok := values[r.Path[0]]
			if !ok {
				return nil, 0, fmt.Errorf("%s is unknown", r)
			}
			return v, 1, nil
		},
	}
	ds = d.Decode(doc.Blocks[0], &got)
	return got, ds
}

func TestDecodeEveryType(t *testing.T) {
	seven := 7
	got, ds := decode(`
		text = "x"
		flag = true
		int = -5
		small = "12"
		uint = 18446744073709551615
		float = 1
		pointer = 7
		duration = "1m30s"
		size = "4MiB"
		secret = "s"
		list = ["a", 1, 1.5]
		map = {a = "b", "c-d" = 2}
		headers = {X = ["s"]}
		any = [1, "a", {b = null}]
		squashed = "g"
		inner { a = 3 }
		optional { }
		many { b = 4 }
		many { a = 6 }`, nil)
	if ds != nil {
		t.Fatal(ds)
	}
	want := sample{
		Text: "x", Flag: true, Int: -5, Small: 12, Uint: 18446744073709551615, Float: 1, Pointer: &seven,
		Duration: 90 * time.Second, Size: 4 * component.MiB, Secret: "s", List: []string{"a", "1", "1.5"},
		Map: map[string]string{"a": "b", "c-d": "2"}, Headers: map[string][]component.Secret{"X": {"s"}},
		Any: []any{1, "a", map[string]any{"b": nil}}, Group: group{"g"},
		Inner: inner{3, 2}, Optional: &inner{1, 2}, Many: []inner{{1, 4}, {6, 2}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAbsentBlocksKeepTheDefaultOfTheirParent(t *testing.T) {
	got, _ := decode("", nil)
	if diff := cmp.Diff(sample{Inner: inner{10, 20}, Many: []inner{{A: 5}}, List: []string{"default"}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeRejectsWhatDoesNotFit(t *testing.T) {
	refused := func(body, want string) {
		t.Helper()
		_, ds := decode(body, map[string]any{"opaque": &Opaque{Path: "opaque", Value: 1}, "hidden": component.Secret("h")})
		if ds == nil || !strings.Contains(ds.String(), want) {
			t.Errorf("%s: got %v, want %s", body, ds, want)
		}
	}
	refused("int = 1.5", "int takes a whole number, got the number 1.5")
	refused("int = true", "int takes a whole number, got true")
	refused("small = 128", "from -128 to 127, got the number 128")
	refused("uint = -1", "a whole number from 0, got the number -1")
	refused("flag = \"true\"", "flag takes true or false, got the string \"true\"")
	refused("duration = 30", "not a duration")
	refused("size = 1024", "write a number with a unit")
	refused("list = \"a\"", "list takes a list of string values, got the string \"a\"")
	refused("map = {a = [1]}", "map[\"a\"] takes a string, got a list")
	refused("text = sys.env", "a function that is not called")
	refused("text = opaque", "text takes a string, got opaque")
	refused("list = opaque", "write it in brackets")
	refused("text = hidden", "would show what is secret")
	refused("int = hidden", "would show what is secret")
	refused("text = unknown.x", "x.alloy:2:8: unknown.x is unknown")
	refused("text = 1 / 0", "divide by zero")
	refused("text = string.format()", "expected at least 1 args")
}

func TestSecretsComeFromSecretsAndStrings(t *testing.T) {
	got, ds := decode(`
		secret = hidden
		headers = {X = [hidden, "plain"]}
		text = convert.nonsensitive(hidden)
		any = hidden`, map[string]any{"hidden": component.Secret("h")})
	if ds != nil {
		t.Fatal(ds)
	}
	if got.Secret != "h" || got.Headers["X"][0] != "h" || got.Text != "h" || got.Any != component.Secret("h") {
		t.Errorf("got %#v", got)
	}
}

func TestDiagnosticsNeverShowSecrets(t *testing.T) {
	for _, body := range []string{
		`secret = ["hunter2"]`,
		`secret = "hunter2" - 1`,
		"headers = \"hunter2\"",
		`password = "hunter2"`,
		`text = "http://user:hunter2@host/" + 5 + {}`,
		"headers = {Authorization = [\"hunter2\", {}]}",
	} {
		_, ds := decode(body, nil)
		if ds == nil {
			t.Errorf("%s is accepted", body)
		}
		if text := ds.String(); strings.Contains(text, "hunter2") {
			t.Errorf("%s shows the secret:\n%s", body, text)
		}
	}
}

func TestStandardLibraryInBothSpellings(t *testing.T) {
	t.Setenv("CONFIG_TEST", "value")
	host, _ := os.Hostname()
	check := func(expr string, want any) {
		t.Helper()
		got, ds := decode("any = "+expr, map[string]any{"hidden": component.Secret("h")})
		if ds != nil {
			t.Errorf("%s: %v", expr, ds)
		} else if diff := cmp.Diff(want, got.Any); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", expr, diff)
		}
	}
	check(`[sys.env("CONFIG_TEST"), env("CONFIG_TEST"), env("CONFIG_TEST_NONE")]`, []any{"value", "value", ""})
	check(`[convert.nonsensitive(hidden), nonsensitive("x")]`, []any{"h", "x"})
	check(`array.concat([1], [2, 3])`, []any{1, 2, 3})
	check(`concat([1], [], ["x"])`, []any{1, "x"})
	check(`array.combine_maps([{a = "1", b = "2"}], [{a = "1", c = "3"}], ["a"])`,
		[]any{map[string]any{"a": "1", "b": "2", "c": "3"}})
	check(`array.group_by([{k = "a"}], "k", false)`, []any{map[string]any{"k": "a", "items": []any{map[string]any{"k": "a"}}}})
	check(`[encoding.from_json("{\"a\": [1]}"), json_decode("[true]")]`, []any{map[string]any{"a": []any{1.0}}, []any{true}})
	check(`[encoding.from_yaml("a: 1"), yaml_decode("- x")]`, []any{map[string]any{"a": 1}, []any{"x"}})
	check(`[encoding.from_base64("eHk="), base64_decode("eHk="), encoding.from_URLbase64("_-8=")]`, []any{"xy", "xy", "\xff\xef"})
	check(`[encoding.to_base64("xy"), encoding.to_URLbase64("xy"), encoding.to_json({a = 1})]`, []any{"eHk=", "eHk=", `{"a":1}`})
	check(`[encoding.url_encode("a b"), encoding.url_decode("a+b")]`, []any{"a+b", "a b"})
	check(`[string.format("%s-%d", "a", 1), format("%q", "x")]`, []any{"a-1", `"x"`})
	check(`[string.join(["a", "b"], ","), join([], ",")]`, []any{"a,b", ""})
	check(`[string.replace("aa", "a", "b"), replace("aa", "a", "c")]`, []any{"bb", "cc"})
	check(`[string.split("a,b", ","), split("a", ",")]`, []any{[]any{"a", "b"}, []any{"a"}})
	check(`[string.to_lower("A"), to_lower("B"), string.to_upper("a"), to_upper("b")]`, []any{"a", "b", "A", "B"})
	check(`[string.trim("xax", "x"), trim("!a!", "!"), string.trim_space(" a "), trim_space(" b ")]`, []any{"a", "a", "a", "b"})
	check(`[string.trim_prefix("ab", "a"), trim_prefix("ab", "x"), string.trim_suffix("ab", "b"), trim_suffix("ab", "a")]`,
		[]any{"b", "ab", "a", "ab"})
	check(`file.path_join("a", "b")`, "a/b")
	check(`json_path("{\"a\": [1, 2]}", ".a[1]")[0]`, 2)
	check(`coalesce("", [], null, "x", "y")`, "x")
	check(`[constants.hostname, constants.os, constants.version]`, []any{host, "linux", "v1.2.3"})
	check(`1 + 2 * 3 == 7 && !false`, true)
}

func TestEvaluationNeverPanics(t *testing.T) {
	// The library's own calls Text on these conditions, which are no strings.
	_, ds := decode(`any = array.combine_maps([{a = 1}], [{a = 1}], [1])`, nil)
	if ds == nil || !strings.Contains(ds.String(), "merge condition 1 is not a string") {
		t.Errorf("got %v", ds)
	}
}

func TestWindowsFilesAreRead(t *testing.T) {
	text := "\ufeffa.b \"c\" {\r\n\ttext = `x\r\ny`\r\n}\r\n\r\nd = 1\r\n"
	doc, ds := Parse([]Source{{Name: "w.alloy", Text: []byte(text)}})
	if len(doc.Blocks) != 1 || doc.Blocks[0].At.String() != "w.alloy:1:1" || doc.Blocks[0].EndLine != 4 {
		t.Fatalf("blocks = %+v", doc.Blocks)
	}
	if got := ds.String(); !strings.Contains(got, "w.alloy:6:1") || strings.Contains(got, "\r") {
		t.Errorf("diagnostics = %q", got)
	}
	formatted, err := Format(Source{Name: "w.alloy", Text: []byte("a \"b\" {\r\nc=1\r\n}")})
	if err != nil || string(formatted) != "a \"b\" {\n\tc = 1\n}\n" {
		t.Errorf("Format = %q, %v", formatted, err)
	}
}

func TestCaretIsBelowWhatItMarks(t *testing.T) {
	_, ds := decode("\ttext = \"é\" + [\"é\"]", nil)
	want := "x.alloy:2:16: "
	got := ds.String()
	if !strings.HasPrefix(got, want) || !strings.Contains(got, "\n    2 | \ttext = \"é\" + [\"é\"]\n      | \t             ^^^^^\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestNestingIsBounded(t *testing.T) {
	for _, text := range []string{
		"a = " + strings.Repeat("[", 1e6),
		"a = " + strings.Repeat("!", 1e6) + "true",
		"a = 1" + strings.Repeat(" + 1", 1e6),
		"a = b" + strings.Repeat("[0]", 1e6),
		strings.Repeat("a {\n", 1e6),
	} {
		if _, ds := Parse([]Source{{Name: "x", Text: []byte(text)}}); ds.Err() == nil {
			t.Errorf("%.20s... is accepted", text)
		}
	}
}

func TestFingerprintFollowsTheEnvironment(t *testing.T) {
	fingerprint := func(text string) string {
		doc, ds := Parse([]Source{{Text: []byte(text)}})
		if ds != nil {
			t.Fatal(ds)
		}
		return doc.Blocks[0].Fingerprint(NewLanguage("v1"))
	}
	text := `a "b" { c = [x.y, {d = concat([env("CONFIG_TEST")], [])}] }`
	t.Setenv("CONFIG_TEST", "one")
	one := fingerprint(text)
	if got := fingerprint("// comment\n" + strings.ReplaceAll(text, " {", "   {")); got != one {
		t.Error("layout and comments make a difference")
	}
	t.Setenv("CONFIG_TEST", "two")
	if got := fingerprint(text); got == one {
		t.Error("the environment makes no difference")
	}
}

func TestEncodeHidesSecrets(t *testing.T) {
	s := sample{Secret: "hunter2", Map: map[string]string{"X-Api-Key": "hunter2", "a": "b"},
		Headers: map[string][]component.Secret{"X": {"hunter2"}}, Text: "http://u:hunter2@x/"}
	got := string(Encode(&s, func(any) (any, bool) { return nil, false }))
	if !json.Valid([]byte(got)) || strings.Contains(got, "hunter2") || !strings.Contains(got, `"a":"b"`) {
		t.Errorf("got %s", got)
	}
}

func TestDescribe(t *testing.T) {
	got := Describe(reflect.TypeFor[sample](), nil)
	line := func(name string) string {
		for _, a := range got {
			if a.Name == name {
				return fmt.Sprintf("%s %s %v", a.Type, a.Default, a.Arguments)
			}
		}
		return "none"
	}
	f := func(name, want string) {
		t.Helper()
		if diff := cmp.Diff(want, line(name)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	f("list", `list(string) ["default"] []`)
	f("headers", `map(list(secret))  []`)
	f("size", `size "0B" []`)
	f("duration", `duration "0s" []`)
	f("squashed", `string  []`)
	f("inner", `  [{a int false 1 false false false [] } {b int false 2 false false false [] }]`)
	f("many", `  [{a int false 1 false false false [] } {b int false 2 false false false [] }]`)
}

// steps has an ordered list of blocks of several names.
type steps struct {
	Steps []step `alloy:"step,enum,optional"`
}

type step struct {
	A *stepA `alloy:"a,block,optional"`
	B *stepB `alloy:"b,block,optional"`
}

func (step) Unsupported() []string { return []string{"c"} }

type stepA struct {
	N int `alloy:"n,attr,optional"`
}

func (s *stepA) SetToDefault() { s.N = 7 }

type stepB struct {
	Text string `alloy:"text,attr"`
}

func decodeSteps(t *testing.T, text string) (steps, Diagnostics) {
	t.Helper()
	doc, ds := Parse([]Source{{Name: "x.alloy", Text: []byte(text)}})
	if ds != nil {
		t.Fatal(ds)
	}
	var out steps
	d := Decoder{Language: NewLanguage("v1")}
	ds = d.Decode(doc.Blocks[0], &out)
	return out, ds
}

func TestBlocksOfSeveralNamesKeepTheirOrder(t *testing.T) {
	got, ds := decodeSteps(t, `x "y" {
		step.b { text = "1" }
		step.a { }
		step.b { text = "2" }
		step.a { n = 8 }
	}`)
	if ds != nil {
		t.Fatal(ds)
	}
	want := steps{[]step{{B: &stepB{"1"}}, {A: &stepA{7}}, {B: &stepB{"2"}}, {A: &stepA{8}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	shown := `{"step":[{"b":{"text":"1"}},{"a":{"n":7}},{"b":{"text":"2"}},{"a":{"n":8}}]}`
	if text := string(Encode(&got, func(any) (any, bool) { return nil, false })); text != shown {
		t.Errorf("shown as %s", text)
	}
}

func TestBlocksThatOnlyAlloyHasAreNamed(t *testing.T) {
	_, ds := decodeSteps(t, `x "y" {
	step.c {
		anything = 1
		step.c { }
	}
	step.d { }
	step.b { }
}`)
	var got []string
	for _, d := range ds {
		got = append(got, fmt.Sprintf("%d %s", d.At.Line, d.Message))
	}
	want := []string{
		"2 step.c is an Alloy block that collector does not support",
		"4 step.c is an Alloy block that collector does not support",
		`6 unknown block "step.d" of x; did you mean "step.a"?`,
		`7 step.b lacks the required argument "text"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// loop is a list of blocks that hold blocks of the same list.
type loop struct {
	Steps []loopStep `alloy:"step,enum,optional"`
}

type loopStep struct {
	Match *loopMatch `alloy:"match,block,optional"`
	A     *stepA     `alloy:"a,block,optional"`
}

type loopMatch struct {
	Selector string     `alloy:"selector,attr"`
	Steps    []loopStep `alloy:"step,enum,optional"`
}

func TestBlocksMayHoldBlocksOfTheirOwnKind(t *testing.T) {
	doc, ds := Parse([]Source{{Name: "x.alloy", Text: []byte(`x "y" {
	step.match {
		selector = "outer"
		step.match {
			selector = "inner"
			step.a { n = 3 }
		}
	}
}`)}})
	if ds != nil {
		t.Fatal(ds)
	}
	var got loop
	if ds := (&Decoder{Language: NewLanguage("v1")}).Decode(doc.Blocks[0], &got); ds != nil {
		t.Fatal(ds)
	}
	if inner := got.Steps[0].Match.Steps[0].Match; inner.Selector != "inner" || inner.Steps[0].A.N != 3 {
		t.Errorf("decoded as %+v", inner)
	}
}

// A name that is unknown is looked for in the blocks below, of which there is no
// end here.
func TestAMisspeltNameInBlocksOfTheirOwnKindIsReported(t *testing.T) {
	doc, ds := Parse([]Source{{Name: "x.alloy", Text: []byte(`x "y" {
	nope = 1
	n    = 2
	step.match {
		selector = "s"
		selektor = "t"
	}
}`)}})
	if ds != nil {
		t.Fatal(ds)
	}
	var got []string
	for _, d := range (&Decoder{Language: NewLanguage("v1")}).Decode(doc.Blocks[0], &loop{}) {
		got = append(got, d.Message)
	}
	want := []string{
		`unknown argument "nope" of x`,
		`unknown argument "n" of x; "n" belongs in the block step.a`,
		`unknown argument "selektor" of step.match; did you mean "selector"?`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBlocksOfTheirOwnKindAreDescribedOnce(t *testing.T) {
	got := Describe(reflect.TypeFor[loop](), nil)
	want := []Argument{
		{Name: "step.match", Block: true, Repeatable: true, Arguments: []Argument{
			{Name: "selector", Type: "string", Required: true},
			{Name: "step.*", Block: true, Repeatable: true, As: "step.*"},
		}},
		{Name: "step.a", Block: true, Repeatable: true, Arguments: []Argument{{Name: "n", Type: "int", Default: "7"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A pipe that was read at the start has no writer any more, or one that says nothing: a
// reload must not wait for either forever.
func TestAPipeIsNotWaitedForAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe.alloy")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip("no named pipes here:", err)
	}
	sources, err := ReadAgain(path)
	if err != nil || len(sources) != 1 || len(sources[0].Text) != 0 {
		t.Errorf("without a writer: %v %v, want an empty file", sources, err)
	}
	writer, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if _, err := readAgain(path, 10*time.Millisecond); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("with a writer that says nothing: %v", err)
	}
	regular := filepath.Join(t.TempDir(), "a.alloy")
	if err := os.WriteFile(regular, []byte("a { }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if sources, err := ReadAgain(filepath.Dir(regular)); err != nil || len(sources) != 1 || string(sources[0].Text) != "a { }\n" {
		t.Errorf("a directory: %v %v", sources, err)
	}
}
