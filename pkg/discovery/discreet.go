package discovery

import (
	"io"
	"net/http"
	"strings"

	"collector/pkg/httpclient"
)

// maxRefusal bounds what is read of an answer that is an error.
const maxRefusal = 64 << 10

// discreet takes the credentials of a request out of an answer that is an error:
// an Engine, or a proxy before it, may repeat them, and its words are logged and
// shown.
type discreet struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (d discreet) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := d.next.RoundTrip(r)
	if err != nil || resp.StatusCode < http.StatusBadRequest {
		return resp, err
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // what can be read of it
	resp.Body.Close()
	text := httpclient.WithoutCredentials(string(body), resp)
	resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	resp.Header.Del("Content-Length")
	return resp, nil
}

// CloseIdleConnections is for http.Client.
func (d discreet) CloseIdleConnections() {
	if c, ok := d.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
