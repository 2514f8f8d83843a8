package httpclient

import (
	"fmt"
	"net/url"
	"strings"
)

// NamesNoHost tells whether a destination's URL has no host, as it does when
// it is made of environment variables that are not set: "", "/push",
// "http:///push", "http://:/push". Writers accept such a URL and switch its
// endpoint off, so that one configuration serves with and without a backend.
// "http://:3100/push" is this host.
func NamesNoHost(raw string) bool {
	if raw == "" || strings.HasPrefix(raw, "/") {
		return true
	}
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && (u.Host == "" || u.Host == ":") && u.Opaque == ""
}

// WarnOff reports the endpoints that are switched off. urls are those of all
// endpoint blocks.
func WarnOff(warn func(name, why string), urls []string) {
	const why = "it names no host (is an environment variable not set?), so the endpoint is switched off: "
	on := 0
	for _, u := range urls {
		if !NamesNoHost(u) {
			on++
		}
	}
	consequence := "what is sent to this component is dropped and counted"
	if on > 0 {
		consequence = "it gets nothing"
	}
	for i, u := range urls {
		if NamesNoHost(u) {
			warn(fmt.Sprintf("endpoint %d > url", i+1), why+consequence)
		}
	}
	if len(urls) == 0 {
		warn("endpoint", "there is none: "+consequence)
	}
}
