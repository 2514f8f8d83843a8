package config

import (
	"strings"
	"testing"
)

func TestSecretsInTexts(t *testing.T) {
	for text, want := range map[string]string{
		"http://h/?format=b&token=x&type=d":             "http://h/?format=b&token=(secret)&type=d",
		`{"url":"http://u:p@h/?format=b\u0026token=x"}`: `{"url":"http://u:(secret)@h/?format=b\u0026token=(secret)"}`,
		"two /?password=1 and /?secret=2":               "two /?password=(secret) and /?secret=(secret)",
		"api_key=1 is no parameter":                     "api_key=1 is no parameter",
	} {
		if got := WithoutPasswords(text); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
	json := `{"__param_token":"a\"b","name":"c","password_file":"/f","api_key": "d","password":""}`
	if got := WithoutSecrets(json); got != `{"__param_token":"(secret)","name":"c","password_file":"/f","api_key": "(secret)","password":""}` {
		t.Errorf("%s", got)
	}
}

func TestAParameterOfAURLIsMaskedInPlace(t *testing.T) {
	line := `url = "http://u:pw@h/?token=abc&from=y"`
	if got := maskLine(line); got != `url = "http://u:**@h/?token=***&from=y"` || len(got) != len(line) {
		t.Error(got)
	}
	if got := maskLine(`{"__param_token" = "abc", "x" = "y"}`); strings.Contains(got, "abc") {
		t.Error(got)
	}
}
