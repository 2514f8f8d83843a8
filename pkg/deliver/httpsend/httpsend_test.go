package httpsend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"collector/pkg/cause/causetest"
	"collector/pkg/deliver"
	"collector/pkg/httpclient"
)

// newClient makes a client as writers do.
func newClient(t *testing.T) *Client {
	t.Helper()
	settings := httpclient.Default()
	h, err := settings.NewPush("test", "agent/1")
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{HTTP: h}
	t.Cleanup(c.Close)
	return c
}

func serve(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s.URL
}

// errorOf is what Send says, which is nil or a *deliver.Error.
func errorOf(t *testing.T, err error) *deliver.Error {
	t.Helper()
	var e *deliver.Error
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("the error is a %T: %v", err, err)
	}
	return e
}

func TestAStatusDecidesTheFateOfTheData(t *testing.T) {
	final := map[int]bool{400: true, 409: true, 413: true, 414: true, 422: true}
	c := newClient(t)
	status := 0
	target := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	for status = 200; status < 600; status++ {
		answer, err := c.Send(t.Context(), Request{URL: target, Body: []byte("data")})
		e := errorOf(t, err)
		switch {
		case answer.Status != status:
			t.Fatalf("%d: answered %d, %v", status, answer.Status, err)
		case (e == nil) != (status/100 == 2):
			t.Errorf("%d: %v", status, err)
		case e != nil && (e.Rejected != final[status] || e.TooLarge != (status == 413)):
			t.Errorf("%d: %+v", status, e)
		}
	}
}

func TestARedirectIsNeverASuccess(t *testing.T) {
	for status := 300; status < 400; status++ {
		c := newClient(t)
		target := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/there" {
				return // and 200
			}
			w.Header().Set("Location", "/there")
			w.WriteHeader(status)
		})
		_, err := c.Send(t.Context(), Request{URL: target, Body: []byte("data")})
		if keeps := status == 307 || status == 308; (err == nil) != keeps {
			t.Errorf("%d: %v", status, err)
		}
		if e := errorOf(t, err); e != nil && e.Rejected {
			t.Errorf("%d: the data is given up: %v", status, err)
		}
	}
}

func TestRedirectsThatKeepTheDataCarryAllOfIt(t *testing.T) {
	var arrived []byte
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/there" {
			http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
			return
		}
		arrived, _ = io.ReadAll(r.Body)
	})
	data := bytes.Repeat([]byte("data"), 100_000)
	if _, err := newClient(t).Send(t.Context(), Request{URL: target, Body: data}); err != nil || !bytes.Equal(arrived, data) {
		t.Errorf("%d of %d bytes, %v", len(arrived), len(data), err)
	}
}

func TestErrorsNameTheURLWithoutItsSecrets(t *testing.T) {
	closed := causetest.Refusing(t)
	answering := strings.TrimPrefix(serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no such\nkey: "+r.URL.Query().Get("key"), http.StatusNotFound)
	}), "http://")
	for host, want := range map[string]string{
		closed:    "POST http://" + closed + "/push: dial tcp " + closed + ": connect: connection refused",
		answering: "POST http://" + answering + "/push: 404 Not Found: no such key: (secret)",
	} {
		_, err := newClient(t).Send(t.Context(), Request{URL: "http://user:hunter2@" + host + "/push?key=s3cret-key", Body: []byte("data")})
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestATimeoutIsNamedAndKeepsTheData(t *testing.T) {
	release := make(chan struct{})
	target := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	c := newClient(t)
	c.Timeout = 10 * time.Millisecond
	_, err := c.Send(t.Context(), Request{URL: target, Body: []byte("data")})
	if e := errorOf(t, err); e == nil || e.Rejected || !strings.HasSuffix(err.Error(), ": no answer within 10ms") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Send(ctx, Request{URL: target, Body: []byte("data")}); !errors.Is(err, context.Canceled) {
		t.Errorf("a request that was ended: %v", err)
	}
}

// The server answers before it has read the request, and the client may go on
// writing: what is sent by then must not be another's data.
func TestABodyIsNotReadOnceSendHasReturned(t *testing.T) {
	target := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	c := newClient(t)
	data := make([]byte, 8<<20)
	for i := range 20 {
		_, _ = c.Send(t.Context(), Request{URL: target, Body: data})
		for j := range data { // the race detector sees who reads it
			data[j] = byte(i)
		}
	}
}

func TestExceptionsComeBeforeTheTable(t *testing.T) {
	status := 0
	target := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		fmt.Fprint(w, "words")
	})
	c := newClient(t)
	c.Except = func(a *Answer) *deliver.Error {
		switch a.Status {
		case 200:
			return &deliver.Error{Err: errors.New("not ours")}
		case 500:
			return &deliver.Error{Rejected: true, TooLarge: true}
		}
		return nil
	}
	for _, test := range []struct {
		status int
		want   deliver.Error
		words  string
	}{
		{200, deliver.Error{RetryAfter: 7 * time.Second}, "not ours"},
		{500, deliver.Error{Rejected: true, TooLarge: true}, "POST " + target + ": 500 Internal Server Error: words"},
		{503, deliver.Error{RetryAfter: 7 * time.Second}, "POST " + target + ": 503 Service Unavailable: words"},
		{400, deliver.Error{Rejected: true}, "POST " + target + ": 400 Bad Request: words"},
	} {
		status = test.status
		_, err := c.Send(t.Context(), Request{URL: target, Body: []byte("data")})
		got := *errorOf(t, err)
		got.Err = nil
		if got != test.want || err.Error() != test.words {
			t.Errorf("%d: %+v, %q", status, got, err)
		}
	}
}

func TestEachRequestIsObservedOnce(t *testing.T) {
	c := newClient(t)
	var seen []int
	c.Observe = func(status int, _ time.Duration) { seen = append(seen, status) }
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	for _, path := range []string{"/broken", "/"} {
		_, _ = c.Send(t.Context(), Request{URL: target + path, Body: []byte("data")})
	}
	if len(seen) != 2 || seen[0] != 0 || seen[1] != 204 {
		t.Errorf("observed: %v", seen)
	}
}

func TestAGRPCStatusSaysWhenToRetry(t *testing.T) {
	packed := func(delay time.Duration) *spb.Status {
		detail, err := anypb.New(&errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
		if err != nil {
			t.Fatal(err)
		}
		return &spb.Status{Details: []*anypb.Any{{TypeUrl: "type.googleapis.com/unknown"}, detail}}
	}
	for delay, want := range map[time.Duration]time.Duration{
		3 * time.Second: 3 * time.Second, 0: 0, -time.Second: 0, 1000 * time.Hour: longestRetryAfter,
	} {
		if got := RetryInfo(packed(delay)); got != want {
			t.Errorf("%s: %s, want %s", delay, got, want)
		}
	}
	if got := RetryInfo(nil); got != 0 {
		t.Errorf("no status: %s", got)
	}
}

// A server of TLS that is asked in plain text answers 400, which says nothing about
// the data.
func TestAServerThatWantsTLSLosesNoData(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	nginx := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, "<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>\r\n</html>")
	})
	for _, target := range []string{strings.Replace(secure.URL, "https", "http", 1), nginx} {
		if answer, err := newClient(t).Send(t.Context(), Request{URL: target, Body: []byte("data")}); answer.Status != 400 || errorOf(t, err).Rejected {
			t.Errorf("%s: %d, %v", target, answer.Status, err)
		}
	}
}

// A server that quotes the data in its rejection may quote the words of one that wants
// TLS: the data is rejected all the same, or it would block what follows it.
func TestARejectionThatQuotesTLSIsARejection(t *testing.T) {
	const text, title = "Client sent an HTTP request to an HTTPS server", "400 The plain HTTP request was sent to HTTPS port"
	for _, body := range []string{
		`error at least one label is invalid: {app="` + text + `."}`,
		"entry for stream '{msg=\"" + title + "\"}' has timestamp too old",
		text + ". is the value of a label",
		`{"message": "` + text + `."}`,
		"<html><head><title>400 Bad Request</title></head><p>" + title + "</p></html>",
	} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, body, http.StatusBadRequest) })
		if _, err := newClient(t).Send(t.Context(), Request{URL: url, Body: []byte("data")}); !errorOf(t, err).Rejected {
			t.Errorf("%q: %v is sent again", body, err)
		}
	}
}

// A server that is already reached over TLS can't be asking for TLS.
func TestOverTLSNoServerWantsTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "Client sent an HTTP request to an HTTPS server.", http.StatusBadRequest)
	}))
	t.Cleanup(server.Close)
	client := newClient(t)
	client.HTTP = server.Client()
	if _, err := client.Send(t.Context(), Request{URL: server.URL, Body: []byte("data")}); !errorOf(t, err).Rejected {
		t.Errorf("%v is sent again", err)
	}
}
