package cause

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"collector/pkg/human"
	"collector/pkg/suggest"
)

// Target is what is known of a scrape target beside its error. Only URL is
// required.
type Target struct {
	URL       string
	Name      string     // of its container; "" if it is none
	Container *Container // nil: nothing is known of it
	// Networks are the ones that the collector's own container is in; nil if it
	// runs in none, or that isn't known.
	Networks []string
	// PortLabel and PathLabel are the container labels by which the rules set the
	// port and the path; "" if they read none.
	PortLabel, PathLabel string
	// Hint says what is odd about how the target's address was determined.
	Hint string
	// Profile is the kind of profile that is scraped; empty: it is metrics.
	Profile string
}

// wants is what is scraped.
func (t *Target) wants() string {
	if t.Profile != "" {
		return "profiles"
	}
	return "metrics"
}

// Container is what is known of a target's container.
type Container struct {
	Ports    []int    // TCP, that it exposes
	Networks []string // that it is in
}

// OfTarget is why a scrape failed; nothing for a nil error.
func OfTarget(err error, t Target) Cause {
	if err == nil {
		return Cause{}
	}
	c := t.classify(err)
	if t.Hint != "" && (c.Kind == Refused || c.Kind == WrongPort || c.Kind == NotFound || c.Kind == WebPage || c.Kind == NoConnection) {
		c.Text += " " + t.Hint
	}
	return c
}

func (t *Target) classify(err error) Cause {
	var answer *Answer
	var page *Page
	var limit *Limit
	var other *NotProfile
	switch {
	case errors.As(err, &other):
		return Cause{NoProfile, fmt.Sprintf("%s answers with %s instead of a profile.", t.name(), other.Instead), "Set the path that serves profiles by " + t.setPath() + ", or the port by " + t.setPort() + "." + t.tryPort()}
	case errors.As(err, &page):
		return t.badPage(page)
	case errors.As(err, &limit):
		return t.overLimit(limit)
	case errors.As(err, &answer):
		return t.answered(answer)
	}
	kind, detail := network(err)
	return t.unreached(kind, detail, err)
}

// host and port of the URL; port is the scheme's if the URL has none.
func (t *Target) host() (host, port string) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return t.URL, ""
	}
	if port = u.Port(); port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Hostname(), port
}

func (t *Target) path() string {
	u, err := url.Parse(t.URL)
	if err != nil || u.Path == "" {
		return "/"
	}
	return u.Path
}

// name is what the target is called: its container, or its address.
func (t *Target) name() string {
	if t.Name != "" {
		return cut(t.Name, 100)
	}
	return cut(net.JoinHostPort(t.host()), 100)
}

// place is its port: "port 80 of web-1", or "10.0.0.1:80".
func (t *Target) place() string {
	if t.Name == "" {
		return t.name()
	}
	_, port := t.host()
	return "port " + port + " of " + t.name()
}

// setPort and setPath say how to choose another port or path.
func (t *Target) setPort() string {
	if t.PortLabel != "" {
		return "the label " + t.PortLabel
	}
	return "__address__ in a rule"
}

func (t *Target) setPath() string {
	if t.PathLabel != "" {
		return "the label " + t.PathLabel
	}
	if t.Profile != "" {
		return "path of the profile in profiling_config or __profile_path__"
	}
	return "metrics_path or __metrics_path__"
}

// otherPorts are those that the container exposes besides the one that was asked;
// asked reports whether it exposes that.
func (t *Target) otherPorts() (others []string, asked bool) {
	if t.Container == nil {
		return nil, false
	}
	_, port := t.host()
	for _, p := range t.Container.Ports {
		if text := strconv.Itoa(p); text != port {
			others = append(others, text)
		} else {
			asked = true
		}
	}
	return others, asked
}

// tryPort is the advice to scrape one of the other ports; "" if there is none.
func (t *Target) tryPort() string {
	others, _ := t.otherPorts()
	if len(others) == 0 {
		return ""
	}
	return " It also exposes " + ports(others) + "."
}

func ports(numbers []string) string {
	if len(numbers) == 1 {
		return "port " + numbers[0]
	}
	return "ports " + list(numbers)
}

// apart reports whether the collector is in none of the container's networks.
func (t *Target) apart() bool {
	if t.Container == nil || len(t.Container.Networks) == 0 || len(t.Networks) == 0 {
		return false
	}
	return !slices.ContainsFunc(t.Container.Networks, func(n string) bool { return slices.Contains(t.Networks, n) })
}

// unreached is what is wrong if there was no HTTP response.
func (t *Target) unreached(kind Kind, detail string, err error) Cause {
	host, _ := t.host()
	switch kind {
	case NoConnection, Unreachable:
		return t.noWay(kind, err)
	case Refused:
		return t.refused()
	case UnknownHost:
		return Cause{kind, fmt.Sprintf("The name %s does not resolve.", detail), "Fix the host in the target's address, or put the collector and " + detail + " on one network."}
	case NameServer:
		return Cause{kind, fmt.Sprintf("The name server does not answer for %s.", detail), "Check the DNS of the collector's host or container."}
	case NoAnswer:
		return t.slow(err)
	case WantsTLS:
		return Cause{kind, upper(t.place()) + " speaks TLS, but the collector uses plain HTTP.", "Set scheme = \"https\" in the component, or __scheme__ to https for this target."}
	case PlainHTTP:
		return Cause{kind, upper(t.place()) + " speaks plain HTTP, but the collector uses HTTPS.", "Set scheme = \"http\" in the component, or __scheme__ to http for this target."}
	case Certificate:
		return Cause{kind, fmt.Sprintf("The certificate of %s is not accepted: %s.", t.name(), detail), "Set ca_file or server_name in tls_config, or replace the certificate."}
	case ClientCertificate:
		return Cause{kind, upper(t.place()) + " requires a client certificate, and got none or one that it does not accept.", "Set cert_file and key_file in tls_config."}
	case Handshake:
		return Cause{kind, "There is no TLS connection to " + t.place() + ": " + detail + ".", "Check min_version in tls_config and what the target supports."}
	case WrongProtocol, NotHTTP:
		return Cause{NotHTTP, upper(t.place()) + " does not speak HTTP.", "Set the port that serves " + t.wants() + " by " + t.setPort() + "." + t.tryPort()}
	case Closed:
		return Cause{kind, upper(t.place()) + " closes the connection without a complete response.", "Check the service's own log. If it is another service's port, set the port that serves " + t.wants() + " by " + t.setPort() + "." + t.tryPort()}
	}
	return Cause{Other, fmt.Sprintf("The scrape of %s failed: %s", t.name(), sentence(cut(err.Error(), 500))), fmt.Sprintf("Open the target's page and choose Fetch now, or run curl against %s from the collector's host.", cut(host, 100))}
}

// noWay is a target to which no connection can be made.
func (t *Target) noWay(kind Kind, err error) Cause {
	host, port := t.host()
	if t.apart() {
		theirs := "networks " + list(t.Container.Networks)
		if len(t.Container.Networks) == 1 {
			theirs = "network " + t.Container.Networks[0]
		}
		return Cause{NoCommonNetwork, fmt.Sprintf("%s is only on %s; the collector isn't.", t.name(), theirs),
			fmt.Sprintf("Connect them: add the collector to %s, or %s to %s.", t.Container.Networks[0], t.name(), list(t.Networks))}
	}
	fix := "Check that the collector can reach this address: that both share a network, and that no firewall is in between."
	if kind == Unreachable {
		return Cause{kind, fmt.Sprintf("There is no route to %s, the address of %s.", host, t.name()), fix}
	}
	return Cause{kind, fmt.Sprintf("%s does not accept connections at %s%s.", t.name(), net.JoinHostPort(host, port), within(err)), fix}
}

// within says how long somebody has waited, if that is known.
func within(err error) string {
	var late *Late
	if !errors.As(err, &late) || late.Within <= 0 {
		return ""
	}
	if late.Setting == "" {
		return " within " + seconds(late.Within)
	}
	return " within " + seconds(late.Within) + " (" + late.Setting + ")"
}

func (t *Target) refused() Cause {
	others, asked := t.otherPorts()
	switch {
	case asked:
		return Cause{Refused, "Nothing listens on " + t.place() + ", although the container exposes it.", "Check that the service is running and listens on 0.0.0.0, not only on 127.0.0.1." + t.tryPort()}
	case len(others) > 0:
		return Cause{WrongPort, "Nothing listens on " + t.place() + ", which exposes " + ports(others) + ".", "Set the port that serves " + t.wants() + " by " + t.setPort() + "."}
	}
	return Cause{Refused, "Nothing listens on " + t.place() + ".", "Set the port that serves " + t.wants() + " by " + t.setPort() + ", or start the service."}
}

func (t *Target) slow(err error) Cause {
	var late *Late
	setting := "scrape_timeout"
	if errors.As(err, &late) && late.Setting != "" {
		setting = late.Setting
	}
	return Cause{NoAnswer, fmt.Sprintf("%s accepts the connection but does not answer%s.", upper(t.place()), within(err)),
		"Check why its " + t.wants() + " take so long, or raise " + setting + "."}
}

// upper is text as the beginning of a sentence, unless it is a name.
func upper(text string) string {
	if strings.HasPrefix(text, "port ") {
		return "P" + text[1:]
	}
	return text
}

// answered is a response that is no page.
func (t *Target) answered(a *Answer) Cause {
	said := ""
	if a.Words != "" {
		said = ": " + quoted(a.Words)
	}
	status := strconv.Itoa(a.Status)
	if text := http.StatusText(a.Status); text != "" {
		status += " " + text
	}
	switch {
	case a.Location != "":
		return t.redirected(a.Location)
	case a.WantsTLS:
		return t.unreached(WantsTLS, "", a)
	case a.Status == http.StatusUnauthorized:
		return Cause{Unauthorized, t.name() + " asks for credentials (401).", "Set basic_auth, authorization or bearer_token in the component. If they are set, they are wrong."}
	case a.Status == http.StatusForbidden:
		return Cause{Forbidden, t.name() + " denies access (403)" + said + ".", "Allow the collector at the target, or fix the credentials in the component."}
	case a.Status == http.StatusNotFound, a.Status == http.StatusMethodNotAllowed, a.Status == http.StatusGone:
		return t.noPage(a.Status)
	case a.Status == http.StatusServiceUnavailable:
		return Cause{Unavailable, t.name() + " answers 503 Service Unavailable" + said + ".", "It may be starting or overloaded: check its own log."}
	case a.Status >= 500:
		return Cause{ServerError, t.name() + " answers " + status + said + ".", "Check the service's own log."}
	}
	return Cause{Status, t.name() + " answers " + status + " instead of " + t.wants() + said + ".", "Set the path by " + t.setPath() + ", or the port by " + t.setPort() + "." + t.tryPort()}
}

// usualPaths are where services have their metrics.
func usualPaths() []string {
	return []string{"/metrics", "/actuator/prometheus", "/prometheus", "/stats/prometheus", "/q/metrics", "/api/metrics", "/api/v1/metrics", "/metrics/prometheus", "/-/metrics", "/_status/vars"}
}

func (t *Target) noPage(status int) Cause {
	path := t.path()
	fix := "Set the path that serves " + t.wants() + " by " + t.setPath() + "."
	if t.Profile != "" {
		fix = "If the service has no profile " + t.Profile + ", disable that in profiling_config. Otherwise set " + t.setPath() + "."
	} else if near := suggest.Nearest(path, usualPaths()); near != "" && near != path {
		fix = "Did you mean " + near + "? Set the path by " + t.setPath() + "."
	}
	return Cause{NotFound, fmt.Sprintf("%s has no page %s (%d).", t.name(), cut(path, 100), status), fix + t.tryPort()}
}

// redirected is a redirect to where is.
func (t *Target) redirected(where string) Cause {
	to, shown := where, where
	if u, err := url.Parse(where); err == nil {
		to = u.Path
		if asked, err := url.Parse(t.URL); err == nil && u.Host == asked.Host {
			shown = u.Path
		}
	}
	if isLogin(to) {
		return Cause{Login, fmt.Sprintf("%s redirects to %s, a login page.", t.name(), cut(shown, 300)),
			"Set its credentials in the component, or the path or port that serves " + t.wants() + " without a login." + t.tryPort()}
	}
	return Cause{Redirect, fmt.Sprintf("%s redirects to %s, which is not followed.", t.name(), cut(shown, 300)), "If the " + t.wants() + " are there, scrape that address: " + t.setPath() + " sets the path."}
}

// isLogin reports whether a path is where people log in.
func isLogin(path string) bool {
	words := strings.FieldsFunc(strings.ToLower(path), func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') })
	return slices.ContainsFunc(words, func(word string) bool {
		return slices.Contains([]string{"login", "signin", "sign", "auth", "oauth", "oauth2", "sso", "saml", "session", "sessions", "authorize"}, word)
	})
}

// overLimit is a page that exceeds a limit.
func (t *Target) overLimit(l *Limit) Cause {
	kind, what := PageLimit, l.Argument
	switch l.Argument {
	case "sample_limit":
		kind = TooManySamples
		if l.Have > 0 {
			return Cause{kind, fmt.Sprintf("The page of %s has %s samples; sample_limit allows %s.", t.name(), human.Count(float64(l.Have)), human.Count(float64(l.Most))),
				"Raise sample_limit, or expose fewer series: a label with many values is the usual reason."}
		}
	case "body_size_limit":
		what = "body_size_limit, or make the page smaller"
	case "target_limit":
		return Cause{kind, sentence("Nothing is scraped: " + l.Err.Error()), "Raise target_limit, or drop targets with a rule."}
	case "":
		return Cause{Memory, sentence(upperFirst(l.Err.Error())), "Make the page smaller, or give the collector more memory."}
	}
	return Cause{kind, fmt.Sprintf("The page of %s exceeds a limit: %s", t.name(), sentence(cut(l.Err.Error(), 400))), "Raise " + what + "."}
}

func upperFirst(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
