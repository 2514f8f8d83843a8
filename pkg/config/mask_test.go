package config

import (
	"strings"
	"testing"
)

func TestAParameterOfAURLIsMaskedInPlace(t *testing.T) {
	line := `url = "http://u:pw@h/?token=abc&from=y"`
	if got := maskLine(line); got != `url = "http://u:**@h/?token=***&from=y"` || len(got) != len(line) {
		t.Error(got)
	}
	if got := maskLine(`{"__param_token" = "abc", "x" = "y"}`); strings.Contains(got, "abc") {
		t.Error(got)
	}
}

func TestArgumentsAreEncodedWithoutWhatIsNotKnownToBeHarmless(t *testing.T) {
	type rule struct {
		Target      string `alloy:"target_label,attr,optional"`
		Replacement string `alloy:"replacement,attr,optional"`
	}
	type arguments struct {
		Headers map[string]string   `alloy:"headers,attr,optional"`
		Params  map[string][]string `alloy:"params,attr,optional"`
		Rules   []rule              `alloy:"rule,block,optional"`
	}
	got := string(Encode(arguments{
		Headers: map[string]string{"x-honeycomb-team": "hunter2", "X-Scope-OrgID": "tenant"},
		Params:  map[string][]string{"sig": {"hunter2"}, "module": {"http"}},
		Rules:   []rule{{"__param_access_token", "hunter2"}, {"__param_key", "$1"}, {"job", "shop"}},
	}, func(any) (any, bool) { return nil, false }))
	want := `{"headers":{"X-Scope-OrgID":"tenant","x-honeycomb-team":"(secret)"},"params":{"module":["http"],"sig":["(secret)"]},` +
		`"rule":[{"target_label":"__param_access_token","replacement":"(secret)"},{"target_label":"__param_key","replacement":"$1"},{"target_label":"job","replacement":"shop"}]}`
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
