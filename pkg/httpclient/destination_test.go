package httpclient

import (
	"strings"
	"testing"
)

func TestNamesNoHost(t *testing.T) {
	for raw, want := range map[string]bool{
		"": true, "/api/v1/write": true, "http:///api/v1/write": true, "https://": true, "http://:/push": true,
		"http://vm": false, "http://:8428/write": false, "vm/write": false, "vm:8428": false, "http:vm": false,
	} {
		if got := NamesNoHost(raw); got != want {
			t.Errorf("%q: %t, want %t", raw, got, want)
		}
	}
}

func TestWarnOffNamesTheEndpointAndWhatBecomesOfTheData(t *testing.T) {
	for _, test := range []struct {
		urls []string
		want string
	}{
		{[]string{"http://a", "http://b"}, ""},
		{[]string{"http://a", ""}, "endpoint 2 > url: it gets nothing\n"},
		{[]string{"", "/x"}, "endpoint 1 > url: what is sent to this component is dropped and counted\nendpoint 2 > url: what is sent to this component is dropped and counted\n"},
		{nil, "endpoint: what is sent to this component is dropped and counted\n"},
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
