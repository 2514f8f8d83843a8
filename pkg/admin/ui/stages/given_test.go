package stages

import (
	"maps"
	"testing"
	"unicode/utf8"
)

func TestLabelsAreReadAsPeopleWriteThem(t *testing.T) {
	want := map[string]string{"app": "shop", "x.y": `a "b", c=d`}
	for _, text := range []string{
		"app=shop\nx.y=a \"b\", c=d", " app = shop \r\n\r\nx.y = a \"b\", c=d", `{app="shop", x.y="a \"b\", c=d"}`, `{"app": "shop", "x.y": "a \"b\", c=d"}`, "app=shop\nx.y=\"a \\\"b\\\", c=d\"",
	} {
		if got, err := parsePairs(text); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"app", "=x", `{app=shop}`, `{app="shop"`[:5], `{app="\q"}`} {
		if got, err := parsePairs(text); err == nil {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// What the form shows reads back unchanged.
func FuzzPairs(f *testing.F) {
	f.Add("app=shop", "v")
	f.Add(`{a="b", c="d"}`, " x\n")
	f.Add(`{"a": "b"}`, `"q"`)
	f.Fuzz(func(t *testing.T, text, value string) {
		got, err := parsePairs(text)
		if err != nil {
			return
		}
		got["last"] = value
		for name, v := range got {
			if !utf8.ValidString(name + v) {
				return
			}
		}
		for name := range got {
			if again, err := parsePairs(name + "=x"); err != nil || again[name] != "x" {
				return // JSON may have names that no label has
			}
		}
		if again, err := parsePairs(pairsText(got)); err != nil || !maps.Equal(again, got) {
			t.Errorf("%q becomes %q and then %q, %v", got, pairsText(got), again, err)
		}
	})
}
