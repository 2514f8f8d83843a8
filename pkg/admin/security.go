package admin

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"collector/pkg/admin/ui/support"
	"collector/pkg/listen"
)

// contentPolicy allows a page its own files only: no other hosts, no inline scripts
// or styles, no framing.
const contentPolicy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// secureHeaders sets the headers that restrict what a page may do.
func secureHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		// No referrer for other hosts. With "no-referrer" a browser would not send its
		// own host an Origin for forms either.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// refuseForeign rejects what another site's page must not do or read, and requests of
// browsers to a host name that may belong to another site.
func (s *Server) refuseForeign(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := cmp.Or(scraped(r), s.foreign(r)); err != nil {
			s.refused.WithLabelValues(refusedForeign).Inc()
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// foreign is why a request may come from another site's page; nil if it does not.
// Requests without any sign of a browser, such as curl's, do not.
func (s *Server) foreign(r *http.Request) error {
	if !listen.FromBrowser(r) {
		return nil
	}
	var err error
	switch path := r.URL.Path; {
	case s.changes(r):
		err = foreignUnlessShown(r, "use the button on the Configuration page, or `curl -X POST` with this address")
	case forAnybody(path):
		return nil
	case forPrograms(path):
		err = foreignUnlessShown(r, "follow the link on one of the collector's own pages, or use curl or `go tool pprof` with this address")
	case forScripts(path) && !topLevel(r):
		err = listen.OtherSite(r)
	}
	if err != nil || r.TLS != nil || gavePassword(r) {
		return err
	}
	return s.rebound(r)
}

// changes reports whether a request may change something. Alloy and Promtail reload
// at a GET too.
func (s *Server) changes(r *http.Request) bool {
	if r.URL.Path == reloadPath || r.URL.Path == promtailReloadPath && s.promtailReloads() {
		return true
	}
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions
}

// foreignUnlessShown says why a browser's request that changes something, or that
// costs much, may come from another site. A browser tells the origin of each
// POST, but over plain HTTP that of a GET only by its referrer, which a page can
// omit: a GET has to show that it is the collector's own. instead says what
// the user can do.
func foreignUnlessShown(r *http.Request, instead string) error {
	if err := foreignByReferrer(r); err != nil {
		return err
	}
	shown := r.Header.Get("Sec-Fetch-Site") + r.Header.Get("Origin") + r.Header.Get("Referer")
	if r.Method == http.MethodGet && shown == "" {
		return errors.New("rejected: this request does not show whether another site's page made it: " + instead)
	}
	return nil
}

// foreignByReferrer says why a browser's request comes from another site, by a
// link too.
func foreignByReferrer(r *http.Request) error {
	if err := listen.OtherSite(r); err != nil || r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != "" {
		return err
	}
	if from := r.Header.Get("Referer"); from != "" && !listen.SameHost(from, r) {
		return fmt.Errorf("rejected: this request comes from another site's page (Referer: %.200q)", from)
	}
	return nil
}

// forAnybody reports whether a path is for health checks, scrapes and loading pages.
func forAnybody(path string) bool {
	switch path {
	case metricsPath, readyPath, healthyPath, "/favicon.ico":
		return true
	}
	return strings.HasPrefix(path, "/assets/")
}

// forPrograms reports whether a path is an expensive download: another site has no
// reason to link to it.
func forPrograms(path string) bool {
	return strings.HasPrefix(path, pprofPath) || path == support.Path
}

// forScripts reports whether a path is for scripts: another site's scripts have no
// reason to request it. Links to it may be followed.
func forScripts(path string) bool {
	return strings.HasPrefix(path, "/api/") || strings.HasSuffix(path, "/events")
}

// topLevel reports whether the user followed a link, so that the response fills a
// window.
func topLevel(r *http.Request) bool {
	to := r.Header.Get("Sec-Fetch-Dest")
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && (to == "document" || to == "")
}

// rebound is an error if the host that is asked may be another site's name.
//
// A page can read what its own name leads to, and its owner can make that name
// lead here once it has been loaded (DNS rebinding). To the browser both are one
// site, so that Sec-Fetch-Site: same-origin shows nothing, and the address that
// the request came to shows nothing either: a container's is not loopback, however
// its port is published. What proxies add, such as X-Forwarded-Proto, shows
// nothing: a page may send that to what it takes for its own site. TLS of the
// collector's own does, for the other site has no certificate for its name here,
// and so does a password, which its page does not have.
func (s *Server) rebound(r *http.Request) error {
	if s.knownHost(r.Host) {
		return nil
	}
	return fmt.Errorf("this request is for the host %.200q, which may be another site's name for this address; "+
		"use the IP address, localhost or HTTPS, set a password, or start the collector with --%s=%.200s", r.Host, AllowedHostsFlag, hostName(r.Host))
}

// AllowedHostsFlag is named in the error message.
const AllowedHostsFlag = "server.http.allowed-hosts"

// knownHost reports whether no other site can have made hostport lead here: an
// address, a name without a dot as in a Compose network, one below a domain that
// is nobody's in the Internet, one of this machine or container, or one that the
// user vouches for.
func (s *Server) knownHost(hostport string) bool {
	host := hostName(hostport)
	if net.ParseIP(host) != nil || !strings.Contains(host, ".") {
		return true
	}
	for _, private := range []string{".localhost", ".local", ".internal", ".home.arpa", ".lan", ".localdomain"} {
		if strings.HasSuffix(host, private) {
			return true
		}
	}
	is := func(name string) bool { return hostName(name) == host }
	return slices.ContainsFunc(s.options.AllowedHosts, is) || slices.ContainsFunc(ownNames(), is)
}

// hostName is the name or address in hostport, normalized.
func hostName(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	return strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
}

// belowPrefix serves paths below prefix as if they were requested without it. Paths
// without the prefix work too: a proxy may have removed it, and health checks do not
// know it.
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

// CleanPrefix normalizes --server.http.ui-path-prefix: with a leading slash and none
// at the end; "" for "/".
func CleanPrefix(prefix string) (string, error) {
	trimmed := strings.Trim(prefix, "/")
	if trimmed == "" {
		return "", nil
	}
	for part := range strings.SplitSeq(trimmed, "/") {
		if part == "" || part == "." || part == ".." || url.PathEscape(part) != part {
			return "", fmt.Errorf("%q is not a valid path prefix; for example: \"/collector\" or \"/a/b\"", prefix)
		}
	}
	return "/" + trimmed, nil
}
