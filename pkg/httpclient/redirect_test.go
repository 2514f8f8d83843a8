package httpclient

import (
	"context"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"collector/pkg/component"
)

// recorder is a server that keeps what it is asked.
type recorder struct {
	*httptest.Server
	mu   sync.Mutex
	seen []http.Header // with the body under "Body", and the host under "Host"
}

func record(t *testing.T, answer http.HandlerFunc) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		h := q.Header.Clone()
		h.Set("Body", string(body))
		h.Set("Host", q.Host)
		r.mu.Lock()
		r.seen = append(r.seen, h)
		r.mu.Unlock()
		if answer != nil {
			answer(w, q)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) requests() []http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

func TestCredentialsAndHeadersStayWithTheHostThatTheyAreFor(t *testing.T) {
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"s3cret","token_type":"Bearer"}`)
	}))
	defer tokens.Close()
	for name, set := range map[string]func(*Config){
		"basic_auth":    func(c *Config) { c.BasicAuth = &BasicAuth{Username: "u", Password: "s3cret"} },
		"authorization": func(c *Config) { c.Authorization = &Authorization{Type: "Custom", Credentials: "s3cret"} },
		"bearer_token":  func(c *Config) { c.BearerToken = "s3cret" },
		"bearer_file":   func(c *Config) { c.BearerTokenFile = writeFile(t, "s3cret") },
		"oauth2":        func(c *Config) { c.OAuth2 = &OAuth2{ClientID: "i", ClientSecret: "s", TokenURL: tokens.URL} },
		"http_headers":  func(c *Config) { c.HTTPHeaders = map[string][]component.Secret{"X-Key": {"s3cret"}} },
	} {
		var own *recorder
		foreign := record(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, own.URL+"/back", http.StatusFound) })
		own = record(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				http.Redirect(w, r, "/same", http.StatusFound)
			} else if r.URL.Path == "/same" {
				http.Redirect(w, r, foreign.URL, http.StatusTemporaryRedirect)
			}
		})
		c := Default()
		set(&c)
		client, err := c.New("test", "agent/1")
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequest(http.MethodGet, own.URL+"/?token=s3cret", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Scope-OrgID", "tenant")
		request.Header.Set("Accept", "text/plain")
		answer, err := client.Do(request)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		answer.Body.Close()
		client.CloseIdleConnections()
		there, here := foreign.requests(), own.requests()
		if len(there) != 1 || len(here) != 3 {
			t.Fatalf("%s: %d requests to the other host, %d to the own", name, len(there), len(here))
		}
		for i, h := range []http.Header{here[0], here[1]} {
			if h.Get("X-Scope-Orgid") != "tenant" || h.Get("Authorization") == "" && h.Get("X-Key") == "" {
				t.Errorf("%s: request %d to the own host has %v", name, i+1, h)
			}
		}
		for _, h := range []http.Header{there[0], here[2]} {
			for header := range h {
				if !describesRequest(header) && header != "Body" && header != "Host" {
					t.Errorf("%s: after the host has changed, there is still %s: %s", name, header, h.Get(header))
				}
			}
			if h.Get("User-Agent") != "agent/1" || h.Get("Accept") != "text/plain" {
				t.Errorf("%s: the request to the other host has lost what describes it: %v", name, h)
			}
		}
	}
}

func TestATokenRequestSendsTheSecretNowhereElse(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		elsewhere := record(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token":"forged"}`)
		})
		tokens := record(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/login?state=s3cret", status)
		})
		c := Default()
		c.OAuth2 = &OAuth2{ClientID: "id", ClientSecret: "client-s3cret", TokenURL: tokens.URL + "/token"}
		client, err := c.New("test", "a")
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Get(tokens.URL)
		if err == nil || !strings.Contains(err.Error(), elsewhere.URL+"/login") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%d: the error is %v", status, err)
		}
		if n := len(elsewhere.requests()); n > 0 {
			t.Errorf("%d: the token request has gone to another host", status)
		}
		client.CloseIdleConnections()
	}
}

func TestAWrongSecretIsNamedWithoutItself(t *testing.T) {
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":"invalid_client","error_description":"no client-s3cret here `+r.Form.Get("client_secret")+`"}`)
	}))
	defer tokens.Close()
	c := Default()
	c.OAuth2 = &OAuth2{ClientID: "id", ClientSecret: "client-s3cret", TokenURL: tokens.URL + "/token"}
	client, err := c.New("test", "a")
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	_, err = client.Get(tokens.URL)
	want := "fetch an OAuth2 token from " + tokens.URL + "/token: 401 Unauthorized: invalid_client: no (secret) here"
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "client-s3cret") {
		t.Errorf("the error is %v, want %q in it", err, want)
	}
}

func TestASlowTokenServerHoldsNoRequestBeyondItsTime(t *testing.T) {
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tokens := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		cancel() // the time is up while the token is asked for
		<-release
	}))
	defer tokens.Close()
	defer close(release)
	c := Default()
	c.OAuth2 = &OAuth2{ClientID: "id", ClientSecret: "s", TokenURL: tokens.URL}
	client, err := c.New("test", "a")
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, tokens.URL, nil)
	if _, err := client.Do(request); err == nil {
		t.Error("a request without a token was answered")
	}
}

func TestSameHost(t *testing.T) {
	for _, test := range []struct {
		from, to string
		want     bool
	}{
		{"http://h/a", "http://h/b", true},
		{"http://h", "http://H:80", true},
		{"http://h", "https://h", true},
		{"http://h:8080", "https://h:8443", true},
		{"https://h", "https://h:443/x", true},
		{"http://[::1]:1", "http://[::1]:1/x", true},
		{"https://h", "http://h", false},
		{"https://h:8443", "http://h:8443", false},
		{"http://h", "http://h:81", false},
		{"http://h", "http://sub.h", false},
		{"http://h", "https://other", false},
		{"http://h", "ftp://h", false},
	} {
		from, _ := url.Parse(test.from)
		to, _ := url.Parse(test.to)
		if got := SameHost(from, to); got != test.want {
			t.Errorf("%s to %s: %t", test.from, test.to, got)
		}
	}
}

// push sends a body with a client for pushes, and returns what the sender
// makes of the answer.
func push(t *testing.T, c Config, target, host string) (status int, err error) {
	t.Helper()
	client, err := c.NewPush("test", "agent/1")
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequest(http.MethodPost, target, strings.NewReader("the data"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Header.Set("X-Scope-OrgID", "tenant")
	if host != "" {
		request.Host = host
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, Unacknowledged(answer, body)
}

func TestPushesFollowWhatKeepsTheDataOnTheSameHost(t *testing.T) {
	for _, status := range []int{307, 308} {
		for _, absolute := range []bool{false, true} {
			var s *recorder
			s = record(t, func(w http.ResponseWriter, r *http.Request) {
				if to := "/there"; r.URL.Path != to {
					if absolute {
						to = s.URL + to
					}
					http.Redirect(w, r, to, status)
				}
			})
			c := Default()
			c.BasicAuth = &BasicAuth{Username: "u", Password: "p"}
			c.HTTPHeaders = map[string][]component.Secret{"X-Key": {"k"}}
			code, err := push(t, c, s.URL, "name.example")
			if code != 200 || err != nil {
				t.Fatalf("%d: %d, %v", status, code, err)
			}
			seen := s.requests()
			for name := range seen[0] {
				if name != "Referer" && seen[1].Get(name) != seen[0].Get(name) || len(seen[1][name]) != len(seen[0][name]) {
					t.Errorf("%d: %s is %q after the redirect, not %q", status, name, seen[1][name], seen[0][name])
				}
			}
			if seen[1].Get("Body") != "the data" || seen[1].Get("Host") != "name.example" {
				t.Errorf("%d: arrived: %v", status, seen[1])
			}
		}
	}
}

func TestPushesFollowFromHTTPToHTTPSOnTheHost(t *testing.T) {
	var arrived string
	secure := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, _, _ := r.BasicAuth()
		arrived = user + ": " + string(body)
	}))
	defer secure.Close()
	plain := httptest.NewServer(http.RedirectHandler(secure.URL+"/push", http.StatusPermanentRedirect))
	defer plain.Close()
	c := Default()
	c.BasicAuth = &BasicAuth{Username: "u", Password: "p"}
	c.TLS = &TLS{CA: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))}
	if status, err := push(t, c, plain.URL, ""); status != 200 || err != nil || arrived != "u: the data" {
		t.Errorf("%d, %v, arrived %q", status, err, arrived)
	}
}

func TestPushesAreNotAcknowledgedByRedirects(t *testing.T) {
	elsewhere := record(t, nil)
	for _, test := range []struct {
		status  int
		to      string
		follow  bool
		want    string // of the error
		request int    // to the host
	}{
		{301, "/there", true, "only 307 and 308 preserve the request body", 1},
		{302, "/there", true, "only 307 and 308 preserve the request body", 1},
		{303, "/there", true, "only 307 and 308 preserve the request body", 1},
		{302, "https://u:s3cret@login.invalid/in?state=s3cret", true, "redirects to https://login.invalid/in (302 Found)", 1},
		{307, elsewhere.URL, true, "it leads to another host or port", 1},
		{308, "http://other.invalid/", true, "it leads to another host or port", 1},
		{307, "/", true, "there were already 5 redirects", 6},
		{308, "/there", false, "follow_redirects is off", 1},
		{307, "", true, "without a Location header", 1},
		{301, "", true, "without a Location header", 1},
		{304, "", true, "returned 304 Not Modified", 1},
	} {
		s := record(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/" {
				return // and 200
			}
			if test.to != "" {
				w.Header().Set("Location", test.to)
			}
			w.WriteHeader(test.status)
		})
		c := Default()
		c.FollowRedirects = test.follow
		status, err := push(t, c, s.URL+"/", "")
		if status != test.status || err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%d to %q: %d, %v", test.status, test.to, status, err)
		}
		if n := len(s.requests()); n != test.request {
			t.Errorf("%d to %q: %d requests", test.status, test.to, n)
		}
	}
	if n := len(elsewhere.requests()); n > 0 {
		t.Errorf("%d requests have gone elsewhere", n)
	}
}

func TestARedirectFromHTTPSToHTTPIsNotFollowed(t *testing.T) {
	plain := record(t, nil)
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusTemporaryRedirect))
	defer secure.Close()
	c := Default()
	c.TLS = &TLS{InsecureSkipVerify: true}
	if status, err := push(t, c, secure.URL, ""); status != 307 || err == nil || !strings.Contains(err.Error(), "from HTTPS to plain HTTP") {
		t.Errorf("%d, %v", status, err)
	}
	if len(plain.requests()) > 0 {
		t.Error("the data has left HTTPS")
	}
}

func TestAWebPageAcknowledgesNothing(t *testing.T) {
	for body, page := range map[string]bool{
		"": false, "ok": false, "{}": false, `{"partialSuccess":{}}`: false, "\x0a\x02\x08\x01": false, "<nil>": false,
		"<!DOCTYPE html><title>Sign in</title>": true, "\n <html><body>": true,
		`<?xml version="1.0"?><!DOCTYPE html><html xmlns="x"/>`: true, `<?xml version="1.0"?><ok/>`: false,
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html") // some frameworks say so of "ok" too
			_, _ = io.WriteString(w, body)
		}))
		_, err := push(t, Default(), s.URL, "")
		s.Close()
		if (err != nil) != page || page && !strings.Contains(err.Error(), "returned a web page") {
			t.Errorf("%q: %v", body, err)
		}
	}
}
