package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// server is an API whose random numbers are given and whose time does not pass.
type server struct {
	http.Handler
	api     *API
	spans   *tracetest.SpanRecorder
	random  float64
	waited  time.Duration
	waiting error // what the waiting requests return
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{spans: tracetest.NewSpanRecorder()}
	s.api = New(Options{
		Name:     "backend",
		Version:  "v1",
		Log:      slog.New(slog.DiscardHandler),
		Provider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(s.spans)),
		Random:   func() float64 { return s.random },
		Wait: func(_ context.Context, d time.Duration) error {
			s.waited += d
			return s.waiting
		},
	})
	mux := http.NewServeMux()
	for pattern, handler := range s.api.Routes() {
		mux.Handle(pattern, handler)
	}
	s.Handler = Missing(mux)
	return s
}

func (s *server) do(method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

// answers fails the test unless the request gets this answer.
func (s *server) answers(t *testing.T, request, body string, status int, want string) {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	w := s.do(method, path, body)
	if w.Code != status {
		t.Errorf("%s %s: status %d, want %d", request, body, w.Code, status)
	}
	if diff := cmp.Diff(want, strings.TrimSpace(w.Body.String())); diff != "" {
		t.Errorf("%s %s: %s", request, body, diff)
	}
}

func TestItemsAreCreatedReadChangedAndDeleted(t *testing.T) {
	s := newServer(t)
	s.answers(t, "POST /api/items", `{"name":"Mug","description":"Blue.","price":4.5}`, 201, `{"id":4,"name":"Mug","description":"Blue.","price":4.5}`)
	s.answers(t, "GET /api/items/4", "", 200, `{"id":4,"name":"Mug","description":"Blue.","price":4.5}`)
	s.answers(t, "PATCH /api/items/4", `{"price":5}`, 200, `{"id":4,"name":"Mug","description":"Blue.","price":5}`)
	s.answers(t, "PUT /api/items/4", `{"name":"Cup","price":3}`, 200, `{"id":4,"name":"Cup","price":3}`)
	s.answers(t, "GET /api/items?offset=3", "", 200, `{"items":[{"id":4,"name":"Cup","price":3}],"total":4}`)
	s.answers(t, "DELETE /api/items/4", "", 204, "")
	s.answers(t, "GET /api/items/4", "", 404, `{"error":"there is no item 4"}`)
	s.answers(t, "GET /api/items?offset=9", "", 200, `{"items":[],"total":3}`)
}

func TestOrdersAreCreatedReadAndDeleted(t *testing.T) {
	s := newServer(t)
	s.answers(t, "POST /api/orders", `{"item_id":1,"quantity":3}`, 201, `{"id":1,"item_id":1,"quantity":3,"total":74.7}`)
	s.answers(t, "GET /api/orders/1", "", 200, `{"id":1,"item_id":1,"quantity":3,"total":74.7}`)
	s.answers(t, "DELETE /api/orders/1", "", 204, "")
	s.answers(t, "DELETE /api/orders/1", "", 404, `{"error":"there is no order 1"}`)
}

func TestCreatedThingsSayWhereTheyAre(t *testing.T) {
	w := newServer(t).do(http.MethodPost, "/api/items", `{"name":"Mug","price":1}`)
	if got := w.Header().Get("Location"); got != "/api/items/4" {
		t.Errorf("Location %q", got)
	}
}

func TestErrorsOfARequestAreReported(t *testing.T) {
	const invalid = `{"error":"the request is not valid","fields":`
	s := newServer(t)
	for _, c := range []struct {
		request, body string
		status        int
		want          string
	}{
		{"POST /api/items", ``, 400, `{"error":"the body is empty"}`},
		{"POST /api/items", `{"name":`, 400, `{"error":"the body is not valid JSON: unexpected EOF"}`},
		{"POST /api/items", `{"name":"a","price":1} {}`, 400, `{"error":"the body is more than one JSON value"}`},
		{"POST /api/items", `[]`, 422, `{"error":"the body must be a JSON object"}`},
		{"POST /api/items", `{}`, 422, invalid + `{"name":"is required","price":"is required"}}`},
		{"POST /api/items", `{"name":"","price":0}`, 422, invalid + `{"name":"must have 1 to 100 bytes","price":"must be more than 0 and at most 1000000"}}`},
		{"POST /api/items", `{"name":1,"price":1}`, 422, invalid + `{"name":"must not be of type number"}}`},
		{"POST /api/items", `{"finish":"red"}`, 422, `{"error":"unknown field \"finish\""}`},
		{"POST /api/items", `{"name":"` + strings.Repeat("a", maxBody) + `"}`, 413, `{"error":"the body is larger than 65536 bytes"}`},
		{"PATCH /api/items/1", `{"price":-1}`, 422, invalid + `{"price":"must be more than 0 and at most 1000000"}}`},
		{"PUT /api/items/1", `{"price":1}`, 422, invalid + `{"name":"is required"}}`},
		{"PUT /api/items/99", `{"name":"a","price":1}`, 404, `{"error":"there is no item 99"}`},
		{"GET /api/items/x", ``, 422, invalid + `{"item_id":"must be a whole number from 1"}}`},
		{"GET /api/items?limit=0", ``, 422, invalid + `{"limit":"must be a whole number from 1 to 100"}}`},
		{"DELETE /api/items/99", ``, 404, `{"error":"there is no item 99"}`},
		{"POST /api/orders", `{"item_id":99,"quantity":1}`, 404, `{"error":"there is no item 99"}`},
		{"POST /api/orders", `{"item_id":0}`, 422, invalid + `{"item_id":"must be a whole number from 1","quantity":"is required"}}`},
		{"GET /api/orders/7", ``, 404, `{"error":"there is no order 7"}`},
		{"GET /api/bad-request", ``, 400, `{"error":"this endpoint refuses every request"}`},
		{"GET /nowhere", ``, 404, `{"error":"there is nothing at this path"}`},
		{"DELETE /api/items", ``, 405, `{"error":"this method is not allowed here"}`},
	} {
		s.answers(t, c.request, c.body, c.status, c.want)
	}
}

func TestARejectedMethodGetsTheAllowedOnes(t *testing.T) {
	if got := newServer(t).do(http.MethodDelete, "/api/items", "").Header().Get("Allow"); got != "GET, HEAD, POST" {
		t.Errorf("Allow: %q", got)
	}
}

func TestStoreKeepsTheNewest(t *testing.T) {
	s := newStore[int](3)
	for range 5 {
		s.add(func(id int) int { return id })
	}
	got, total := s.page(0, 10)
	if diff := cmp.Diff([]int{3, 4, 5}, got); diff != "" || total != 3 {
		t.Errorf("total %d: %s", total, diff)
	}
	if !s.remove(4) || s.remove(4) || s.remove(1) {
		t.Error("remove does not say what was there")
	}
}

func TestSlowEndpointsTakeTheirTime(t *testing.T) {
	for _, c := range []struct {
		path   string
		random float64
		want   time.Duration
	}{
		{"/api/slow", 0, 500 * time.Millisecond},
		{"/api/slow", 1, 3 * time.Second},
		{"/api/very-slow", 0, 3 * time.Second},
		{"/api/very-slow", 1, 8 * time.Second},
	} {
		s := newServer(t)
		s.random = c.random
		if w := s.do(http.MethodGet, c.path, ""); w.Code != 200 || s.waited != c.want {
			t.Errorf("%s: status %d after %v, want 200 after %v", c.path, w.Code, s.waited, c.want)
		}
	}
}

func TestRandomHasAllOutcomes(t *testing.T) {
	s := newServer(t)
	for random, want := range map[float64]int{0: 200, 0.69: 200, 0.75: 400, 0.85: 404, 0.95: 500} {
		s.random = random
		if got := s.do(http.MethodGet, "/api/random", "").Code; got != want {
			t.Errorf("random %v: status %d, want %d", random, got, want)
		}
	}
}

func TestExceptionsAreOfSeveralTypes(t *testing.T) {
	s := newServer(t)
	types := map[string]bool{}
	for _, s.random = range []float64{0, 0.25, 0.5, 0.75} {
		func() {
			defer func() {
				thrown := recover()
				if thrown == nil {
					t.Errorf("random %v: no panic", s.random)
				}
				types[errorText(thrown)] = true
			}()
			s.do(http.MethodGet, "/api/exception", "")
		}()
	}
	if len(types) != 4 {
		t.Errorf("panics %v, want four", types)
	}
}

func errorText(thrown any) string {
	err, _ := thrown.(error)
	return err.Error()
}

func TestCPUWorks(t *testing.T) {
	s := newServer(t)
	w := s.do(http.MethodGet, "/api/cpu", "")
	var got struct{ Below, Primes int }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Below != 400_000 || got.Primes != 33860 {
		t.Errorf("%d primes below %d, want 33860 below 400000", got.Primes, got.Below)
	}
}

func TestServerErrorKeepsItsCauseFromTheClient(t *testing.T) {
	s := newServer(t)
	s.answers(t, "GET /api/server-error", "", 500, `{"error":"internal server error"}`)
}

func TestErrorsAreRecordedOnSpans(t *testing.T) {
	s := newServer(t)
	ctx, span := s.api.tracer.Start(t.Context(), "request")
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/server-error", nil))
	span.End()
	events := s.spans.Ended()[0].Events()
	if len(events) != 1 || events[0].Name != "exception" {
		t.Errorf("span has events %v, want an exception", events)
	}
}

func TestCallsAreSpansThatNameTheirPeer(t *testing.T) {
	s := newServer(t)
	s.do(http.MethodPost, "/api/orders", `{"item_id":1,"quantity":1}`)
	var peers []string
	for _, span := range s.spans.Ended() {
		for _, kv := range span.Attributes() {
			if kv.Key == "peer.service" {
				peers = append(peers, kv.Value.AsString())
			}
		}
	}
	if diff := cmp.Diff([]string{"payments", "database"}, peers); diff != "" {
		t.Error(diff)
	}
}

func TestACanceledRequest(t *testing.T) {
	for _, c := range []struct {
		cause error
		want  int
	}{{context.Canceled, 499}, {errors.New("stopping"), 503}} {
		s := newServer(t)
		s.waiting = c.cause
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(c.cause)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/slow", nil))
		if w.Code != c.want {
			t.Errorf("cause %v: status %d, want %d", c.cause, w.Code, c.want)
		}
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := wait(ctx, time.Hour); err != cause {
		t.Errorf("error %v, want the cause", err)
	}
	if err := wait(t.Context(), 0); err != nil {
		t.Error(err)
	}
}
