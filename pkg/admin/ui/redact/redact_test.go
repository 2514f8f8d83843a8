package redact

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/inspect"
	"collector/pkg/mask"
)

func TestSecretsInTexts(t *testing.T) {
	for text, want := range map[string]string{
		"http://h/?format=b&token=x&type=d":             "http://h/?format=b&token=(secret)&type=d",
		`{"url":"http://u:p@h/?format=b\u0026token=x"}`: `{"url":"http://u:(secret)@h/?format=b\u0026token=(secret)"}`,
		"api_key=1 is no parameter":                     "api_key=1 is no parameter",
		"two /?password=1 and /?secret=2":               "two /?password=(secret) and /?secret=(secret)",
	} {
		if got := mask.WithoutPasswords(text); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestARedactionHidesWholeValuesAndParts(t *testing.T) {
	found := map[string]bool{}
	SecretsIn(labels.FromStrings("a_token", "s3cr", "b_token", "s3cret-one", "c_token", "s3cret-one-more", "d_token", "true", "e_token", "x", "plain", "visible", "f_token", `qu"ote<d`), found)
	if len(found) != 4 || found["visible"] || found["true"] || found["x"] {
		t.Fatalf("%v", found)
	}
	v := (*Redaction)(nil).With(found)
	for text, want := range map[string]string{
		"s3cr": "(secret)", "as3cret": "as3cret", "a s3cret-one b": "a (secret) b", "s3cret-one-more!": "(secret)!", "visible": "visible", "true": "true", "": "",
	} {
		if got := v.Text(text); got != want {
			t.Errorf("%q becomes %q, not %q", text, got, want)
		}
	}
	if got := string(v.JSON(json.RawMessage(`{"s3cret-one": ["s3cret-one", 1, "x s3cret-one"], "q":"qu\"ote\u003cd", "ok":"\u003cx"}`))); got != `{"s3cret-one": ["(secret)", 1, "x (secret)"], "q":"(secret)", "ok":"\u003cx"}` {
		t.Error(got)
	}
	if more := v.With(map[string]bool{"another": true}); more.Text("another s3cret-one") != "(secret) (secret)" || v.Text("another") != "another" {
		t.Error("a redaction over another")
	}
}

// The redaction is made again when the inputs are replaced, and only then.
func TestTheRedactionFollowsTheInputs(t *testing.T) {
	inputs := []labels.Labels{labels.FromStrings("password", "first-secret")}
	rules := []inspect.Relabeling{{Component: "r", Inputs: func() []labels.Labels { return inputs }}}
	u := New(func() []inspect.Relabeling { return rules })
	first := u.Current()
	if u.Current() != first || first.Text("first-secret") != mask.Redacted {
		t.Error("it is made again, or hides nothing")
	}
	inputs = slices.Clone(inputs)
	inputs[0] = labels.FromStrings("password", "second-secret")
	if v := u.Current(); v.Text("second-secret") != mask.Redacted || v.Text("first-secret") != "first-secret" {
		t.Error("it hides what was a secret, not what is")
	}
	rules = nil
	if u.Current().Text("second-secret") != "second-secret" {
		t.Error("it remembers a component that no longer exists")
	}
}
