// Package delivertest has the tests that every sender of HTTP pushes passes.
package delivertest

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"collector/pkg/deliver"
	"collector/pkg/queue"
)

// Push is a kind of sender.
type Push struct {
	// New makes a sender for a server whose redirects are followed, with headers
	// as its configuration has them.
	New func(t *testing.T, url string, headers map[string]string) deliver.Sender
	// Blocks are what is sent.
	Blocks []queue.Block
	// Acknowledge answers as the sender's backend does. nil: 200 without a body.
	Acknowledge http.HandlerFunc
}

// request is what a backend was asked.
type request struct {
	method, path, host, body string
	header                   http.Header
}

// backend is a server that keeps what it is asked.
type backend struct {
	*httptest.Server
	mu   sync.Mutex
	seen []request
}

func start(t *testing.T, answer http.HandlerFunc) *backend {
	t.Helper()
	b := &backend{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		b.mu.Lock()
		b.seen = append(b.seen, request{r.Method, r.URL.Path, r.Host, string(body), r.Header.Clone()})
		b.mu.Unlock()
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *backend) requests() []request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen
}

// Test runs all tests of p.
func (p Push) Test(t *testing.T) {
	t.Run("follows 307 and 308 with all that it sends", p.testFollowed)
	t.Run("keeps what a redirect would lose", p.testRedirects)
	t.Run("keeps what a web page answers", p.testPages)
	t.Run("takes a backend's acknowledgment", p.testAcknowledged)
	t.Run("shows errors in words", p.testWords)
	t.Run("sets the host", p.testHost)
}

func (p Push) send(t *testing.T, url string, headers map[string]string) error {
	t.Helper()
	_, err := p.New(t, url, headers).Send(t.Context(), p.Blocks)
	return err
}

func (p Push) testFollowed(t *testing.T) {
	for _, status := range []int{http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		b := start(t, func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, "/there") {
				http.Redirect(w, r, "/there"+r.URL.RequestURI(), status)
			} else if p.Acknowledge != nil {
				p.Acknowledge(w, r)
			}
		})
		if err := p.send(t, b.URL, map[string]string{"X-Custom": "custom", "Authorization": "Basic s3cret"}); err != nil {
			t.Errorf("%d: %v", status, err)
			continue
		}
		seen := b.requests()
		if len(seen) != 2 || seen[1].body != seen[0].body || seen[1].body == "" || seen[1].method != http.MethodPost {
			t.Fatalf("%d: %d requests arrived, the last with %d bytes", status, len(seen), len(seen[len(seen)-1].body))
		}
		for name, values := range seen[0].header {
			if name != "X-Amz-Date" && strings.Join(seen[1].header[name], ",") != strings.Join(values, ",") {
				t.Errorf("%d: after the redirect %s is %q, not %q", status, name, seen[1].header[name], values)
			}
		}
		if seen[1].header.Get("X-Custom") != "custom" || seen[1].header.Get("Authorization") == "" {
			t.Errorf("%d: headers have not arrived: %v", status, seen[1].header)
		}
	}
}

// testRedirects: an answer that would be a success for the GET that follows
// some redirects is none for the data.
func (p Push) testRedirects(t *testing.T) {
	elsewhere := start(t, p.Acknowledge)
	for _, test := range []struct {
		status int
		to     string
		want   string
	}{
		{301, "/there", "/there (301 Moved Permanently)"},
		{302, "https://user:s3cret@login.invalid/in?token=s3cret", "https://login.invalid/in (302 Found)"},
		{303, "/there", "/there (303 See Other)"},
		{307, elsewhere.URL + "/in", elsewhere.URL + "/in (307 Temporary Redirect)"},
		{308, "https://other.invalid/", "https://other.invalid/ (308 Permanent Redirect)"},
		{302, "", "302 Found"},
		{304, "", "304 Not Modified"},
	} {
		b := start(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/there" {
				if p.Acknowledge != nil {
					p.Acknowledge(w, r)
				}
				return
			}
			if test.to != "" {
				w.Header().Set("Location", test.to)
			}
			w.WriteHeader(test.status)
		})
		p.mustStay(t, b.URL, test.want)
		if n := len(b.requests()); n != 1 {
			t.Errorf("%d: %d requests", test.status, n)
		}
	}
	if n := len(elsewhere.requests()); n > 0 {
		t.Errorf("%d requests have gone to another host", n)
	}
}

// mustStay sends, and expects an error that keeps the data and holds the words.
func (p Push) mustStay(t *testing.T, url, words string) {
	t.Helper()
	err := p.send(t, url, nil)
	var e *deliver.Error
	switch {
	case err == nil:
		t.Errorf("%s: counted as delivered", words)
	case errors.As(err, &e) && e.Rejected:
		t.Errorf("%s: dropped: %v", words, err)
	case !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "s3cret"):
		t.Errorf("the error is %q, want %q in it", err, words)
	}
}

func (p Push) testPages(t *testing.T) {
	b := start(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>")
	})
	p.mustStay(t, b.URL, `a web page ("Sign in")`)
}

func (p Push) testAcknowledged(t *testing.T) {
	b := start(t, p.Acknowledge)
	if err := p.send(t, b.URL, nil); err != nil {
		t.Error(err)
	}
}

func (p Push) testWords(t *testing.T) {
	status, err := proto.Marshal(&spb.Status{Message: strings.Repeat("max entry size 262144 exceeded ", 5)})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ kind, body, want string }{
		{"application/octet-stream", string(status), ": max entry size 262144"},
		{"application/x-protobuf", string(status), ": max entry size 262144"},
		{"application/json", `{"code":"invalid_argument","message":"no\n good"}`, ": no good"},
		{"text/plain", "line 1\nline\x002", ": line 1 line\uFFFD2"},
		{"text/html", "<html><title>500 Oops</title>", `a web page ("500 Oops")`},
	} {
		b := start(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", test.kind)
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, test.body)
		})
		p.mustStay(t, b.URL, test.want)
	}
}

func (p Push) testHost(t *testing.T) {
	b := start(t, p.Acknowledge)
	for _, name := range []string{"Host", "host"} {
		if err := p.send(t, b.URL, map[string]string{name: "name.example"}); err != nil {
			t.Error(err)
			continue
		}
		seen := b.requests()
		if last := seen[len(seen)-1]; last.host != "name.example" {
			t.Errorf("%s: the server was asked as %s", name, last.host)
		}
	}
}
