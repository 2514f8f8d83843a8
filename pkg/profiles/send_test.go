package profiles

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/cause/causetest"
	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/httpclient"
	"collector/pkg/pipeline"
	"collector/pkg/profiles/profilestest"
	"collector/pkg/queue"
)

func endpointConfig(url string) EndpointConfig {
	var c EndpointConfig
	c.SetToDefault()
	c.URL = url
	return c
}

func mustSender(t *testing.T, c EndpointConfig) *sender {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := newSender(&c, component.Options{UserAgent: "collector/test"}.WithDefaults(), newWriteMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

func blockOf(f frame, items int) queue.Block {
	return queue.Block{Data: f.append(nil), Items: items}
}

func ingestBlock(body string) queue.Block {
	return blockOf(frame{route: pipeline.ProfileIngest, query: "name=a%7Bservice_name%3Da%7D&format=lines", contentType: "text/plain", body: []byte(body)}, 1)
}

func TestSendIngestByteForByte(t *testing.T) {
	server := profilestest.NewServer(t)
	c := endpointConfig(server.URL)
	c.Headers = map[string]string{"X-Scope-OrgID": "tenant", "Content-Type": "not/this"}
	s := mustSender(t, c)
	for _, form := range ingestForms() {
		query, err := rewriteQuery(form.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		if form.contentType == "" {
			continue
		}
		f := frame{route: pipeline.ProfileIngest, query: query, contentType: form.contentType, body: form.body}
		if _, err := s.Send(t.Context(), []queue.Block{blockOf(f, 1)}); err != nil {
			t.Errorf("%s: %v", form.name, err)
			continue
		}
		got := server.Requests()
		last := got[len(got)-1]
		if last.Query != query || last.ContentType != form.contentType || !bytes.Equal(last.Body, form.body) {
			t.Errorf("%s: %q %q %d bytes arrived", form.name, last.Query, last.ContentType, len(last.Body))
		}
		if last.Header.Get("X-Scope-OrgID") != "tenant" || last.Header.Get("User-Agent") != "collector/test" {
			t.Errorf("%s: headers %v", form.name, last.Header)
		}
	}
}

func TestSendPushByteForByte(t *testing.T) {
	server := profilestest.NewServer(t)
	s := mustSender(t, endpointConfig(server.URL+"/"))
	body := marshal(t, pushOf(series([]string{string(profilestest.Pprof(1)), string(profilestest.Pprof(2))}, "service_name", "a")))
	if _, err := s.Send(t.Context(), []queue.Block{blockOf(frame{route: pipeline.ProfilePush, body: body}, 2)}); err != nil {
		t.Fatal(err)
	}
	if got := server.Requests(); len(got) != 1 || !bytes.Equal(got[0].Body, body) {
		t.Errorf("got %+v", got)
	}
}

func TestSendJoinsThePartsOfAPush(t *testing.T) {
	server := profilestest.NewServer(t)
	s := mustSender(t, endpointConfig(server.URL))
	var parts []queue.Block
	var want []byte
	for i := range 3 {
		body := marshal(t, pushOf(series([]string{string(profilestest.Pprof(i))}, "service_name", "a")))
		parts = append(parts, blockOf(frame{route: pipeline.ProfilePush, body: body}, 1))
		want = append(want, body...)
	}
	if _, err := s.Send(t.Context(), parts); err != nil {
		t.Fatal(err)
	}
	got := server.Requests()
	if len(got) != 1 || len(got[0].Push.Series) != 3 || !bytes.Equal(got[0].Body, want) {
		t.Errorf("got %+v", got)
	}
}

func TestSendKeepsThePathOfTheURL(t *testing.T) {
	var paths []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paths = append(paths, r.URL.EscapedPath()) }))
	defer server.Close()
	for _, path := range []string{"", "/", "/pyroscope", "/pyroscope/", "/a%2Fb"} {
		s := mustSender(t, endpointConfig(server.URL+path))
		s.Send(t.Context(), []queue.Block{ingestBlock("x 1\n")})
		s.Send(t.Context(), []queue.Block{blockOf(frame{route: pipeline.ProfilePush}, 1)})
	}
	const push = "/push.v1.PusherService/Push"
	want := []string{"/ingest", push, "/ingest", push, "/pyroscope/ingest", "/pyroscope" + push, "/pyroscope/ingest", "/pyroscope" + push, "/a%2Fb/ingest", "/a%2Fb" + push}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
}

func TestSendJudgesAnswers(t *testing.T) {
	server := profilestest.NewServer(t)
	s := mustSender(t, endpointConfig(server.URL))
	f := func(status int, body string, want deliver.Error, words string) {
		t.Helper()
		server.SetFault(func(*http.Request) *profilestest.Fault {
			return &profilestest.Fault{Status: status, Body: body, Header: map[string]string{"Retry-After": "7"}}
		})
		_, err := s.Send(t.Context(), []queue.Block{ingestBlock("x 1\n")})
		var got *deliver.Error
		if !errors.As(err, &got) {
			t.Errorf("%d: %v", status, err)
			return
		}
		if got.Rejected != want.Rejected || got.TooLarge != want.TooLarge || got.Rejected != (got.RetryAfter == 0) || !strings.Contains(err.Error(), words) {
			t.Errorf("%d %s: got %+v", status, body, *got)
		}
	}
	retry, reject := deliver.Error{}, deliver.Error{Rejected: true}
	for _, status := range []int{401, 402, 403, 404, 405, 407, 408, 425, 429, 499, 500, 501, 502, 503, 504, 302} {
		f(status, "later", retry, "later")
	}
	for _, status := range []int{400, 409, 415, 422} {
		f(status, "bad profile", reject, "bad profile")
	}
	f(400, `{"code":"invalid_argument","message":"profile is\n broken"}`, reject, ": profile is broken")
	f(413, "", deliver.Error{Rejected: true, TooLarge: true}, "413")
	f(429, `{"code":"resource_exhausted","message":"message size 9 is larger than configured max 8"}`, deliver.Error{Rejected: true, TooLarge: true}, "larger")
	f(429, `{"code":"resource_exhausted","message":"rate limit"}`, retry, "rate limit")
}

func TestSendNeverGivesUpAProfileThatTheServerFailsOn(t *testing.T) {
	server := profilestest.NewServer(t)
	c := endpointConfig(server.URL)
	c.MaxBackoffRetries = 3
	s := mustSender(t, c)
	// A server whose storage fails may still reject what is malformed.
	server.SetFault(func(r *http.Request) *profilestest.Fault {
		if r.URL.Path == "/ingest" {
			return &profilestest.Fault{Status: 500}
		}
		return nil
	})
	const attempts = 20
	for i := range attempts {
		_, err := s.Send(t.Context(), []queue.Block{ingestBlock("x 1\n")})
		var e *deliver.Error
		if !errors.As(err, &e) || e.Rejected {
			t.Fatalf("attempt %d: %v", i+1, err)
		}
	}
	if got := server.Attempts(); got != attempts {
		t.Errorf("%d requests for %d attempts", got, attempts)
	}
}

func TestSendTimesOutEachAttempt(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	c := endpointConfig(server.URL)
	c.RemoteTimeout = time.Millisecond
	_, err := mustSender(t, c).Send(t.Context(), []queue.Block{ingestBlock("x 1\n")})
	var e *deliver.Error
	if !errors.As(err, &e) || e.Rejected {
		t.Errorf("got %v", err)
	}
}

func TestSendShowsNoCredentials(t *testing.T) {
	address := causetest.Refusing(t)
	var authorization string
	answering := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { authorization = r.Header.Get("Authorization") }))
	defer answering.Close()
	s := mustSender(t, endpointConfig("http://user:hunter2@"+address))
	_, err := s.Send(t.Context(), []queue.Block{ingestBlock("x 1\n")})
	if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "user") || !strings.Contains(err.Error(), address) {
		t.Errorf("got %v", err)
	}
	if strings.Contains(s.endpoint, "hunter2") {
		t.Errorf("endpoint is %s", s.endpoint)
	}
	if _, err := parseURL("http://user:hunter2@host:port"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	// They are used, though; so is basic_auth.
	s = mustSender(t, endpointConfig(strings.Replace(answering.URL, "http://", "http://user:hunter2@", 1)))
	if _, err := s.Send(t.Context(), []queue.Block{ingestBlock("x 1\n")}); err != nil || authorization != "Basic dXNlcjpodW50ZXIy" {
		t.Errorf("Authorization %q, %v", authorization, err)
	}
	c := endpointConfig(answering.URL)
	c.HTTP.BasicAuth = &httpclient.BasicAuth{Username: "user", Password: "hunter2"}
	authorization = ""
	if _, err := mustSender(t, c).Send(t.Context(), []queue.Block{ingestBlock("x 1\n")}); err != nil || authorization != "Basic dXNlcjpodW50ZXIy" {
		t.Errorf("Authorization %q, %v", authorization, err)
	}
}

func TestSplitCutsPushRequestsOnly(t *testing.T) {
	s := mustSender(t, endpointConfig("http://host"))
	if parts := s.Split(ingestBlock("x 1\n")); parts != nil {
		t.Errorf("an ingest request was cut: %v", parts)
	}
	body := marshal(t, pushOf(series([]string{"1", "2", "3"}, "service_name", "a")))
	parts := s.Split(blockOf(frame{route: pipeline.ProfilePush, received: time.Unix(5, 6), body: body}, 3))
	if len(parts) != 2 || parts[0].Items != 1 || parts[1].Items != 2 {
		t.Fatalf("got %+v", parts)
	}
	for i, part := range parts {
		f, err := parseFrame(part.Data)
		if err != nil {
			t.Fatal(err)
		}
		profiles, err := checkPush(f.body)
		if err != nil || profiles != part.Items || !f.received.Equal(time.Unix(5, 6)) {
			t.Errorf("part %d: %d profiles, %v", i, profiles, err)
		}
	}
	if parts := s.Split(parts[0]); parts != nil {
		t.Errorf("a single profile was cut: %v", parts)
	}
}

func TestSendDropsADamagedBlock(t *testing.T) {
	s := mustSender(t, endpointConfig("http://host"))
	_, err := s.Send(t.Context(), []queue.Block{{Data: []byte("nonsense"), Items: 1}})
	var e *deliver.Error
	if !errors.As(err, &e) || !e.Rejected {
		t.Errorf("got %v", err)
	}
}
