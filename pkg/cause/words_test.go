package cause_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"collector/pkg/cause"
)

func TestErrorsOfLibrariesAreInWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`fetch the targets: Get "http://127.0.0.1:1/targets?token=x": dial tcp 127.0.0.1:1: connect: connection refused`:                     "fetch the targets: nothing listens at 127.0.0.1:1: start the server, or fix its address",
		"scrape Redis at redis://h:1: dial tcp [::1]:1: connect: connection refused":                                                         "scrape Redis at redis://h:1: nothing listens at [::1]:1: start the server, or fix its address",
		"dial unix /run/x.sock: connect: no such file or directory":                                                                          "there is no socket /run/x.sock: start its server, mount the socket into the collector's container, or fix the path",
		"dial unix /run/x.sock: connect: permission denied":                                                                                  "the collector may not use the socket /run/x.sock: add the group that owns it to the collector's user",
		`Get "http://docker/version": dial unix /run/x.sock: connect: connection refused`:                                                    "nothing listens on the socket /run/x.sock: start its server",
		`Get "http://nowhere.invalid/": dial tcp: lookup nowhere.invalid on 127.0.0.11:53: no such host`:                                     "the name nowhere.invalid does not resolve: fix it, or put the collector and the server on one network",
		"dial tcp: lookup h: i/o timeout":                                                                                                    "the name server does not answer for h: check the DNS of the collector's host or container",
		"lookup h on 10.0.0.1:53: server misbehaving":                                                                                        "the name server does not answer for h: check the DNS of the collector's host or container",
		"dial tcp 10.0.0.1:6379: i/o timeout":                                                                                                "10.0.0.1:6379 does not accept connections in time: check its address, and that no firewall is in between",
		"dial tcp 10.0.0.1:1: connect: no route to host":                                                                                     "there is no route to 10.0.0.1:1: put both on one network, or check the firewall",
		`Get "https://h:1/x": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`:                                    "h:1 does not answer in time: check its load and its own log",
		"context deadline exceeded":                                                                                                          "the server does not answer in time: check its load and its own log",
		`Post "https://h:1/x": EOF`:                                                                                                          "h:1 closes the connection without a complete response: check its own log, and the port in its address",
		"read tcp 10.0.0.2:40000->10.0.0.1:80: read: connection reset by peer":                                                               "10.0.0.1:80 closes the connection without a complete response: check its own log, and the port in its address",
		`the last commit is kept: Get "https://u:p@h:1/x": tls: failed to verify certificate: x509: certificate signed by unknown authority`: "the last commit is kept: the certificate of h:1 is not accepted: it is signed by an authority that the collector does not know: set ca_file or server_name in the TLS settings, or replace the certificate",
		`Get "https://h:1/": http: server gave HTTP response to HTTPS client`:                                                                "h:1 does not speak TLS: use http, or fix the port",
		`Get "http://h:1/x": stopped after 10 redirects`:                                                                                     "h:1: stopped after 10 redirects",
		"the last content is kept: open /etc/x: no such file or directory":                                                                   "the last content is kept: /etc/x does not exist: create it, or fix the path",
		"the first is /etc/x: open /etc/x: permission denied":                                                                                "the first is /etc/x: it is not accessible: give the collector's user access",
		"open /etc: is a directory":                                                                                                          "/etc is a directory: name a file",
		"read /etc: is a directory":                                                                                                          "/etc is a directory: name a file",
		"write /x: no space left on device":                                                                                                  "the disk of /x is full: free some space",
		"open /etc/x/y: not a directory":                                                                                                     "a part of the path /etc/x/y is not a directory: fix the path",
		"2 of 3 names: dial tcp 10.0.0.1:1: connect: connection refused; open /x: permission denied\ndial tcp 10.0.0.2:1: connect: connection refused": "2 of 3 names: nothing listens at 10.0.0.1:1: start the server, or fix its address; /x is not accessible: give the collector's user access\nnothing listens at 10.0.0.2:1: start the server, or fix its address",
		"the server answers 404 Not Found": "the server answers 404 Not Found",
		"":                                 "",
	} {
		got := cause.Words(text)
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
		for _, foreign := range []string{"dial ", "lookup ", "connect: ", "x509", "deadline", "u:p@", "token="} {
			if strings.Contains(got, foreign) {
				t.Errorf("%q has %q", got, foreign)
			}
		}
		if again := cause.Words(got); again != got {
			t.Errorf("%q becomes %q when it is put in words again", got, again)
		}
	}
}

func TestALogMessageHasTheErrorAndItsCause(t *testing.T) {
	t.Parallel()
	refused := errors.New("dial tcp 10.0.0.1:1: connect: connection refused")
	if got := cause.Attributes(refused); !slices.Equal(got, []any{"cause", "nothing listens at 10.0.0.1:1: start the server, or fix its address", "err", refused}) {
		t.Errorf("%q", got)
	}
	said := errors.New("the server answers 404")
	if got := cause.Attributes(said); !slices.Equal(got, []any{"err", said}) {
		t.Errorf("%q", got)
	}
}
