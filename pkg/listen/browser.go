package listen

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// FromBrowser reports whether a browser has made a request: one with Sec-Fetch-Site,
// Origin or Referer, which scripts cannot all remove, with "Mozilla/" in its User-Agent,
// or with a language. A script may choose the User-Agent in some browsers and omit the
// referrer, but cannot remove the language.
//
// Programs that send none of these, such as curl, wget, Go's and Python's clients and the
// OpenTelemetry SDKs, are not browsers. Nor is Node's fetch, which sends a language and
// Sec-Fetch-Mode: a browser sends that together with Sec-Fetch-Site only, and lets no
// script set either.
func FromBrowser(r *http.Request) bool {
	has := func(name string) bool { return len(r.Header.Values(name)) > 0 }
	return has("Sec-Fetch-Site") || has("Origin") || has("Referer") || strings.Contains(r.UserAgent(), "Mozilla/") ||
		has("Accept-Language") && !has("Sec-Fetch-Mode")
}

// OtherSite says why a request comes from a page of another site, or of another
// port of this one; it returns nil for one that does not, or that no browser
// made. Where the browser itself says it, that decides, as a proxy may have
// changed Host since; else Origin does. The referrer, which a page can omit,
// plays no part.
func OtherSite(r *http.Request) error {
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "":
	case "same-origin", "none":
		return nil
	default:
		return fmt.Errorf("rejected: this request comes from a page of another site (Sec-Fetch-Site: %.40s)", site)
	}
	for _, origin := range r.Header.Values("Origin") {
		if !SameHost(origin, r) {
			return fmt.Errorf("rejected: this request comes from a page of another site (Origin: %.200q)", origin)
		}
	}
	return nil
}

// SameHost reports whether origin, which is an origin or a referrer, names the
// host and port that r asks.
func SameHost(origin string, r *http.Request) bool {
	from, err := url.Parse(origin)
	return err == nil && from.Host != "" && strings.EqualFold(withoutDefaultPort(from.Scheme, from.Host), withoutDefaultPort(from.Scheme, r.Host))
}

func withoutDefaultPort(scheme, host string) string {
	return strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[scheme])
}
