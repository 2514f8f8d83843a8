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

// refuseForeign refuses what a page of another site must not do, or must not
// read, and what is asked for by a name that may be another site's.
func (s *Server) refuseForeign(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		check := s.foreignReading
		if changes(r) {
			check = s.foreign
		}
		if err := check(r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
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
	if !fromBrowser(r) {
		return nil
	}
	if err := otherOrigin(r, origin); err != nil {
		return err
	}
	return s.rebound(r)
}

// foreignReading says why a request that changes nothing may come from another
// site's page.
//
// A page can read what its own name leads to, and its owner can make that name
// lead here once it has been loaded (DNS rebinding). Over plain HTTP a browser
// then says nothing of the site; that it does shows that the collector is asked
// over HTTPS, for which the other site has no certificate, or on localhost.
// What proxies add, such as X-Forwarded-For, shows nothing: a page may send that
// too, to what it takes for its own site.
func (s *Server) foreignReading(r *http.Request) error {
	if forAnybody(r.URL.Path) || !fromBrowser(r) {
		return nil
	}
	site := r.Header.Get("Sec-Fetch-Site")
	if site == "same-origin" || site == "none" {
		return nil
	}
	if costly(r.URL.Path) {
		if site != "" && !topLevel(r) {
			return fmt.Errorf("this request comes from a page of another site (Sec-Fetch-Site: %s) and is refused", site)
		}
		// Of what is only read, a browser tells the origin when another asks.
		if err := otherOrigin(r, r.Header.Get("Origin")); err != nil {
			return err
		}
	}
	if site != "" || s.asksPassword(r.URL.Path) || !s.heedsNames(r) {
		return nil
	}
	return s.rebound(r)
}

// heedsNames tells whether reading is bound to known names: on a loopback
// address, which a public name leads to by malice only, and wherever the user
// has said which names there are. Elsewhere a public name may well be this
// machine's own.
func (s *Server) heedsNames(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return !ok || local.IP.IsLoopback() || len(s.options.AllowedHosts) > 0
}

// forAnybody tells whether an answer is no more than health checks, scrapes and
// pages that are being loaded need.
func forAnybody(path string) bool {
	switch path {
	case "/metrics", "/-/ready", "/-/healthy", "/favicon.ico":
		return true
	}
	return strings.HasPrefix(path, "/assets/")
}

// costly tells whether an answer takes much of the collector, or is made for
// scripts: another site's page has no reason to ask for it.
func costly(path string) bool {
	return strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/debug/pprof") || strings.HasSuffix(path, "/events") || path == "/-/support"
}

// fromBrowser tells whether a browser has made a request. A script may choose
// the User-Agent in some, but cannot take away the language.
func fromBrowser(r *http.Request) bool {
	for _, name := range []string{"Sec-Fetch-Site", "Sec-Fetch-Mode", "Origin", "Referer", "Accept-Language"} {
		if len(r.Header.Values(name)) > 0 {
			return true
		}
	}
	return strings.Contains(r.UserAgent(), "Mozilla/")
}

// topLevel tells whether somebody has followed a link, so that the answer fills
// a window of its own.
func topLevel(r *http.Request) bool {
	to := r.Header.Get("Sec-Fetch-Dest")
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && (to == "document" || to == "")
}

// otherOrigin is an error if origin is given and is not the host that is asked.
func otherOrigin(r *http.Request, origin string) error {
	if origin == "" {
		return nil
	}
	if from, err := url.Parse(origin); err != nil || !strings.EqualFold(from.Host, r.Host) {
		return fmt.Errorf("this request comes from a page of another site (Origin: %q) and is refused", origin)
	}
	return nil
}

// rebound is an error if the host that is asked may be another site's name.
func (s *Server) rebound(r *http.Request) error {
	if s.knownHost(r.Host) {
		return nil
	}
	return fmt.Errorf("this request is for the host %q, which may be another site's name for this address; "+
		"use the IP address, localhost or HTTPS, or start the collector with --%s=%s", r.Host, allowedHostsFlag, withoutPort(r.Host))
}

// allowedHostsFlag is named in the message to those who need it.
const allowedHostsFlag = "server.http.allowed-hosts"

// knownHost tells whether no other site can have made hostport lead here: an
// address, a name without a dot as in a Compose network, one below a domain that
// is nobody's in the Internet, this machine's own, or one that the user vouches
// for.
func (s *Server) knownHost(hostport string) bool {
	host := strings.ToLower(withoutPort(hostport))
	if net.ParseIP(host) != nil || !strings.Contains(host, ".") {
		return true
	}
	for _, private := range []string{".localhost", ".local", ".internal", ".home.arpa", ".lan", ".localdomain"} {
		if strings.HasSuffix(host, private) {
			return true
		}
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
