package cause

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"collector/pkg/suggest"
)

// Destination is what is known of a destination beside its error.
type Destination struct {
	Component string // that sends there: its id, such as loki.write.default
	URL       string // or host:port
	// Dropped is set if the destination will never accept the data, which is given
	// up; else it waits on disk.
	Dropped bool
}

// OfDestination is why a delivery failed; nothing for a nil error.
func OfDestination(err error, d Destination) Cause {
	if err == nil {
		return Cause{}
	}
	c := d.classify(err)
	switch {
	case d.Dropped:
		c.Fix += " Until then, this data is dropped."
	default:
		c.Fix += " Until then, the data waits on disk."
	}
	return c
}

func (d *Destination) classify(err error) Cause {
	var answer *Answer
	var call *RPC
	switch {
	case errors.As(err, &answer):
		return d.answered(answer)
	case errors.As(err, &call):
		return d.called(call)
	}
	kind, detail := network(err)
	return d.unreached(kind, detail, err)
}

// Names of the writers, whose protocols differ.
const (
	remoteWrite = "prometheus.remote_write"
	lokiWrite   = "loki.write"
	pyroscope   = "pyroscope.write"
	otlpGRPC    = "otelcol.exporter.otlp"
	otlpHTTP    = "otelcol.exporter.otlphttp"
)

// writer is the component's name, without its label and its module.
func (d *Destination) writer() string {
	id := d.Component[strings.LastIndexByte(d.Component, '/')+1:]
	if i := strings.LastIndexByte(id, '.'); i > 0 {
		return id[:i]
	}
	return id
}

func (d *Destination) grpc() bool { return d.writer() == otlpGRPC }

// address is the argument that says where the destination is.
func (d *Destination) address() string {
	if w := d.writer(); w == otlpGRPC || w == otlpHTTP {
		return "the endpoint"
	}
	return "the URL"
}

// host is host:port of the URL.
func (d *Destination) host() string {
	if u, err := url.Parse(d.URL); err == nil && u.Host != "" {
		return cut(u.Host, 100)
	}
	rest := d.URL[strings.LastIndexByte(d.URL, '@')+1:]
	host, _, _ := strings.Cut(rest, "/")
	if host == "" {
		return "the destination"
	}
	return cut(host, 100)
}

func (d *Destination) path() string {
	u, err := url.Parse(d.URL)
	if err != nil || u.Path == "" {
		return "/"
	}
	return u.Path
}

// unreached is what is wrong if there was no response.
func (d *Destination) unreached(kind Kind, detail string, err error) Cause {
	host := d.host()
	switch kind {
	case Refused:
		return Cause{kind, "Nothing listens at " + host + ".", "Start the backend, or fix the host and the port in " + d.address() + "."}
	case UnknownHost:
		if detail == "" {
			if name, _, err := net.SplitHostPort(host); err == nil {
				detail = name
			} else {
				detail = host
			}
		}
		return Cause{kind, fmt.Sprintf("The name %s does not resolve.", detail), "Fix the host in " + d.address() + ", or put the collector and the backend on one network."}
	case NameServer:
		return Cause{kind, fmt.Sprintf("The name server does not answer for %s.", host), "Check the DNS of the collector's host or container."}
	case Unreachable:
		return Cause{kind, fmt.Sprintf("There is no route to %s.", host), "Put both on one network, or check the firewall."}
	case NoConnection:
		return Cause{kind, fmt.Sprintf("%s does not accept connections%s.", host, within(err)), "Check the host in " + d.address() + ", and that no firewall is in between."}
	case NoAnswer:
		return Cause{kind, fmt.Sprintf("%s accepts the connection but does not answer%s.", host, within(err)), "Check the backend's load and its own log."}
	case WantsTLS:
		return d.wantsTLS()
	case PlainHTTP:
		if d.grpc() {
			return Cause{kind, host + " speaks plain text, but the collector uses TLS.", "Set client > tls > insecure = true."}
		}
		return Cause{kind, host + " speaks plain HTTP, but " + d.address() + " begins with https://.", "Write http:// in " + d.address() + "."}
	case Certificate:
		return Cause{kind, fmt.Sprintf("The certificate of %s is not accepted: %s.", host, detail), "Set ca_file or server_name in the component's TLS settings, or replace the certificate."}
	case ClientCertificate:
		return Cause{kind, host + " requires a client certificate, and got none or one that it does not accept.", "Set cert_file and key_file in the component's TLS settings."}
	case Handshake:
		return Cause{kind, "There is no TLS connection to " + host + ": " + detail + ".", "Check min_version in the component's TLS settings and what the backend supports."}
	case WrongProtocol:
		return d.wrongProtocol(detail)
	case NotHTTP:
		c := d.wrongProtocol("")
		c.Text = host + " does not speak HTTP."
		return c
	case Closed:
		return Cause{kind, host + " closes the connection without a response.", "Check the backend's own log, and that the port in " + d.address() + " is the right one."}
	case DiskFull:
		return Cause{kind, "A disk is full: " + sentence(cut(err.Error(), 300)), "Free some space."}
	}
	return Cause{Other, "Sending to " + host + " failed: " + sentence(cut(err.Error(), 500)), "Check the backend's own log."}
}

func (d *Destination) wantsTLS() Cause {
	if d.grpc() {
		return Cause{WantsTLS, d.host() + " seems to speak TLS, but the collector uses plain text.", "Remove client > tls > insecure."}
	}
	return Cause{WantsTLS, d.host() + " speaks TLS, but " + d.address() + " begins with http://.", "Write https:// in " + d.address() + "."}
}

// wrongProtocol is a server that speaks another protocol than it is asked in.
func (d *Destination) wrongProtocol(speaks string) Cause {
	c := Cause{WrongProtocol, fmt.Sprintf("%s speaks gRPC, not HTTP.", d.host()), "Fix the port in " + d.address() + "."}
	switch {
	case d.writer() == otlpHTTP:
		c.Fix = "Use the port for OTLP/HTTP, usually 4318, or otelcol.exporter.otlp."
	case d.grpc() && speaks == "HTTP":
		c.Text = fmt.Sprintf("%s speaks HTTP, not gRPC.", d.host())
		c.Fix = "Use the port for OTLP/gRPC, usually 4317, or otelcol.exporter.otlphttp. If the port is right, it may require TLS."
	}
	return c
}

// answered is a response other than an acknowledgment.
func (d *Destination) answered(a *Answer) Cause {
	host, said := d.host(), ""
	if a.Words != "" {
		said = ": " + quoted(a.Words)
	}
	if a.Location != "" {
		return d.redirected(a.Location)
	}
	if a.WantsTLS {
		return d.wantsTLS()
	}
	switch a.Status {
	case http.StatusUnauthorized:
		return d.unauthorized("401", a.Words)
	case http.StatusForbidden:
		return d.forbidden("403", said)
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone:
		return d.noPath(a.Status)
	case http.StatusProxyAuthRequired:
		return Cause{Unauthorized, "A proxy asks for credentials (407).", "Set them in proxy_url."}
	}
	if a.WebPage {
		return Cause{WebPage, fmt.Sprintf("%s answers with %s instead of an acknowledgment.", host, cut(a.Words, 200)),
			"Something else answers, such as a login page: set the credentials, or fix " + d.address() + "."}
	}
	if c, is := d.limited(a.Status, a.Words); is {
		return c
	}
	status := strconv.Itoa(a.Status)
	if text := http.StatusText(a.Status); text != "" {
		status += " " + text
	}
	switch {
	case a.Status == http.StatusUnsupportedMediaType:
		return Cause{WrongProtocol, host + " does not understand the request (415)" + said + ".", "Check that " + d.address() + " belongs to a backend for this component: " + d.expects() + "."}
	case a.Status == http.StatusServiceUnavailable, a.Status == http.StatusBadGateway, a.Status == http.StatusGatewayTimeout:
		return Cause{Unavailable, host + " answers " + status + said + ".", "The backend, or one behind it, is starting, overloaded or down: check its own log."}
	case a.Status >= 500:
		return Cause{ServerError, host + " answers " + status + said + ".", "Check the backend's own log."}
	case a.Status/100 == 2:
		return Cause{Rejected, host + " accepts requests but rejects their data" + said + ".", "Fix what the message names."}
	case a.Status/100 == 4:
		return Cause{Rejected, host + " rejects the data with " + status + said + ".", "Fix what the message names, and check that " + d.address() + " belongs to a backend for this component: " + d.expects() + "."}
	}
	return Cause{Status, host + " answers " + status + said + ".", "Check the backend's own log, and " + d.address() + "."}
}

// expects is the path of the URL that the writer's backends have.
func (d *Destination) expects() string {
	switch d.writer() {
	case remoteWrite:
		return "it usually ends in /api/v1/write, for Mimir in /api/v1/push"
	case lokiWrite:
		return "it usually ends in /loki/api/v1/push"
	case pyroscope:
		return "it has no path, as /ingest and /push.v1.PusherService/Push are appended"
	case otlpHTTP:
		return "it usually has no path, as /v1/metrics, /v1/logs and /v1/traces are appended"
	}
	return "host:port, usually 4317"
}

// paths are where the writer's known backends accept data.
func (d *Destination) paths() []string {
	switch d.writer() {
	case remoteWrite:
		return []string{"/api/v1/write", "/api/v1/push", "/prometheus/api/v1/write"}
	case lokiWrite:
		return []string{"/loki/api/v1/push", "/insert/loki/api/v1/push"}
	}
	return nil
}

func (d *Destination) noPath(status int) Cause {
	fix := "Fix the path in " + d.address() + ": " + d.expects() + "."
	if near := suggest.Nearest(d.path(), d.paths()); near != "" && near != d.path() {
		fix = "Did you mean " + near + "? Fix the path in " + d.address() + "."
	}
	return Cause{NotFound, fmt.Sprintf("%s does not accept data at %s (%d).", d.host(), cut(d.path(), 100), status), fix}
}

func (d *Destination) unauthorized(code, words string) Cause {
	if text := strings.ToLower(words); strings.Contains(text, "org id") || strings.Contains(text, "tenant") {
		return d.noTenant()
	}
	return Cause{Unauthorized, fmt.Sprintf("%s rejects the credentials, or requires some (%s).", d.host(), code), "Set or fix " + d.credentials() + "."}
}

func (d *Destination) credentials() string {
	if w := d.writer(); w == otlpGRPC || w == otlpHTTP {
		return "client > auth or client > headers"
	}
	return "basic_auth, authorization or bearer_token in the endpoint"
}

func (d *Destination) noTenant() Cause {
	fix := "Set headers = {\"X-Scope-OrgID\" = \"…\"} in the endpoint."
	switch d.writer() {
	case lokiWrite:
		fix = "Set tenant_id in the endpoint, or the stage tenant in loki.process."
	case otlpGRPC, otlpHTTP:
		fix = "Set headers = {\"X-Scope-OrgID\" = \"…\"} in client."
	}
	return Cause{NoTenant, d.host() + " requires a tenant, and none is set.", fix}
}

func (d *Destination) forbidden(code, said string) Cause {
	return Cause{Forbidden, fmt.Sprintf("%s does not allow this sender to write (%s)%s.", d.host(), code, said), "Fix " + d.credentials() + ", or their permissions at the backend."}
}

func (d *Destination) redirected(where string) Cause {
	path := where
	if u, err := url.Parse(where); err == nil {
		path = u.Path
	}
	if isLogin(path) {
		return Cause{Login, fmt.Sprintf("%s redirects to %s, a login page.", d.host(), cut(where, 300)), "Set or fix " + d.credentials() + ", or use an address that does not lead through the proxy."}
	}
	return Cause{Redirect, fmt.Sprintf("%s redirects to %s, which is not followed.", d.host(), cut(where, 300)), "If that accepts the data, write it in " + d.address() + "."}
}

// limited is an answer that mentions a limit of the backend, or the data's age.
func (d *Destination) limited(status int, words string) (c Cause, is bool) {
	text, host := strings.ToLower(words), d.host()
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(text, part) {
				return true
			}
		}
		return false
	}
	said := "."
	if words != "" {
		said = ": " + quoted(words) + "."
	}
	switch {
	case has("no space left"):
		return Cause{DiskFull, host + " has no space left on its disk" + said, "Free some space there."}, true
	case has("at least one label pair is required"):
		return Cause{NoLabels, host + " rejects lines that have no label.", "Give them one: by labels in the source, a rule, or stage.static_labels in loki.process."}, true
	case has("too far behind", "too old", "out of order", "out-of-order", "out of bounds", "older than", "ingestion window"):
		return Cause{TooOld, host + " rejects data that is too old or out of order" + said, "Check the clocks, and raise the age that the backend accepts."}, true
	case has("in the future", "too new"):
		return Cause{InTheFuture, host + " rejects data from the future" + said, "Check the clocks of the senders and of the backend."}, true
	case has("stream limit", "max streams", "series limit", "max-series", "maximum active series", "too many series"):
		return Cause{StreamLimited, host + " has too many streams or series from this sender" + said, "Drop labels with many values by a rule, or raise the limit at the backend."}, true
	case status == http.StatusRequestEntityTooLarge || has("max entry size", "line too long", "larger than max", "too large", "message size", "exceeds maximum size"):
		return Cause{TooLarge, host + " rejects data that is too large" + said, "Raise its limit, or reduce the size at the source."}, true
	case status == http.StatusTooManyRequests || has("rate limit", "rate-limit", "ratelimit"):
		return Cause{RateLimited, host + " limits the rate" + said, "Raise its limits, or send less."}, true
	case has("label") && has("too long", "limit", "max", "exceed", "too many"):
		return Cause{LabelLimit, host + " rejects labels that exceed its limits" + said, "Drop or shorten labels by a rule, or raise the limits at the backend."}, true
	}
	return Cause{}, false
}

// called is a gRPC call that failed.
func (d *Destination) called(r *RPC) Cause {
	host, said := d.host(), "."
	if r.Words != "" {
		said = ": " + quoted(r.Words) + "."
	}
	switch r.Code {
	case "Unauthenticated":
		return d.unauthorized(r.Code, r.Words)
	case "PermissionDenied":
		return d.forbidden(r.Code, strings.TrimSuffix(said, "."))
	case "ResourceExhausted", "InvalidArgument", "FailedPrecondition", "OutOfRange", "AlreadyExists", "Internal", "Unknown":
		if c, is := d.limited(0, r.Words); is {
			return c
		}
	}
	kind, detail := byText(r.Words)
	if plain := strings.HasPrefix(d.URL, "http://"); plain && kind == Closed && strings.Contains(r.Words, "server preface") {
		return d.wantsTLS()
	}
	if kind != Other {
		return d.unreached(kind, detail, r)
	}
	switch r.Code {
	case "Unavailable", "Canceled", "Aborted":
		return Cause{Unavailable, host + " is unavailable" + said, "The backend is starting, overloaded or down: check its own log."}
	case "DeadlineExceeded":
		return d.unreached(NoAnswer, "", r)
	case "Unimplemented":
		return Cause{WrongProtocol, host + " has no OTLP service for this signal" + said, "Check that a receiver of OTLP/gRPC for this signal listens on the port, usually 4317."}
	case "ResourceExhausted":
		return Cause{RateLimited, host + " limits the rate" + said, "Raise its limits, or send less."}
	case "InvalidArgument", "FailedPrecondition", "OutOfRange", "AlreadyExists":
		return Cause{Rejected, host + " rejects the data" + said, "Fix what the message names."}
	}
	return Cause{ServerError, host + " fails with " + r.Code + said, "Check the backend's own log."}
}
