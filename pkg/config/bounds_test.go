package config

import (
	"strings"
	"testing"

	"collector/pkg/component"

	"github.com/google/go-cmp/cmp"
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

// refusedFor checks that an expression is refused for a reason; "": that it is not.
func refusedFor(t *testing.T, expression, want string, values map[string]any) any {
	t.Helper()
	got, ds := decode("any = "+expression, values)
	text := ""
	if err := ds.Err(); err != nil {
		text = err.Error()
	}
	if (text == "") != (want == "") || !strings.Contains(text, want) {
		t.Errorf("%.70s: %.300q, want %q", expression, text, want)
	}
	return got.Any
}

// zeros is an expression for a text of a million times text.
func zeros(text string) string {
	return `string.replace(string.format("%0999999d", 0), "0", "` + text + `")`
}

func TestFunctionsThatMakeLongListsAreBounded(t *testing.T) {
	objects := func(n int, object string) string { return "[" + strings.Repeat(object+", ", n) + "]" }
	many := objects(800, `{k = "1"}`)
	long := objects(150, `{k = "1", text = "`+strings.Repeat("x", 1000)+`"}`)
	list := `string.split(string.format("%0600000d", 0), "")`
	for expression, want := range map[string]string{
		`array.combine_maps(` + many + `, ` + many + `, ["k"])`:                                     "combine_maps would be larger",
		`array.combine_maps(` + long + `, ` + objects(150, `{k = "2"}`) + `, ["k"], true)`:          "combine_maps would be larger",
		`array.combine_maps(` + objects(5000, "{}") + `, ` + objects(5000, "{}") + `, ["k"], true)`: "combine_maps would compare 5000 objects",
		`array.combine_maps(` + many + `, [{k = "1", l = "2"}], ["k"])`:                             "",
		`string.split(string.format("%0999999d", 0), "")`:                                           "split would be larger",
		`split(string.format("%0999999d", 0), "")`:                                                  "split would be larger",
		`array.concat(` + list + `, ` + list + `)`:                                                  "concat would be larger",
		`concat(` + list + `, ` + list + `)`:                                                        "concat would be larger",
		`concat(` + list + `, ["x"])`:                                                               "",
	} {
		refusedFor(t, expression, want, nil)
	}
}

func TestFunctionsThatEncodeAndDecodeAreBounded(t *testing.T) {
	json := `string.join(["[", string.replace(string.format("%0600000d", 0), "0", "[],"), "1]"], "")`
	nested := `"` + strings.Repeat("[", 2000) + "1" + strings.Repeat("]", 2000) + `"`
	aliases := "string.join([`a: &a `, " + zeros("x") + ", `\nb: [" + strings.Repeat("*a, ", 20) + "]`], ``)"
	for expression, want := range map[string]string{
		`encoding.url_encode(` + zeros("//////") + `)`:                     "encoding.url_encode would be larger",
		`encoding.to_base64(` + zeros("123456789012345") + `)`:             "encoding.to_base64 would be larger",
		`encoding.to_URLbase64(` + zeros("123456789012345") + `)`:          "encoding.to_URLbase64 would be larger",
		`encoding.to_json({a = ` + zeros("<<<<<<") + `})`:                  "encoding.to_json would be larger",
		`encoding.from_json(` + json + `)`:                                 "encoding.from_json would be larger",
		`json_decode(` + json + `)`:                                        "json_decode would be larger",
		`encoding.from_yaml(` + json + `)`:                                 "encoding.from_yaml would be larger",
		`yaml_decode(` + aliases + `)`:                                     "yaml_decode would be larger",
		`encoding.from_yaml(` + aliases + `)`:                              "encoding.from_yaml would be larger",
		`json_path(` + nested + `, "$..*..*..*")`:                          "json_path would be larger",
		`json_path(` + nested + `, "$..*")`:                                "json_path would be larger",
		`json_path("[1, 2]", "$[` + strings.Repeat("0,", 4e5) + `0]")`:     "json_path would be larger",
		`json_path("{\"a\": [1, 2]}", "$..a[0,1]")`:                        "",
		`encoding.from_yaml("a: &a [x]\nb: [*a, *a]\n")`:                   "",
		`string.format("%v%v%v%v%v", [` + zeros("x") + `, 1], 2, 3, 4, 5)`: "format would be larger",
	} {
		refusedFor(t, expression, want, nil)
	}
}

// Each result is small enough, and there are many of them.
func TestWhatOneExpressionMakesIsBounded(t *testing.T) {
	ten := zeros("xxxxxxxxxx")
	for expression, want := range map[string]string{
		"[" + strings.Repeat(ten+", ", 7) + "]":                  "more than 64 MiB",
		"[" + strings.Repeat("to_upper(to_lower(x)), ", 4) + "]": "more than 64 MiB",
		"string.join([x, x], `/`)":                               "join would be larger",
		"file.path_join(x, x)":                                   "path_join would be larger",
		"[" + ten + ", to_lower(x), string.to_upper(x)]":         "",
	} {
		refusedFor(t, expression, want, map[string]any{"x": strings.Repeat("x", 10<<20)})
	}
}

// Blocks that refer to each other twice make 2ⁿ of one.
func TestReferencesThatDoubleAreBounded(t *testing.T) {
	for _, expression := range []string{"[v, v]", "v + v", "{a = v, b = v}"} {
		var value any = strings.Repeat("x", 1<<20)
		times := 0
		for ; times < 10; times++ {
			got, ds := decode("any = "+expression, map[string]any{"v": value})
			if ds != nil {
				if !strings.Contains(ds.String(), "larger than 64 MiB") {
					t.Errorf("%s: %v", expression, ds)
				}
				break
			}
			value = got.Any
		}
		if times < 4 || times == 10 {
			t.Errorf("%s: refused after %d times", expression, times)
		}
	}
}

func TestCombineMapsIsTheLibrarys(t *testing.T) {
	values := map[string]any{"secret": component.Secret("h")}
	for expression, want := range map[string]any{
		`array.combine_maps([{k = "1", s = secret}], [{k = "1"}], ["k"])`:      []any{map[string]any{"k": "1", "s": component.Secret("h")}},
		`array.combine_maps([{k = "1"}], [{k = "2"}, {k = "3"}], ["k"], true)`: []any{map[string]any{"k": "1"}, map[string]any{"k": "1"}},
		`array.combine_maps([{k = 1}, {}], [{k = 1, v = [2]}], ["k"])`:         []any{map[string]any{"k": 1, "v": []any{2}}},
		`array.combine_maps([{k = "1"}], [{k = 1}], ["k"])`:                    []any{},
	} {
		if diff := cmp.Diff(want, refusedFor(t, expression, "", values)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", expression, diff)
		}
	}
	refusedFor(t, `array.combine_maps([], [], [])`, "merge conditions must not be empty", nil)
	refusedFor(t, `array.combine_maps([], [], ["a"], true, true)`, "takes 3 or 4 arguments", nil)
	refusedFor(t, `array.combine_maps([1], [], ["a"])`, "should be", nil)
}
