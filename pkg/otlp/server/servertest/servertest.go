// Package servertest tests that a receiver gives its server of HTTP each setting, and
// that clients learn what becomes of what they send.
package servertest

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"collector/pkg/component"
	"collector/pkg/otlp/auth"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/server"
	"collector/pkg/pipeline"
)

// User is a receiver with a server of HTTP.
type User struct {
	// Start runs one whose configuration change has changed, with traces for to, and
	// returns the URL to which clients send.
	Start func(t *testing.T, to pipeline.OTLPSink, change func(*server.HTTPConfig)) string
	Type  string // the content type of Body
	Body  []byte // a good request
	OK    int    // the status of a good answer
}

// Test tests all.
func (u User) Test(t *testing.T) {
	t.Run("sizes and encodings", u.bodies)
	t.Run("metadata and connections", u.headers)
	t.Run("authentication", u.authentication)
	t.Run("pages", u.pages)
	t.Run("failures", u.failures)
}

// ask sends a body, and returns the answer with its text.
func (u User) ask(t *testing.T, method, url string, header map[string]string, body []byte) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", u.Type)
	for name, value := range header {
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text)
}

// post checks the status of a request, and how many arrive.
func (u User) post(t *testing.T, to *otlptest.Sink, url string, header map[string]string, body []byte, want int) *http.Response {
	t.Helper()
	answer, text := u.ask(t, http.MethodPost, url, header, body)
	if answer.StatusCode != want {
		t.Errorf("%v: %s %s, want %d", header, answer.Status, text, want)
	}
	if arrived := len(to.Taken()); (arrived > 0) != (want/100 == 2) {
		t.Errorf("%v: %d requests have arrived", header, arrived)
	}
	return answer
}

func packed(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (u User) bodies(t *testing.T) {
	var to otlptest.Sink
	asGzip := map[string]string{"Content-Encoding": "gzip"}
	url := u.Start(t, &to, func(c *server.HTTPConfig) { c.MaxRequestBodySize = component.Bytes(len(u.Body)) })
	u.post(t, &to, url, nil, u.Body, u.OK)
	u.post(t, &to, url, asGzip, packed(t, u.Body), u.OK)
	url = u.Start(t, &to, func(c *server.HTTPConfig) { c.MaxRequestBodySize = component.Bytes(len(u.Body) - 1) })
	u.post(t, &to, url, nil, u.Body, http.StatusBadRequest)
	u.post(t, &to, url, asGzip, packed(t, u.Body), http.StatusBadRequest)
	url = u.Start(t, &to, func(c *server.HTTPConfig) { c.CompressionAlgorithms = []string{"gzip"} })
	u.post(t, &to, url, nil, u.Body, http.StatusBadRequest)
	u.post(t, &to, url, asGzip, packed(t, u.Body), u.OK)
}

func (u User) headers(t *testing.T) {
	for _, set := range []bool{true, false} {
		var to otlptest.Sink
		url := u.Start(t, &to, func(c *server.HTTPConfig) { c.IncludeMetadata, c.KeepAlivesEnabled = set, set })
		answer, text := u.ask(t, http.MethodPost, url, map[string]string{"X-Tenant": "a"}, u.Body)
		if answer.StatusCode != u.OK {
			t.Fatalf("%s %s", answer.Status, text)
		}
		if answer.Close == set {
			t.Errorf("keep_alives_enabled = %t: the connection ends: %t", set, answer.Close)
		}
		if got := slices.Equal(to.Metadata()[0].Values("x-tenant"), []string{"a"}); got != set {
			t.Errorf("include_metadata = %t: the metadata is %v", set, to.Metadata()[0])
		}
	}
}

func (u User) authentication(t *testing.T) {
	c, err := auth.NewBasic(auth.BasicConfig{Username: "ann", Password: "pw"}, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var user string
	to := otlptest.SinkFunc(func(ctx context.Context, _ pipeline.OTLP) error {
		user = flow.AuthOf(ctx)["username"]
		return nil
	})
	url := u.Start(t, to, func(config *server.HTTPConfig) { config.Auth = c.Exports()["handler"].(*auth.Handler) })
	for password, want := range map[string]int{"Basic YW5uOnB3": u.OK, "Basic YW5uOm5v": http.StatusUnauthorized} {
		if answer, text := u.ask(t, http.MethodPost, url, map[string]string{"Authorization": password}, u.Body); answer.StatusCode != want {
			t.Errorf("%s: %s %s, want %d", password, answer.Status, text, want)
		}
	}
	if user != "ann" {
		t.Errorf("who sent it is %q", user)
	}
}

func (u User) pages(t *testing.T) {
	var to otlptest.Sink
	url := u.Start(t, &to, func(c *server.HTTPConfig) {
		c.CORS = &server.CORS{AllowedOrigins: []string{"https://*.example.com"}, AllowedHeaders: []string{"X-Token"}, MaxAge: 60}
	})
	const ours, other = "https://a.example.com", "https://evil.example"
	u.post(t, &to, url, map[string]string{"Origin": ours}, u.Body, u.OK)
	u.post(t, &to, url, map[string]string{"Origin": other}, u.Body, http.StatusForbidden)
	asks := map[string]string{"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-token"}
	for origin, want := range map[string]string{ours: "60", other: ""} {
		header := maps.Clone(asks)
		header["Origin"] = origin
		answer, _ := u.ask(t, http.MethodOptions, url, header, nil)
		if got := answer.Header.Get("Access-Control-Max-Age"); got != want {
			t.Errorf("a page of %s may ask for %q s, want %q", origin, got, want)
		}
		if got := answer.Header.Get("Access-Control-Allow-Headers"); (got != "") != (want != "") {
			t.Errorf("a page of %s may send the headers %q", origin, got)
		}
	}
	url = u.Start(t, &to, func(*server.HTTPConfig) {})
	u.post(t, &to, url, map[string]string{"Origin": ours}, u.Body, http.StatusForbidden)
}

func (u User) failures(t *testing.T) {
	for err, want := range map[error]int{
		pipeline.ErrFull:                              http.StatusServiceUnavailable,
		pipeline.ErrClosed:                            http.StatusServiceUnavailable,
		pipeline.Permanent(io.ErrUnexpectedEOF):       http.StatusBadRequest,
		&pathError{"/var/lib/collector/queue is bad"}: http.StatusServiceUnavailable,
	} {
		to := &otlptest.Sink{Err: err}
		answer := u.post(t, to, u.Start(t, to, func(*server.HTTPConfig) {}), nil, u.Body, want)
		if again := answer.Header.Get("Retry-After"); (again != "") != (want == http.StatusServiceUnavailable) {
			t.Errorf("%v: Retry-After is %q", err, again)
		}
	}
	var to otlptest.Sink
	url := u.Start(t, &to, func(*server.HTTPConfig) {})
	u.post(t, &to, url, nil, []byte("\x00nonsense"), http.StatusBadRequest)
	to.Err = &pathError{"/var/lib/collector/queue is bad"}
	if _, text := u.ask(t, http.MethodPost, url, nil, u.Body); strings.Contains(text, "/var/lib") {
		t.Errorf("a client reads a path: %s", text)
	}
	if answer, text := u.ask(t, http.MethodGet, url, nil, nil); answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %s %s", answer.Status, text)
	}
	if answer, _ := u.ask(t, http.MethodPost, url, map[string]string{"Content-Type": "application/grpc"}, nil); answer.Header.Get("Grpc-Message") == "" {
		t.Errorf("a client of gRPC is told nothing: %v", answer.Header)
	}
}

// pathError is an error that is not for clients.
type pathError struct{ text string }

func (e *pathError) Error() string { return e.text }
