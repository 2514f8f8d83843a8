package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/api"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"

	"collector/pkg/cause"
)

const (
	// oldestVersion is spoken to an Engine that does not say what it speaks:
	// the last version before Engines did.
	oldestVersion = "1.24"
	// answerTimeout bounds each request of the first exchange with the Engine,
	// of which there are three at most, and connectTimeout all of them.
	answerTimeout  = 5 * time.Second
	connectTimeout = 15 * time.Second
	// firstAnswer is how long a request that was never answered may take: it may
	// be one that a proxy holds back.
	firstAnswer = 10 * time.Second
	// requestTimeout bounds every request but those that follow and lists.
	requestTimeout = 30 * time.Second
	// listTimeout bounds a list of the containers. A busy Engine with thousands
	// of them takes its time, and without the list there is nothing to go on.
	listTimeout = 2 * time.Minute
)

// endpoint is where an Engine listens and how to talk to it.
type endpoint struct {
	host   string // as configured
	scheme string // http or https
	base   url.URL
	socket string // path; empty unless the host is unix://
	http   *http.Client
}

func newEndpoint(c Config) (*endpoint, error) {
	scheme, address, ok := strings.Cut(c.Host, "://")
	if !ok || address == "" {
		return nil, fmt.Errorf("host %q is not a valid address: use unix:///var/run/docker.sock, tcp://host:port, http://host:port or https://host:port", c.Host)
	}
	e := &endpoint{host: c.Host, scheme: "http"}
	switch scheme {
	case "unix":
		e.socket = address
		// The Engine wants some host name in requests, and looks at none.
		e.base = url.URL{Scheme: "http", Host: client.DummyHost}
		e.http = &http.Client{Transport: getOnly{plainTransport(address)}, CheckRedirect: client.CheckRedirect}
		return e, nil
	case "tcp", "http", "https":
	default:
		return nil, fmt.Errorf("host %q has the scheme %q: use unix, tcp, http or https", c.Host, scheme)
	}
	if scheme == "https" || scheme == "tcp" && c.Client != nil {
		e.scheme = "https"
	}
	u, err := url.Parse(e.scheme + "://" + address)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("host %q is not an address: write %s://host:port", c.Host, scheme)
	}
	e.base = url.URL{Scheme: e.scheme, Host: u.Host, Path: strings.TrimSuffix(u.Path, "/")}
	if c.Client == nil {
		e.http = &http.Client{Transport: getOnly{plainTransport("")}, CheckRedirect: client.CheckRedirect}
		return e, nil
	}
	// The client's own timeout would end streams that follow.
	own := *c.Client
	own.Timeout = 0
	if own.Transport == nil {
		own.Transport = http.DefaultTransport
	}
	own.Transport = getOnly{own.Transport}
	e.http = &own
	return e, nil
}

// plainTransport dials the socket, or TCP when it is empty.
func plainTransport(socket string) *http.Transport {
	t := &http.Transport{DisableCompression: true, MaxIdleConns: 4, MaxIdleConnsPerHost: 4, MaxResponseHeaderBytes: 256 << 10, IdleConnTimeout: 30 * time.Second, ReadBufferSize: 4 << 10, WriteBufferSize: 1 << 10}
	if socket != "" {
		dialer := &net.Dialer{}
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	return t
}

// getOnly refuses every request that could change something, and makes an error
// of the answer to one that is not allowed.
type getOnly struct{ next http.RoundTripper }

func (t getOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		return nil, fmt.Errorf("BUG: %s request to the Docker Engine", r.Method)
	}
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if err := refusedBy(r, resp); err != nil {
		return nil, err
	}
	return resp, nil
}

func (t getOnly) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// connection is a client that speaks the version negotiated with the Engine.
type connection struct {
	*client.Client
	endpoint *endpoint
	version  string
	podman   bool
}

// connect negotiates the version. The client library would ask with a HEAD
// request first, which read-only proxies refuse.
func (e *endpoint) connect(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	version, podman, err := e.negotiate(ctx)
	if err != nil {
		return nil, e.explain(err)
	}
	address := e.host
	if e.socket == "" {
		address = "tcp://" + e.base.Host + e.base.Path
	}
	// The library puts its own transport around the one in the http.Client.
	own := *e.http
	c, err := client.NewClientWithOpts(client.WithHost(address), client.WithHTTPClient(&own), client.WithScheme(e.scheme), client.WithVersion(version))
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", e.host, err)
	}
	return &connection{Client: c, endpoint: e, version: version, podman: podman}, nil
}

func (e *endpoint) negotiate(ctx context.Context) (version string, podman bool, err error) {
	header, _, pingErr := e.get(ctx, toPing, "/_ping")
	if pingErr != nil && !IsRefused(pingErr) && header == nil {
		return "", false, pingErr
	}
	highest := header.Get("Api-Version")
	podman = header.Get("Libpod-Api-Version") != ""
	if pingErr == nil && highest != "" && !versions.GreaterThan(highest, api.DefaultVersion) {
		return highest, podman, nil
	}
	// What the Engine cannot tell by itself, or speaks beyond what the library
	// knows, needs a closer look.
	header, body, err := e.get(ctx, toVersion, "/version")
	podman = podman || header.Get("Libpod-Api-Version") != ""
	switch {
	case err == nil:
		version, err = chooseVersion(body)
	case !IsRefused(err) && highest == "":
	case highest == "":
		silent := pingErr != nil && refusal(pingErr).status == "" && refusal(err).status == ""
		if version, err = e.probe(ctx, oldestVersion); silent && IsRefused(err) && refusal(err).status == "" {
			err = context.DeadlineExceeded // there was no answer: that is not a refusal
		}
	default:
		version, err = e.probe(ctx, api.DefaultVersion)
	}
	return version, podman, err
}

// chooseVersion reads the answer to GET /version.
func chooseVersion(body []byte) (string, error) {
	var v struct{ ApiVersion, MinAPIVersion string }
	if err := json.Unmarshal(body, &v); err != nil || v.ApiVersion == "" {
		return "", fmt.Errorf("this is not a Docker Engine: GET /version returned %.80q", body)
	}
	switch {
	case !versions.GreaterThan(v.ApiVersion, api.DefaultVersion):
		return v.ApiVersion, nil
	case v.MinAPIVersion != "" && versions.GreaterThan(v.MinAPIVersion, api.DefaultVersion):
		// The few operations used here have not changed in ten years, so it
		// is better to speak a version that the library does not know than
		// not to speak at all.
		return v.ApiVersion, nil
	}
	return api.DefaultVersion, nil
}

// minimum is how an Engine that no longer speaks a version names the oldest one
// that it speaks.
var minimum = regexp.MustCompile(`Minimum supported API version is (\d+\.\d+)`)

// probe finds a version where the Engine does not say which it speaks, with a
// request that is needed anyhow: wanted, or the oldest that the Engine speaks.
func (e *endpoint) probe(ctx context.Context, wanted string) (string, error) {
	_, text, err := e.get(ctx, toList, "/v"+wanted+"/containers/json?limit=1")
	if m := minimum.FindSubmatch(text); m != nil {
		return string(m[1]), nil
	}
	return wanted, err
}

// get reads a small answer. A request that is not answered counts as refused.
func (e *endpoint) get(ctx context.Context, r right, path string) (http.Header, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	u := e.base
	path, u.RawQuery, _ = strings.Cut(path, "?")
	u.Path += path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, nil, err
	}
	resp, err := e.http.Do(request)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = &RefusedError{right: r, waited: answerTimeout}
		}
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return resp.Header, body, fmt.Errorf("GET %s: %s: %s", path, resp.Status, shortText(body))
	}
	return resp.Header, body, nil
}

// explain says in the user's terms why connecting failed, and how to fix that.
func (e *endpoint) explain(err error) error {
	err = withoutURL(err)
	why := ""
	switch {
	case e.socket != "" && errors.Is(err, fs.ErrPermission):
		why = "permission denied: " + permissionAdvice(e.socket)
	case e.socket != "" && errors.Is(err, fs.ErrNotExist):
		why = "no such socket (is it mounted into this container?)"
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "nothing is listening there (is it running?)"
	case errors.Is(err, context.DeadlineExceeded):
		why = fmt.Sprintf("no answer within %v", connectTimeout)
	default:
		why = cause.Words(err.Error())
	}
	return &connectError{fmt.Sprintf("connect to the Docker Engine at %s: %s", e.host, why), err}
}

// connectError is why connecting failed, in words.
type connectError struct {
	text string
	err  error // of the library, whose text says no more
}

func (c *connectError) Error() string { return c.text }
func (c *connectError) Unwrap() error { return c.err }
