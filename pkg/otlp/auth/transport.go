package auth

import (
	"context"
	"fmt"
	"net/http"
)

type carriedKey struct{}

// WithCarried passes what Carry returned when a request came to whoever sends it.
func WithCarried(ctx context.Context, carried string) context.Context {
	return context.WithValue(ctx, carriedKey{}, carried)
}

// Carried returns what WithCarried put there.
func Carried(ctx context.Context) string {
	carried, _ := ctx.Value(carriedKey{}).(string)
	return carried
}

// TenantHeaders are headers with those that a client, which may be nil, always adds.
func TenantHeaders(c Client, headers map[string]string) map[string]string {
	adds, ok := c.(interface{ tenantHeaders() map[string]string })
	if !ok {
		return headers
	}
	all := adds.tenantHeaders()
	for name, value := range headers {
		if _, replaced := all[name]; !replaced {
			all[name] = value
		}
	}
	return all
}

// Refused tells a client, which may be nil, that a server did not accept its credentials.
func Refused(c Client) {
	if r, ok := c.(interface{ Refused() }); ok {
		r.Refused()
	}
}

// transport adds headers to the requests of HTTP.
type transport struct {
	client Client
	next   http.RoundTripper
}

// Transport is next with what a client, which may be nil, adds to its requests.
func Transport(c Client, next http.RoundTripper) http.RoundTripper {
	if c == nil {
		return next
	}
	return &transport{c, next}
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	authorized := r.Clone(r.Context())
	if err := t.client.Add(r.Context(), Carried(r.Context()), authorized.Header); err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, fmt.Errorf("authenticate: %w", err)
	}
	answer, err := t.next.RoundTrip(authorized)
	if err == nil && answer.StatusCode == http.StatusUnauthorized {
		Refused(t.client)
	}
	return answer, err
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach all connections.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
