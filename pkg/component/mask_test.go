package component

import "testing"

func TestLabelsThatAreSecretAreNotWritten(t *testing.T) {
	got := WithoutLabelSecrets(`{__address__="x:1", __param_api_key="a\"b", url="http://u:p@h/?token=x&step=z", password=""}`)
	if want := `{__address__="x:1", __param_api_key="(secret)", url="http://u:(secret)@h/?token=(secret)&step=z", password=""}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestURLsAreWrittenWithoutPasswordsAndKeys(t *testing.T) {
	for text, want := range map[string]string{
		"http://h/?format=b&api_key=x&type=d":       "http://h/?format=b&api_key=(secret)&type=d",
		`Get "http://h/m?token=x": refused`: `Get "http://h/m?token=(secret)": refused`,
		"http://u:p@h/":                     "http://u:(secret)@h/",
		"key_file=/a is no parameter":       "key_file=/a is no parameter",
	} {
		if got := WithoutPasswords(text); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}
