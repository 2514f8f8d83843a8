package mask

import "testing"

func TestLabelsThatAreSecretAreNotWritten(t *testing.T) {
	got := WithoutLabelSecrets(`{__address__="x:1", __param_api_key="a\"b", url="http://u:p@h/?token=x&step=z", password=""}`)
	if want := `{__address__="x:1", __param_api_key="(secret)", url="http://u:(secret)@h/?token=(secret)&step=z", password=""}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestLoginsWithoutASchemeAreWrittenWithoutPasswords(t *testing.T) {
	for text, want := range map[string]string{
		`host "u:p@h:2375" is not an address`:         `host "u:(secret)@h:2375" is not an address`,
		"dial tcp: address u:p@127.0.0.1:1: too many": "dial tcp: address u:(secret)@127.0.0.1:1: too many",
		"u:p@h": "u:(secret)@h",
		"image nginx:1.25@sha256:abc of shop@example": "image nginx:1.25@sha256:abc of shop@example",
		"http://u:(secret)@h/ and a line 3:4: x@y":    "http://u:(secret)@h/ and a line 3:4: x@y",
	} {
		if got := WithoutLogins(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestURLsAreWrittenWithoutPasswordsAndKeys(t *testing.T) {
	for text, want := range map[string]string{
		"http://h/?format=b&api_key=x&type=d": "http://h/?format=b&api_key=(secret)&type=d",
		`Get "http://h/m?token=x": refused`:   `Get "http://h/m?token=(secret)": refused`,
		"http://u:p@h/":                       "http://u:(secret)@h/",
		"key_file=/a is no parameter":         "key_file=/a is no parameter",
	} {
		if got := WithoutPasswords(text); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestOnlyKnownHeadersAndParametersAreShown(t *testing.T) {
	for text, want := range map[string]string{
		"http://h/?key=x&sig=y&auth=z&code=w&p=v":    "http://h/?key=(secret)&sig=(secret)&auth=(secret)&code=(secret)&p=(secret)",
		"http://h/?match[]=up&module=x&from=1":       "http://h/?match[]=up&module=x&from=1",
		"http://h/?match%5B%5D=up&k%65y=x":           "http://h/?match%5B%5D=up&k%65y=(secret)",
		"tcp://u:p@ss@h:1/x":                         "tcp://u:(secret)@h:1/x",
		"(?i)job=x and (?P<name>a=b) are no queries": "(?i)job=x and (?P<name>a=b) are no queries",
	} {
		if got := WithoutPasswords(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for name, shown := range map[string]bool{"x-honeycomb-team": false, "X-Api-Key": false, "DD-API-KEY": false, "X-Scope-OrgID": true, "Content-Type": true} {
		if ShowsHeader(name) != shown {
			t.Errorf("header %s: %v", name, !shown)
		}
	}
	for name, hidden := range map[string]bool{"__param_access_token": true, "__param_sig": true, "__param_anything": true, "__param_module": false, "__param_collect[]": false, "job": false, "key": false} {
		if HidesValue(name) != hidden {
			t.Errorf("label %s: %v", name, !hidden)
		}
	}
}

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
	if got := WithoutMembers(json); got != `{"__param_token":"(secret)","name":"c","password_file":"/f","api_key": "(secret)","password":""}` {
		t.Errorf("%s", got)
	}
}
