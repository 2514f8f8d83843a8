package scrape

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
	"collector/pkg/inspect"
)

// asked runs a scraper of one target and fetches its page.
func asked(t *testing.T, cfg Config, handler http.HandlerFunc) (*Scraper, inspect.Response) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	cfg.Targets = discovery.NewSet(at(server.Listener.Addr().String()))
	s, _ := run(t, cfg, component.Options{}, nil)
	awaitTargets(t, s, 1)
	r, err := s.Fetch(t.Context(), s.TargetStatus()[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

// awaitTargets waits until the scraper has applied its targets.
func awaitTargets(t *testing.T, s *Scraper, n int) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for len(s.TargetStatus()) < n {
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatal("there is no target")
		}
	}
}

func TestATargetIsFetchedAsForAScrape(t *testing.T) {
	cfg := config(nil, newSink())
	cfg.HTTPClient.BasicAuth = &httpclient.BasicAuth{Username: "me", Password: "hunter2planted"}
	_, r := asked(t, cfg, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if r.Method != http.MethodGet || strings.Contains(r.Header.Get("Accept"), "protobuf") {
			t.Errorf("%s %s", r.Method, r.Header.Get("Accept"))
		}
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte(user + " " + password + " " + r.Header.Get("Authorization") + "\xff"))
	})
	if !strings.HasPrefix(r.Body, "me (secret) Basic (secret)") || r.Status != "418 I'm a teapot" || r.Truncated || r.ContentType != "text/plain" {
		t.Errorf("%+v", r)
	}
	if pair := base64.StdEncoding.EncodeToString([]byte("me:hunter2planted")); strings.Contains(r.Body, "hunter2planted") || strings.Contains(r.Body, pair) {
		t.Errorf("a secret is in %q", r.Body)
	}
}

// gossip answers with everything that it was sent.
func gossip(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	fmt.Fprintln(w, "asked for", r.URL, "by", user, password, r.Header)
}

func TestAnAnswerShowsNoCredentialsOfFilesAndParameters(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("hunter2planted\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, client := range map[string]httpclient.Config{
		"password_file":     {BasicAuth: &httpclient.BasicAuth{Username: "me", PasswordFile: file}},
		"bearer_token_file": {BearerTokenFile: file},
		"credentials_file":  {Authorization: &httpclient.Authorization{Type: "Token", CredentialsFile: file}},
		"params":            {},
	} {
		cfg := config(nil, newSink())
		client.FollowRedirects, client.EnableHTTP2 = true, true
		cfg.HTTPClient = client
		cfg.Params = map[string][]string{"api_key": {"hunter2 planted"}, "job": {"plainly"}}
		_, r := asked(t, cfg, func(w http.ResponseWriter, r *http.Request) {
			gossip(w, r)
			fmt.Fprintln(w, r.URL.Query())
			if err := os.WriteFile(file, []byte("changed-since"), 0o600); err != nil {
				t.Error(err)
			}
		})
		if !strings.Contains(r.Body, "asked for") || !strings.Contains(r.Body, "plainly") || strings.Contains(r.Body, "hunter2") {
			t.Errorf("%s: %s", name, r.Body)
		}
		pair := base64.StdEncoding.EncodeToString([]byte("me:hunter2planted"))
		if strings.Contains(r.Body, pair) {
			t.Errorf("%s: %s", name, r.Body)
		}
		if err := os.WriteFile(file, []byte("hunter2planted\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Where a redirect leads may be made of what the request carried.
func TestARedirectShowsNoParameters(t *testing.T) {
	cfg := config(nil, newSink())
	cfg.Params = map[string][]string{"api_key": {"hunter2 planted"}}
	_, r := asked(t, cfg, func(w http.ResponseWriter, r *http.Request) {
		if key := r.URL.Query().Get("api_key"); key != "" {
			http.Redirect(w, r, "/with/"+key, http.StatusFound)
			return
		}
		gossip(w, r)
	})
	if !strings.HasSuffix(r.Location, "/with/(secret)") || strings.Contains(r.Body, "hunter2") || r.Status != "302 Found" {
		t.Errorf("%+v", r)
	}
}

// A target may have credentials of its own, in its labels.
func TestAnErrorShowsNoCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("hunter2planted"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config(discovery.NewSet(at("a:1", "__param_token", "hunter2planted-label")), newSink())
	cfg.HTTPClient.OAuth2 = &httpclient.OAuth2{ClientID: "me", ClientSecretFile: file, TokenURL: "http://a"}
	s, _ := run(t, cfg, component.Options{}, roundTrip(func(r *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("no token: \"client me with hunter2planted is not known\", for %s", r.URL)
	}))
	awaitTargets(t, s, 1)
	if _, err := s.Fetch(t.Context(), s.TargetStatus()[0].ID); err == nil || !strings.Contains(err.Error(), "no token") || strings.Contains(err.Error(), "hunter2planted") {
		t.Errorf("%v", err)
	}
}

func TestAnAnswerIsBoundedInSizeAndTime(t *testing.T) {
	for _, compress := range []bool{false, true} {
		_, r := asked(t, config(nil, newSink()), func(w http.ResponseWriter, r *http.Request) {
			body := []byte(strings.Repeat("x", shownPage+5))
			if compress {
				w.Header().Set("Content-Encoding", "gzip")
				body = gzipped(string(body))
			}
			_, _ = w.Write(body)
		})
		if len(r.Body) != shownPage || !r.Truncated {
			t.Errorf("%d bytes, truncated %v", len(r.Body), r.Truncated)
		}
	}
	s, _ := asked(t, config(nil, newSink()), func(w http.ResponseWriter, r *http.Request) {})
	s.fetcher.client = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if deadline, ok := r.Context().Deadline(); !ok || time.Until(deadline) > shownTime {
			t.Error("no deadline")
		}
		return nil, context.DeadlineExceeded
	})}
	if _, err := s.Fetch(t.Context(), s.TargetStatus()[0].ID); err == nil {
		t.Error("no error")
	}
}

func TestOnlyTargetsAreFetched(t *testing.T) {
	s, _ := asked(t, config(nil, newSink()), func(http.ResponseWriter, *http.Request) {})
	for _, id := range []string{"", "http://169.254.169.254/", "0000000000000000"} {
		if _, err := s.Fetch(t.Context(), id); !errors.Is(err, inspect.ErrNoTarget) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestExplain(t *testing.T) {
	cfg := config(discovery.NewSet(at("a:1"), at("b:1", "instance", "same"), at("c:1", "instance", "same")), newSink())
	s, _ := run(t, cfg, component.Options{}, roundTrip(func(*http.Request) (*http.Response, error) { return answer(""), nil }))
	awaitTargets(t, s, 2)
	if id, err := s.explain(at("a:1")); err != nil || s.find(id) == nil {
		t.Errorf("%q %v", id, err)
	}
	for target, want := range map[*discovery.Target]string{
		ptr(at("c:1", "instance", "same")):           "same labels",
		ptr(at("a:1", discovery.EndedLabel, "true")): "has exited",
		ptr(at("", "x", "y")):                        "__address__",
		ptr(at("z:1")):                               "not picked it up",
	} {
		if _, err := s.explain(*target); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", target, err)
		}
	}
}

func ptr[T any](v T) *T { return &v }
