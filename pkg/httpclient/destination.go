package httpclient

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/textproto"
	"net/url"
	"strings"

	"collector/pkg/cause"
	"collector/pkg/component"
)

// placeholder is what no host has: "<LOKI_HOST>", "${LOKI_HOST}".
const placeholder = "<>{}$"

// Off says why nothing can be sent to raw, a destination's URL, or "" when
// something can. Writers accept such a URL and switch its endpoint off, as
// Alloy starts with it too:
//   - it has no host, as when it is made of environment variables that are not
//     set: "", "/push", "http:///push", "http://:/push", so that one
//     configuration serves with and without a backend;
//   - it has no scheme, or another than http and https: "loki:3100/push", or a
//     placeholder that was not filled in, "<LOKI_ENDPOINT>", as may be its host;
//   - it cannot be parsed.
//
// "http://:3100/push" is this host. What Off says holds nothing of raw, which
// may hold a password.
func Off(raw string) (why string) {
	const noHost = "it has no host (is an environment variable not set?)"
	u, err := url.Parse(raw)
	switch {
	case raw == "" || strings.HasPrefix(raw, "/"):
		return noHost
	case err != nil:
		return "it is not a valid URL: write it as http://host:port/path"
	case u.Scheme != "http" && u.Scheme != "https":
		return "it has neither http:// nor https:// in front (is a placeholder not filled in?)"
	case u.Host == "" || u.Host == ":":
		return noHost
	case strings.ContainsAny(u.Host, placeholder):
		return "its host is a placeholder that was not filled in"
	}
	return ""
}

// WarnOff reports the endpoints that are switched off. urls are the URLs of all
// endpoint blocks.
func WarnOff(warn func(path, why string), urls []string) {
	on := 0
	for _, u := range urls {
		if Off(u) == "" {
			on++
		}
	}
	consequence := "all data for this component is dropped and counted"
	if on > 0 {
		consequence = "it gets nothing"
	}
	for i, u := range urls {
		if why := Off(u); why != "" {
			warn(component.Block("endpoint", i)+"/url", why+", so the endpoint is switched off: "+consequence)
		}
	}
	if len(urls) == 0 {
		warn("endpoint", "there is none: "+consequence)
	}
}

// AllOff says, in a sentence, why nothing can be sent to any of the endpoint blocks;
// "" if something can.
func AllOff[E any](blocks []E, url func(E) string) string {
	if len(blocks) == 0 {
		return cause.NoEndpointBlock
	}
	if len(On(blocks, url)) > 0 {
		return ""
	}
	why := Off(url(blocks[0]))
	if len(blocks) == 1 {
		return "Its endpoint is switched off: " + why + "."
	}
	return fmt.Sprintf("All of its %d endpoints are switched off; of the first: %s.", len(blocks), why)
}

// tenantHeader is the header by which Loki, Mimir, Tempo and Pyroscope distinguish
// tenants.
const tenantHeader = "X-Scope-Orgid"

// Key identifies a destination when another component of the same kind sends there: it is
// the same for the same signal, URL and tenant, whatever the credentials are. It is a
// hash, from which nothing can be read. c may be nil.
func Key(kind, signal, raw, tenant string, headers map[string]string, c *Config) string {
	if u, err := url.Parse(raw); err == nil {
		u.User, u.Fragment = nil, ""
		u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
		raw = u.String()
	}
	for name, value := range headers {
		if textproto.CanonicalMIMEHeaderKey(name) == tenantHeader {
			tenant = value
		}
	}
	if c != nil {
		for name, values := range c.HTTPHeaders {
			if textproto.CanonicalMIMEHeaderKey(name) == tenantHeader && len(values) > 0 {
				tenant = string(values[0])
			}
		}
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{kind, signal, raw, tenant}, "\x00")))
	return hex.EncodeToString(sum[:12])
}

// On are the numbers of the blocks whose URL is not Off.
func On[E any](blocks []E, url func(E) string) []int {
	var on []int
	for i, b := range blocks {
		if Off(url(b)) == "" {
			on = append(on, i)
		}
	}
	return on
}
