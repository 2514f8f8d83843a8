// Package profilestest is a Pyroscope server that accepts only what is exactly right, and
// records it.
package profilestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"github.com/grafana/pyroscope/api/model/labelset"
	"google.golang.org/protobuf/proto"
)

// Request is a request that the server accepted.
type Request struct {
	Path        string
	Query       string // raw
	Header      http.Header
	ContentType string
	Body        []byte
	Labels      map[string]string   // of an ingest request
	Push        *pushv1.PushRequest // of a push request
}

// Fault is an answer in place of the true one.
type Fault struct {
	Status int
	Body   string
	Header map[string]string
}

// Server is a running server. It is safe for concurrent use.
type Server struct {
	URL string

	server *httptest.Server

	mu       sync.Mutex
	changed  chan struct{}              // closed at each request; guarded by mu
	taken    []Request                  // guarded by mu
	problems []string                   // guarded by mu
	fault    func(*http.Request) *Fault // guarded by mu
	attempts int                        // guarded by mu
}

// NewServer starts a server that stops with the test. The test fails if the server was
// sent something that it could not accept.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s := NewLooseServer(t)
	t.Cleanup(func() {
		for _, problem := range s.Problems() {
			t.Errorf("the Pyroscope server refused a request: %s", problem)
		}
	})
	return s
}

// NewLooseServer starts a server as NewServer does, but leaves it to the test
// to look at Problems.
func NewLooseServer(t testing.TB) *Server {
	t.Helper()
	s := &Server{changed: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ingest", s.ingest)
	mux.Handle("POST "+pushv1connect.PusherServicePushProcedure, s.pushHandler())
	s.server = httptest.NewServer(s.faulty(mux))
	s.URL = s.server.URL
	t.Cleanup(s.server.Close)
	return s
}

// SetFault makes the server answer what fault returns, unless that is nil.
func (s *Server) SetFault(fault func(*http.Request) *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// Requests returns what was accepted so far, in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.taken)
}

// Problems says why requests were refused.
func (s *Server) Problems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.problems)
}

// Attempts counts all requests, those with a fault too.
func (s *Server) Attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempts
}

// Wait returns what was accepted as soon as there are n requests, and fails the test if
// ctx ends before.
func (s *Server) Wait(ctx context.Context, t testing.TB, n int) []Request {
	t.Helper()
	s.wait(ctx, t, func() bool { return len(s.taken) >= n }, func() string {
		return fmt.Sprintf("%d of %d requests have arrived; problems: %v", len(s.Requests()), n, s.Problems())
	})
	return s.Requests()
}

// WaitFor returns what was accepted as soon as done is satisfied, and fails the test if
// ctx ends before.
func (s *Server) WaitFor(ctx context.Context, t testing.TB, done func([]Request) bool) []Request {
	t.Helper()
	s.wait(ctx, t, func() bool { return done(s.taken) }, func() string {
		return fmt.Sprintf("%d requests have arrived, not what was waited for; problems: %v", len(s.Requests()), s.Problems())
	})
	return s.Requests()
}

// WaitAttempts returns when n requests were made, whatever came of them.
func (s *Server) WaitAttempts(ctx context.Context, t testing.TB, n int) {
	t.Helper()
	s.wait(ctx, t, func() bool { return s.attempts >= n }, func() string {
		return fmt.Sprintf("%d of %d attempts were made", s.Attempts(), n)
	})
}

// wait calls done with mu held.
func (s *Server) wait(ctx context.Context, t testing.TB, done func() bool, state func() string) {
	t.Helper()
	for {
		s.mu.Lock()
		ok, changed := done(), s.changed
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal(state())
		}
	}
}

// notify wakes those who wait; mu is held.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) faulty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.attempts++
		fault := s.fault
		s.notify()
		s.mu.Unlock()
		if fault != nil {
			if f := fault(r); f != nil {
				io.Copy(io.Discard, r.Body)
				for name, value := range f.Header {
					w.Header().Set(name, value)
				}
				w.WriteHeader(f.Status)
				io.WriteString(w, f.Body)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) take(r Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = append(s.taken, r)
	s.notify()
}

func (s *Server) refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems = append(s.problems, err.Error())
	s.notify()
}

func (s *Server) ingest(w http.ResponseWriter, r *http.Request) {
	request := Request{Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header, ContentType: r.Header.Get("Content-Type")}
	var err error
	if request.Body, err = io.ReadAll(r.Body); err == nil {
		request.Labels, err = checkIngest(r, request.Body)
	}
	if err != nil {
		s.refuse(err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.take(request)
}

// bodyKey is the context key of a push request's raw body.
type bodyKey struct{}

func (s *Server) pushHandler() http.Handler {
	push := connect.NewUnaryHandler(pushv1connect.PusherServicePushProcedure, s.push)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			s.refuse(err)
			return
		}
		if got := r.Header.Get("Content-Type"); got != "application/proto" {
			s.refuse(fmt.Errorf("push with Content-Type %q", got))
			w.WriteHeader(http.StatusUnsupportedMediaType)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		push.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), bodyKey{}, body)))
	})
}

func (s *Server) push(ctx context.Context, req *connect.Request[pushv1.PushRequest]) (*connect.Response[pushv1.PushResponse], error) {
	if err := checkPush(req); err != nil {
		s.refuse(err)
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	body, _ := ctx.Value(bodyKey{}).([]byte)
	s.take(Request{
		Path:        pushv1connect.PusherServicePushProcedure,
		Header:      req.Header(),
		ContentType: req.Header().Get("Content-Type"),
		Body:        body,
		Push:        proto.Clone(req.Msg).(*pushv1.PushRequest),
	})
	return connect.NewResponse(&pushv1.PushResponse{}), nil
}

func checkPush(req *connect.Request[pushv1.PushRequest]) error {
	if got := req.Header().Get("Connect-Protocol-Version"); got != "1" {
		return fmt.Errorf("push with Connect-Protocol-Version %q", got)
	}
	if len(req.Msg.Series) == 0 {
		return errors.New("push without any profile")
	}
	for i, series := range req.Msg.Series {
		if err := checkSeries(series.Labels); err != nil {
			return fmt.Errorf("push series %d: %w", i, err)
		}
		if len(series.Samples) == 0 {
			return fmt.Errorf("push series %d has no samples", i)
		}
		for j, sample := range series.Samples {
			if err := checkPprof(sample.RawProfile); err != nil {
				return fmt.Errorf("push series %d sample %d: %w", i, j, err)
			}
		}
	}
	return nil
}

func checkSeries(pairs []*typesv1.LabelPair) error {
	seen := make(map[string]bool)
	for _, pair := range pairs {
		if seen[pair.Name] {
			return fmt.Errorf("label %q twice", pair.Name)
		}
		seen[pair.Name] = true
		if pair.Name == labelset.ReservedLabelNameName || pair.Name == "__delta__" {
			continue
		}
		if strings.HasPrefix(pair.Name, "__") {
			return fmt.Errorf("reserved label %q", pair.Name)
		}
		if err := labelset.ValidateLabelName(pair.Name); err != nil {
			return err
		}
	}
	if !seen["service_name"] {
		return fmt.Errorf("no service_name among %v", pairs)
	}
	return nil
}
