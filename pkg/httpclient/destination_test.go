package httpclient

import (
	"strings"
	"testing"
)

func TestAURLThatNothingCanBeSentToIsOff(t *testing.T) {
	for raw, want := range map[string]string{
		"": "no host", "/api/v1/write": "no host", "http:///api/v1/write": "no host", "https://": "no host",
		"http://:/push": "no host", "http:vm": "no host",
		"http://vm": "", "http://:8428/write": "", "HTTPS://vm/x?y=z": "", "http://[::1]:8428/": "", "http://u:p@vm/": "",
		"vm/write": "in front", "vm:8428": "in front", "localhost:3100/loki/api/v1/push": "in front",
		"<LOKI_ENDPOINT>": "in front", "ftp://vm/x": "in front", "hunter2:secret@vm/x": "in front",
		"127.0.0.1:3100/push": "valid", "http://%zz": "valid", "http://<HOST>/push": "placeholder", "http://${HOST}:3100/": "valid", " http://vm": "valid",
	} {
		got := Off(raw)
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
		if strings.Contains(got, "hunter2") {
			t.Errorf("%q shows a secret", got)
		}
	}
}

func TestAllOffSaysWhyNothingCanBeSent(t *testing.T) {
	for want, urls := range map[string][]string{
		"":                          {"", "http://a"},
		"It has no endpoint block.": nil,
		"Its endpoint is switched off: it has no host (is an environment variable not set?).":                      {""},
		"All of its 2 endpoints are switched off; of the first: its host is a placeholder that was not filled in.": {"http://<HOST>/", ""},
	} {
		if got := AllOff(urls, func(u string) string { return u }); got != want {
			t.Errorf("%q: %q, want %q", urls, got, want)
		}
	}
}

func TestWarnOffNamesTheEndpointAndWhatBecomesOfTheData(t *testing.T) {
	for _, test := range []struct {
		urls []string
		want string
	}{
		{[]string{"http://a", "http://b"}, ""},
		{[]string{"http://a", ""}, "endpoint[1]/url: it gets nothing\n"},
		{[]string{"http://a", "<URL>", "b:3100/push"}, "endpoint[1]/url: it gets nothing\nendpoint[2]/url: it gets nothing\n"},
		{[]string{"", "/x"}, "endpoint[0]/url: all data for this component is dropped and counted\nendpoint[1]/url: all data for this component is dropped and counted\n"},
		{nil, "endpoint: all data for this component is dropped and counted\n"},
	} {
		var got strings.Builder
		WarnOff(func(name, why string) {
			got.WriteString(name + ":" + why[strings.LastIndex(why, ":")+1:] + "\n")
		}, test.urls)
		if got.String() != test.want {
			t.Errorf("%q: got %q, want %q", test.urls, got.String(), test.want)
		}
	}
}
