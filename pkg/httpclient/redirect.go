package httpclient

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// SameHost reports whether a redirect from one URL to the other stays with the
// server that was meant: the scheme, the host and the port are the same, or
// plain HTTP becomes HTTPS on that host.
func SameHost(from, to *url.URL) bool {
	if !strings.EqualFold(from.Hostname(), to.Hostname()) {
		return false
	}
	if from.Scheme == "http" && to.Scheme == "https" {
		return true // usually from port 80 to port 443
	}
	return from.Scheme == to.Scheme && port(from) == port(to)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// redirects returns the requests that led to r, the latest first. It reports false if the
// path is not known.
func redirects(r *http.Request) (via []*http.Request, known bool) {
	for r.Response != nil {
		if r.Response.Request == nil {
			return via, false
		}
		r = r.Response.Request
		via = append(via, r)
	}
	return via, true
}

// guard keeps credentials and custom headers with the host that they are for.
// The library's round trippers add them to every request that they see, and
// the http.Client copies the headers of the first request to all that follow,
// wherever a redirect leads.
type guard struct {
	own     http.RoundTripper // adds credentials and headers
	foreign http.RoundTripper // adds none
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if staysWithHost(r) {
		return g.own.RoundTrip(r)
	}
	bare := r.Clone(r.Context())
	for name := range bare.Header {
		if !describesRequest(name) {
			delete(bare.Header, name)
		}
	}
	return g.foreign.RoundTrip(bare)
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach both.
func (g *guard) CloseIdleConnections() {
	for _, t := range []http.RoundTripper{g.own, g.foreign} {
		if c, ok := t.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
	}
}

// staysWithHost reports whether every redirect that led to r stayed with the
// host of the first request. Once it has been left, what comes back is another's
// word.
func staysWithHost(r *http.Request) bool {
	via, known := redirects(r)
	to := r.URL
	for _, from := range via {
		if !SameHost(from.URL, to) {
			return false
		}
		to = from.URL
	}
	return known
}

// describesRequest reports whether a header says what a request is and wants, and nothing
// about who sends it.
func describesRequest(name string) bool {
	return slices.Contains([]string{
		"Accept", "Accept-Encoding", "Content-Encoding", "Content-Length", "Content-Type", "User-Agent",
		"X-Prometheus-Remote-Write-Version", "X-Prometheus-Scrape-Timeout-Seconds",
	}, http.CanonicalHeaderKey(name))
}

// maxRedirects is how many redirects in a row a push or a scrape follows.
const maxRedirects = 5

// PushRedirects is the CheckRedirect of a client that pushes data. If follow is
// set, it follows 307 and 308 on the same host, with the body, the credentials
// and the headers. Any other redirect is itself the answer, for Unacknowledged
// to explain: a 301, 302 or 303 that is followed becomes a GET without the body,
// whose success says nothing about the data.
func PushRedirects(follow bool) func(next *http.Request, via []*http.Request) error {
	return func(next *http.Request, via []*http.Request) error {
		if !follow || whyNotFollowed(next.Response, next.URL) != "" {
			return http.ErrUseLastResponse
		}
		if first := via[0]; first.Host != first.URL.Host {
			next.Host = first.Host
		}
		return nil
	}
}

// NewPush makes a client as New does, for requests that carry data: it follows
// only the redirects that keep the data and stay with the host.
func (c *Config) NewPush(name, userAgent string) (*http.Client, error) {
	client, err := c.New(name, userAgent)
	if err != nil {
		return nil, err
	}
	client.CheckRedirect = PushRedirects(c.FollowRedirects)
	return client, nil
}

// Unacknowledged says why an answer to a push, whose body begins as given, does
// not mean that the data has arrived although it isn't a refusal either: it is a
// redirect that was not followed, or a web page such as a login form. It returns
// nil for every other answer. The data must be sent again.
func Unacknowledged(answer *http.Response, body []byte) error {
	switch answer.StatusCode / 100 {
	case 3:
		err := notFollowed(answer)
		if _, page := webPage(body); len(body) > 0 && !page {
			err = fmt.Errorf("%w: %s", err, Words(answer, body))
		}
		return err
	case 2:
		if title, is := webPage(body); is {
			return fmt.Errorf("%s returned a web page%s instead of an acknowledgment: is there a login page or another server in front?", askedURL(answer), title)
		}
	}
	return nil
}

func askedURL(answer *http.Response) string {
	if answer.Request == nil || answer.Request.URL == nil {
		return "the request"
	}
	return CleanURL(answer.Request.URL)
}

func notFollowed(answer *http.Response) error {
	status := fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	to, err := answer.Location()
	if err != nil {
		return fmt.Errorf("%s returned %s without a Location header: set the URL that accepts the data", askedURL(answer), status)
	}
	why := whyNotFollowed(answer, to)
	if why == "" {
		why = "follow_redirects is off"
	}
	return fmt.Errorf("%s redirects to %s (%s), which is not followed: %s: if it accepts the data, set it as the URL", askedURL(answer), CleanURL(to), status, why)
}

// whyNotFollowed says what is wrong with a redirect of a push; "" if nothing is.
func whyNotFollowed(answer *http.Response, to *url.URL) string {
	if answer.StatusCode != http.StatusTemporaryRedirect && answer.StatusCode != http.StatusPermanentRedirect {
		return "only 307 and 308 preserve the request body"
	}
	from := answer.Request
	if from == nil {
		return "its origin is unknown"
	}
	via, known := redirects(from)
	switch {
	case !known || len(via) >= maxRedirects:
		return fmt.Sprintf("there were already %d redirects", len(via))
	case from.URL.Scheme == "https" && to.Scheme == "http":
		return "it leads from HTTPS to plain HTTP"
	case !SameHost(from.URL, to):
		return "it leads to another host or port"
	}
	return ""
}

// SetHeader sets a header of a request as the configuration has it. What is
// called Host is not sent as a header, but names the host that is asked for.
func SetHeader(r *http.Request, name, value string) {
	if strings.EqualFold(name, "Host") {
		r.Host = value
		return
	}
	r.Header.Set(name, value)
}

// CleanURL is a URL for people: without the user, the query and the fragment,
// in any of which may be a credential.
func CleanURL(u *url.URL) string {
	clean := url.URL{Scheme: u.Scheme, Opaque: u.Opaque, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return clean.String()
}
