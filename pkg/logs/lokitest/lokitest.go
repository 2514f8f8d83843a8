// Package lokitest is a Loki for tests: a real HTTP server that accepts pushes, checks
// every rule of the protocol, and fails the test when a client breaks one.
package lokitest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/golang/snappy"
	"github.com/grafana/loki/pkg/push"
)

// MaxLineSize is the limit on a line that Loki has by default.
const MaxLineSize = 256 << 10

// Entry is a stored log entry.
type Entry struct {
	Tenant   string
	Labels   string // as pushed
	Time     time.Time
	Line     string
	Metadata string // as a label string
}

// Request is a push that arrived, whatever was answered.
type Request struct {
	Header  http.Header
	Tenant  string
	Entries []Entry
	Bytes   int // compressed
	Raw     int // uncompressed
}

// Answer is what a server responds instead of accepting a push.
type Answer struct {
	Status     int
	Body       string
	RetryAfter string
	Hang       bool // keep the client waiting until it goes away
}

// Server is a Loki. Its methods are safe for concurrent use.
type Server struct {
	t      testing.TB
	server *httptest.Server

	mu       sync.Mutex
	respond  func(Request) *Answer
	refuse   func(Entry) string
	entries  []Entry
	stored   map[Entry]bool
	repeated int
	requests []Request
	arrived  chan struct{} // closed and replaced with every request
}

// New starts a server. It ends with the test.
func New(t testing.TB) *Server {
	s := NewHandler(t)
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	return s
}

// NewHandler makes a server that listens nowhere, for use as a http.Handler.
func NewHandler(t testing.TB) *Server {
	return &Server{t: t, stored: make(map[Entry]bool), arrived: make(chan struct{})}
}

// URL is where to push to.
func (s *Server) URL() string { return s.server.URL + "/loki/api/v1/push" }

// Respond sets what decides on requests; nil, or an answer of nil, takes them.
func (s *Server) Respond(f func(Request) *Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.respond = f
}

// Refuse sets what says why an entry is rejected; an empty reason accepts it. As with
// Loki, the other entries of the request are stored and the answer is 400.
func (s *Server) Refuse(f func(Entry) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = f
}

// Entries returns what is stored, in the order of arrival. As with Loki, an
// entry that is equal to a stored one is not stored again.
func (s *Server) Entries() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.entries)
}

// Repeated is how many entries were received again.
func (s *Server) Repeated() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.repeated
}

// Requests returns the pushes that arrived.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Await waits until done says that what has arrived is enough, and returns
// what is stored. It fails the test when ctx ends first.
func (s *Server) Await(ctx context.Context, done func(entries []Entry, requests []Request) bool) []Entry {
	s.t.Helper()
	for {
		s.mu.Lock()
		entries, requests, arrived := slices.Clone(s.entries), slices.Clone(s.requests), s.arrived
		s.mu.Unlock()
		if done(entries, requests) {
			return entries
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			s.t.Fatalf("%v with %d entries in %d requests", ctx.Err(), len(entries), len(requests))
		}
	}
}

// AwaitEntries waits for n stored entries.
func (s *Server) AwaitEntries(ctx context.Context, n int) []Entry {
	s.t.Helper()
	return s.Await(ctx, func(entries []Entry, _ []Request) bool { return len(entries) >= n })
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has disconnected
	}
	request, err := read(r, body)
	if err != nil {
		s.t.Errorf("lokitest: %s %s: %v", r.Method, r.URL.Path, err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer := s.take(request)
	if answer.RetryAfter != "" {
		w.Header().Set("Retry-After", answer.RetryAfter)
	}
	if answer.Hang {
		<-r.Context().Done()
		return
	}
	if answer.Body != "" {
		http.Error(w, answer.Body, answer.Status)
		return
	}
	w.WriteHeader(answer.Status)
}

// take stores a request, or what may be stored of it.
func (s *Server) take(request Request) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, request)
	defer func() {
		close(s.arrived)
		s.arrived = make(chan struct{})
	}()
	if s.respond != nil {
		if answer := s.respond(request); answer != nil {
			return *answer
		}
	}
	refused := ""
	for _, e := range request.Entries {
		if reason := s.verdict(e); reason != "" {
			refused = reason
			continue
		}
		if s.stored[e] {
			s.repeated++
			continue
		}
		s.stored[e] = true
		s.entries = append(s.entries, e)
	}
	if refused != "" {
		return Answer{Status: http.StatusBadRequest, Body: refused}
	}
	return Answer{Status: http.StatusNoContent}
}

func (s *Server) verdict(e Entry) string {
	if len(e.Line) > MaxLineSize {
		return fmt.Sprintf("Max entry size '%d' bytes exceeded for stream '%s' while adding an entry with length '%d' bytes", MaxLineSize, e.Labels, len(e.Line))
	}
	if e.Labels == "{}" {
		return "error at least one label pair is required per stream"
	}
	if s.refuse == nil {
		return ""
	}
	return s.refuse(e)
}

// read decodes a push and checks the rules.
func read(r *http.Request, body []byte) (Request, error) {
	out := Request{Header: r.Header.Clone(), Tenant: r.Header.Get("X-Scope-OrgID")}
	if r.Method != http.MethodPost {
		return out, errors.New("want POST")
	}
	if got := r.Header.Get("Content-Type"); got != "application/x-protobuf" {
		return out, fmt.Errorf("Content-Type is %q", got)
	}
	if got := r.Header.Get("Content-Encoding"); got != "" && got != "snappy" {
		return out, fmt.Errorf("Content-Encoding is %q", got)
	}
	if r.Header.Get("User-Agent") == "" {
		return out, errors.New("no User-Agent")
	}
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		return out, err
	}
	out.Bytes, out.Raw = len(body), len(raw)
	var message push.PushRequest
	if err := message.Unmarshal(raw); err != nil {
		return out, err
	}
	if len(message.Streams) == 0 {
		return out, errors.New("no stream")
	}
	for _, stream := range message.Streams {
		entries, err := readStream(stream, out.Tenant)
		if err != nil {
			return out, fmt.Errorf("stream %s: %w", stream.Labels, err)
		}
		out.Entries = append(out.Entries, entries...)
	}
	return out, nil
}

func readStream(stream push.Stream, tenant string) ([]Entry, error) {
	if _, err := ParseLabels(stream.Labels); err != nil {
		return nil, err
	}
	if len(stream.Entries) == 0 {
		return nil, errors.New("no entry")
	}
	var out []Entry
	for i, e := range stream.Entries {
		switch {
		case e.Timestamp.Year() < 2000 || e.Timestamp.Year() > 2200:
			return nil, fmt.Errorf("time %v", e.Timestamp)
		case i > 0 && e.Timestamp.Before(stream.Entries[i-1].Timestamp):
			return nil, fmt.Errorf("%v comes after %v", e.Timestamp, stream.Entries[i-1].Timestamp)
		case !utf8.ValidString(e.Line):
			return nil, fmt.Errorf("line %q is not UTF-8", e.Line)
		case len(e.Parsed) > 0:
			return nil, errors.New("a client must not set parsed labels")
		}
		metadata := make([]string, len(e.StructuredMetadata))
		for i, m := range e.StructuredMetadata {
			if m.Name == "" || !utf8.ValidString(m.Name) || !utf8.ValidString(m.Value) {
				return nil, fmt.Errorf("metadata %q=%q", m.Name, m.Value)
			}
			metadata[i] = m.Name + "=" + strconv.Quote(m.Value)
		}
		slices.Sort(metadata)
		out = append(out, Entry{
			Tenant: tenant, Labels: stream.Labels, Time: e.Timestamp.UTC(), Line: e.Line, Metadata: strings.Join(metadata, ","),
		})
	}
	return out, nil
}

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*=`)

// ParseLabels reads a label string, {a="b", c="d"}, and checks that it is
// sorted, and that it names no label twice or internal. {} has none.
func ParseLabels(s string) (map[string]string, error) {
	rest, ok := strings.CutPrefix(s, "{")
	if !ok {
		return nil, errors.New("want {")
	}
	out, last := make(map[string]string), ""
	if rest == "}" {
		return out, nil
	}
	for {
		name := labelName.FindString(rest)
		if name == "" {
			return nil, fmt.Errorf("no label name at %q", rest)
		}
		quoted, err := strconv.QuotedPrefix(rest[len(name):])
		if err != nil {
			return nil, fmt.Errorf("no quoted value at %q", rest[len(name):])
		}
		rest = rest[len(name)+len(quoted):]
		name = strings.TrimSuffix(name, "=")
		value, _ := strconv.Unquote(quoted)
		switch {
		case last != "" && cmp.Compare(last, name) >= 0:
			return nil, fmt.Errorf("%s comes after %s", name, last)
		case strings.HasPrefix(name, "__"):
			return nil, fmt.Errorf("%s is internal", name)
		case !utf8.ValidString(value):
			return nil, fmt.Errorf("%s has the value %q", name, value)
		}
		last, out[name] = name, value
		if rest == "}" {
			return out, nil
		}
		if rest, ok = strings.CutPrefix(rest, ", "); !ok {
			return nil, fmt.Errorf("want a comma at %q", rest)
		}
	}
}
