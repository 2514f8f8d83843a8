// Package cause says in words for people why a target or a destination fails, and how to
// fix that. It knows errors of the standard library by their types, and what else went
// wrong by the types of this package, in which callers wrap their errors: Answer, Late,
// Page, Limit and RPC.
//
// No text of it holds a secret that its input doesn't.
package cause

import (
	"bytes"
	"mime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Cause is why something fails. The zero value is no cause.
type Cause struct {
	Kind Kind   // by which failures are grouped
	Text string // what is wrong, a sentence or two
	Fix  string // what to do about it
}

// NoEndpointBlock is the text of NoDestination where none is configured.
const NoEndpointBlock = "It has no endpoint block."

// Kind is a sort of failure. Its value is stable.
type Kind string

// The kinds. The first are about reaching a server at all, and common to targets
// and destinations.
const (
	Refused           Kind = "refused"
	WrongPort         Kind = "wrong_port"
	NoCommonNetwork   Kind = "no_common_network"
	Unreachable       Kind = "unreachable"
	NoConnection      Kind = "no_connection"
	NoAnswer          Kind = "no_answer"
	UnknownHost       Kind = "unknown_host"
	NameServer        Kind = "name_server"
	WantsTLS          Kind = "speaks_tls"
	PlainHTTP         Kind = "speaks_plain_http"
	Certificate       Kind = "certificate"
	ClientCertificate Kind = "client_certificate"
	Handshake         Kind = "tls_handshake"
	NotHTTP           Kind = "not_http"
	Closed            Kind = "closed"

	Redirect     Kind = "redirect"
	Login        Kind = "login"
	Unauthorized Kind = "unauthorized"
	Forbidden    Kind = "forbidden"
	NotFound     Kind = "not_found"
	ServerError  Kind = "server_error"
	Unavailable  Kind = "unavailable"
	Status       Kind = "status"
	WebPage      Kind = "web_page"

	NotMetrics     Kind = "not_metrics"
	NoProfile      Kind = "not_a_profile"
	NotNumber      Kind = "not_a_number"
	BadLine        Kind = "bad_line"
	TooManySamples Kind = "too_many_samples"
	PageLimit      Kind = "limit"
	Memory         Kind = "memory"

	WrongProtocol Kind = "wrong_protocol"
	NoTenant      Kind = "no_tenant"
	RateLimited   Kind = "rate_limited"
	StreamLimited Kind = "stream_limited"
	LabelLimit    Kind = "label_limit"
	NoLabels      Kind = "no_labels"
	TooOld        Kind = "too_old"
	InTheFuture   Kind = "in_the_future"
	TooLarge      Kind = "too_large"
	DiskFull      Kind = "disk_full"
	NoDestination Kind = "no_destination"
	Rejected      Kind = "rejected"

	Other Kind = "other"
)

// Title is the kind in a few words, as a heading of what fails so.
func (k Kind) Title() string {
	titles := map[Kind]string{
		Refused: "nothing listens on the port", WrongPort: "wrong port", NoCommonNetwork: "no network in common with the collector",
		Unreachable: "no route to the host", NoConnection: "timed out while connecting", NoAnswer: "timed out while answering",
		UnknownHost: "the name does not resolve", NameServer: "the name server fails", WantsTLS: "the port speaks TLS",
		PlainHTTP: "the port speaks plain HTTP", Certificate: "the certificate is not accepted", ClientCertificate: "a client certificate is required",
		Handshake: "no TLS connection", NotHTTP: "the port does not speak HTTP", Closed: "the connection was closed",
		Redirect: "redirects elsewhere", Login: "redirects to a login page", Unauthorized: "credentials required", Forbidden: "access denied",
		NotFound: "no such path", ServerError: "the server fails", Unavailable: "the server is unavailable", Status: "unexpected HTTP status",
		WebPage: "a web page answers", NotMetrics: "the response is not metrics", NoProfile: "the response is not a profile", NotNumber: "a value is not a number",
		BadLine: "a line is not a metric", TooManySamples: "too many samples", PageLimit: "a limit is exceeded", Memory: "not enough memory",
		WrongProtocol: "wrong protocol", NoTenant: "no tenant", RateLimited: "rate limited", StreamLimited: "too many streams or series",
		LabelLimit: "label limits exceeded", TooOld: "the data is too old", InTheFuture: "the data is from the future", TooLarge: "the data is too large",
		DiskFull: "a disk is full", NoDestination: "no endpoint", Rejected: "the data is rejected",
	}
	if title := titles[k]; title != "" {
		return title
	}
	return "other errors"
}

// Answer is an HTTP response other than the one that was wanted, as an error.
type Answer struct {
	Err      error
	Status   int
	Words    string // what it says, on one line
	Location string // where a redirect leads, for people
	WebPage  bool   // it is an HTML document; Words quote its title
	WantsTLS bool   // the request was plain, and the server wants TLS
}

func (a *Answer) Error() string { return a.Err.Error() }
func (a *Answer) Unwrap() error { return a.Err }

// Late is a request that took too long, as an error.
type Late struct {
	Err       error
	Within    time.Duration
	Setting   string // the argument that says how long, if there is one
	Connected bool   // a connection had been made
}

func (l *Late) Error() string { return l.Err.Error() }
func (l *Late) Unwrap() error { return l.Err }

// Page is a target's page that can't be used, as an error.
type Page struct {
	Err         error
	ContentType string
	WebPage     bool   // it is an HTML document
	Title       string // of that
	JSON        bool
	From        string // the URL that it is from, if a redirect led there
	Line        int    // that is at fault, from 1; 0: not known
	Text        string // of that line
	Why         string // what is wrong with the line, if it can be read; else it can't
}

// NewPage is a page that can't be used because of err.
func NewPage(err error, contentType string, page []byte) *Page {
	p := &Page{Err: err, ContentType: contentType}
	p.Title, p.WebPage = IsWebPage(page)
	media, _, _ := mime.ParseMediaType(contentType)
	text := bytes.TrimLeft(page[:min(len(page), 1024)], " \t\r\n")
	p.JSON = media == "application/json" || bytes.HasPrefix(text, []byte("["))
	return p
}

func (p *Page) Error() string { return p.Err.Error() }
func (p *Page) Unwrap() error { return p.Err }

// Limit is a limit in the configuration that a page exceeds, as an error.
type Limit struct {
	Err        error
	Argument   string
	Have, Most int64 // Have is 0 if it isn't known
}

func (l *Limit) Error() string { return l.Err.Error() }
func (l *Limit) Unwrap() error { return l.Err }

// NotProfile is a response that is no profile in pprof's format, as an error.
type NotProfile struct {
	Err     error
	Instead string // what it is, in words
}

func (n *NotProfile) Error() string { return n.Err.Error() }
func (n *NotProfile) Unwrap() error { return n.Err }

// RPC is a gRPC call that failed, as an error.
type RPC struct {
	Err   error
	Code  string // such as Unavailable
	Words string // of the server, or of the client's library
}

func (r *RPC) Error() string { return r.Err.Error() }
func (r *RPC) Unwrap() error { return r.Err }

// Explained is an error together with its cause, which knows more than the error
// shows.
type Explained struct {
	Err   error
	Cause Cause
}

func (e *Explained) Error() string { return e.Err.Error() }
func (e *Explained) Unwrap() error { return e.Err }

// quoted is text in quotation marks, shortened.
func quoted(text string) string { return "“" + cut(text, 160) + "”" }

// cut is text, or its beginning if it has more than n bytes.
func cut(text string, n int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "…"
}

// seconds is a time that somebody has waited.
func seconds(d time.Duration) string {
	if d < time.Second {
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	}
	return strconv.FormatFloat(d.Round(100*time.Millisecond).Seconds(), 'f', -1, 64) + " s"
}

// list is names as a sentence has them: "a", "a and b", "a, b and 3 more".
func list(names []string) string {
	const most = 5
	if len(names) > most {
		return strings.Join(names[:most-1], ", ") + " and " + strconv.Itoa(len(names)-most+1) + " more"
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// sentence is text from elsewhere with a full stop at its end.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text == "" || strings.ContainsAny(text[len(text)-1:], ".!?") {
		return text
	}
	return text + "."
}
