package process

import (
	"strings"
	"testing"

	jsoniter "github.com/json-iterator/go"
)

// jsonSamples are lines, well-formed and not.
func jsonSamples() []string {
	return []string{
		`{"a":1,"b":{"c":"x","d":[1,2,{"e":null}]},"s":"text"}`, `{"a":-0.5e3,"s":""}`, ` { "a" : true , "b" : { } } `, `{}`, `null`, `[]`, `"s"`, ``,
		`{"a":1,"a":2}`, `{"b":{"c":1},"b":{}}`, `{"b":{"c":1},"b":3}`, `{"a":"\u0041\n"}`, `{"\u0061":1}`, `{"a":01}`, `{"a":1.}`, `{"a":+1}`, `{"a":1}x`,
		`{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{"a":nul}`, `{"a":1 "s":2}`, "{\"a\":\"\x01\"}", "{\"s\":\"\xff\"}", `{"a":1e999}`, `{"a":"unended`, `{"a":123456789012345678901234567890}`,
		`{"x":1e700}`, `{"x":1e300}`, `{"x":` + strings.Repeat("9", 400) + `}`, `{"s":{"nested":1}}`, `{"s":[1,"<a>&"]}`, `{"b":[{"c":1}]}`,
		`{"s":"a\"b\\\/\b\f\n\r\tä\u00e4\u20AC"}`, `{"s":"\ud83d\ude00","a":"\ud83d"}`, `{"s":"\x"}`, `{"s":"\u12"}`, `{"s":"\u00zz"}`, `{"s":"\`, `{"x\n":"\n","b":{"c":"\u0000"}}`,
	}
}

// The scanner finds what the library finds, or gives up.
func FuzzJSONPathsAgreeWithTheLibrary(f *testing.F) {
	for _, s := range jsonSamples() {
		f.Add(s)
	}
	stage, err := newJSON(JSONConfig{Expressions: map[string]string{"a": "", "c": "b.c", "s": "", "e": "b.d.e", "s2": "s"}})
	if err != nil {
		f.Fatal(err)
	}
	s := stage.(*jsonStage)
	if s.paths == nil {
		f.Fatal("plain paths are not scanned")
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !s.paths.find(text) {
			return
		}
		scanned := append([]Value(nil), s.paths.values...)
		var data map[string]any
		if err := jsoniter.UnmarshalFromString(text, &data); err != nil {
			t.Fatalf("%q: the library says %v", text, err)
		}
		for i, name := range s.names {
			want, ok := s.search(s.expressions[i], data)
			if !ok || scanned[i] != want && !(scanned[i].number != scanned[i].number) {
				t.Errorf("%q: %s is %+v, the library says %+v", text, name, scanned[i], want)
			}
		}
	})
}

func TestMostJSONIsScanned(t *testing.T) {
	p := newJSONPaths([]string{"level", "req.id", "n"})
	for text, want := range map[string]bool{
		`{"level":"info","msg":"served","req":{"id":"7","path":"/"},"n":1.5,"tags":["a"]}`: true,
		`{"msg":"a \"quoted\" word"}`: true,
		`{"msg":"half \ud83d"}`:       false,
		`{"level":{}}`:                false,
		`not json`:                    false,
	} {
		if got := p.find(text); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}
