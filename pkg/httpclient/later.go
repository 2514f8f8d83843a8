package httpclient

import (
	"net/http"
	"sync"

	"collector/pkg/component"
)

// NewLater makes a client as New does, but files may be missing: they are looked for
// again with each request, which fails until they exist.
func (c *Config) NewLater(name, userAgent string) (*http.Client, error) {
	client, err := c.New(name, userAgent)
	if !component.Lacks(err) {
		return client, err
	}
	client = &http.Client{Transport: Later(func() (http.RoundTripper, error) {
		made, err := c.New(name, userAgent)
		if err != nil {
			return nil, err
		}
		return made.Transport, nil
	})}
	if !c.FollowRedirects {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return client, nil
}

// Later is a transport that make makes when there is a request, and again for the
// next one if it fails.
func Later(make func() (http.RoundTripper, error)) http.RoundTripper { return &later{make: make} }

type later struct {
	make func() (http.RoundTripper, error)

	mu   sync.Mutex
	made http.RoundTripper // guarded by mu
}

// RoundTrip implements http.RoundTripper.
func (l *later) RoundTrip(r *http.Request) (*http.Response, error) {
	transport, err := l.get()
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	return transport.RoundTrip(r)
}

func (l *later) get() (http.RoundTripper, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made != nil {
		return l.made, nil
	}
	made, err := l.make()
	if err == nil {
		l.made = made
	}
	return made, err
}

// CloseIdleConnections is what http.Client looks for.
func (l *later) CloseIdleConnections() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.made.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
