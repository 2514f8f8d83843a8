package admin

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
)

// contentPolicy allows a page its own files and nothing else: no other host, no
// script or style within the page, no frame around it.
const contentPolicy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// secureHeaders sets the headers that bound what a page may do.
func secureHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		// Nothing to other hosts. With "no-referrer" a browser would not tell the
		// own host either whether a form is its own, by Origin.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// refuseForeign refuses requests that change something and come from a page of
// another site, or by a name that may be another site's.
func (s *Server) refuseForeign(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if changes(r) {
			if err := s.foreign(r); err != nil {
				http.Error(w, err.Error(), http.StatusForbidden)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// changes tells whether a request may change something. Alloy reloads at a GET
// too.
func changes(r *http.Request) bool {
	if r.URL.Path == "/-/reload" {
		return true
	}
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions
}

// foreign says why a request may come from another site's page. One without any
// sign of a browser, such as curl's, does not.
//
// What a browser says of the site itself decides where it says it, as behind a
// proxy that rewrites Host. Otherwise Origin has to name the host that was
// asked, by a name that nobody else can make lead here: a public name may be
// the other site's own, which it has made lead to this address.
func (s *Server) foreign(r *http.Request) error {
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "":
	case "same-origin", "none":
		return nil
	default:
		return fmt.Errorf("this request comes from a page of another site (Sec-Fetch-Site: %s) and is refused", site)
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		origin = r.Header.Get("Referer")
	}
	if origin == "" && !strings.Contains(r.UserAgent(), "Mozilla/") {
		return nil
	}
	if origin != "" {
		if from, err := url.Parse(origin); err != nil || !strings.EqualFold(from.Host, r.Host) {
			return fmt.Errorf("this request comes from a page of another site (Origin: %q) and is refused", origin)
		}
	}
	if !s.knownHost(r.Host) {
		return fmt.Errorf("this request is for the host %q, which may be another site's name for this address; "+
			"use the IP address or localhost, or start the collector with --%s=%s", r.Host, allowedHostsFlag, withoutPort(r.Host))
	}
	return nil
}

// allowedHostsFlag is named in the message to those who need it.
const allowedHostsFlag = "server.http.allowed-hosts"

// knownHost tells whether no other site can have made hostport lead here: an
// address, a name without a dot as in a Compose network, this machine's own, or
// one that the user vouches for.
func (s *Server) knownHost(hostport string) bool {
	host := strings.ToLower(withoutPort(hostport))
	if net.ParseIP(host) != nil || !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost") {
		return true
	}
	name, err := os.Hostname()
	return err == nil && strings.EqualFold(host, name) || slices.ContainsFunc(s.options.AllowedHosts, func(a string) bool { return strings.EqualFold(a, host) })
}

func withoutPort(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	return strings.Trim(host, "[]")
}

// belowPrefix serves what is asked for below prefix as if it were asked for
// without it. Without the prefix it is there too: a proxy may have taken it
// away, and health checks do not know it.
func belowPrefix(prefix string, next http.Handler) http.Handler {
	if prefix == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == prefix {
			http.Redirect(w, r, prefix+"/", http.StatusTemporaryRedirect)
			return
		}
		rest, ok := strings.CutPrefix(r.URL.Path, prefix+"/")
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		inner := r.Clone(r.Context())
		inner.URL.Path, inner.URL.RawPath = "/"+rest, ""
		if raw, ok := strings.CutPrefix(r.URL.RawPath, prefix+"/"); ok {
			inner.URL.RawPath = "/" + raw
		}
		next.ServeHTTP(w, inner)
	})
}

// CleanPrefix is a prefix as --server.http.ui-path-prefix has it, with a slash
// before it and none behind: "" for "/".
func CleanPrefix(prefix string) (string, error) {
	trimmed := strings.Trim(prefix, "/")
	if trimmed == "" {
		return "", nil
	}
	for part := range strings.SplitSeq(trimmed, "/") {
		if part == "" || part == "." || part == ".." || url.PathEscape(part) != part {
			return "", fmt.Errorf("%q is no path prefix: write it as \"/collector\" or \"/a/b\"", prefix)
		}
	}
	return "/" + trimmed, nil
}
