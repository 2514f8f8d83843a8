package docker

import (
	"fmt"
	"net/http"
	"net/url"
)

// Upstream is an Engine as a proxy in front of it needs it: without a version, and
// with its responses as they are.
type Upstream struct {
	Base      url.URL // of requests
	Transport http.RoundTripper

	endpoint *endpoint
}

// NewUpstream makes the Upstream for host, unix://PATH, tcp://HOST:PORT or
// http://HOST:PORT; it connects to nothing yet.
func NewUpstream(host string) (*Upstream, error) {
	e, err := newEndpoint(Config{Host: host})
	if err != nil {
		return nil, err
	}
	if e.scheme != "http" {
		return nil, fmt.Errorf("host %q: TLS is not supported here: use unix, tcp or http", host)
	}
	return &Upstream{Base: e.base, Transport: plainTransport(e.socket), endpoint: e}, nil
}

// Explain says why a request could not be made, and what fixes it.
func (u *Upstream) Explain(err error) error { return u.endpoint.explain(err) }
