package observe

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCallersRequestIDIsKept(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{"GET /": func(http.ResponseWriter, *http.Request) {}})
	if got := s.get("/", "X-Request-Id: abc-123").Header().Get("X-Request-Id"); got != "abc-123" {
		t.Errorf("response has request id %q, want that of the request", got)
	}
	if got := s.lines(t)[0]["request_id"]; got != "abc-123" {
		t.Errorf("log has request id %q, want that of the request", got)
	}
}

func TestDoubtfulRequestIDIsReplaced(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{"GET /": func(http.ResponseWriter, *http.Request) {}})
	for _, id := range []string{"", "with space", "line\nbreak", "é", strings.Repeat("x", 129)} {
		got := s.get("/", "X-Request-Id: "+id).Header().Get("X-Request-Id")
		if got == id || !validRequestID(got) {
			t.Errorf("request id %q was answered with %q, want a new one", id, got)
		}
	}
	if !validRequestID(strings.Repeat("x", 128)) {
		t.Error("128 characters are refused")
	}
}

func TestRequestIDsDiffer(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{"GET /": func(http.ResponseWriter, *http.Request) {}})
	if one, other := s.get("/").Header().Get("X-Request-Id"), s.get("/").Header().Get("X-Request-Id"); one == other {
		t.Error("two requests have the same id")
	}
}

func TestEachRequestIsOneLine(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{"GET /": func(http.ResponseWriter, *http.Request) {}})
	s.get("/?a=%0Ab")
	s.get("/", "User-Agent: a\nb\x00\xff")
	lines := s.lines(t)
	if len(lines) != 2 {
		t.Fatalf("%d lines, want 2:\n%s", len(lines), s.log)
	}
	if got, want := lines[1]["user_agent"], "a\nb\ufffd\ufffd"; got != want {
		t.Errorf("user agent %q, want %q", got, want)
	}
	if _, err := time.ParseDuration(lines[0]["duration"]); err != nil {
		t.Error(err)
	}
	if _, err := time.Parse(time.RFC3339Nano, lines[0]["time"]); err != nil {
		t.Error(err)
	}
}

func TestLineTakesLevelFromStatus(t *testing.T) {
	status := 0
	s := newService(t, map[string]http.HandlerFunc{"GET /": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
	}})
	for _, want := range []struct {
		status int
		level  string
	}{{204, "info"}, {302, "info"}, {404, "warn"}, {500, "error"}} {
		s.log.Reset()
		status = want.status
		s.get("/")
		if got := s.lines(t)[0]["level"]; got != want.level {
			t.Errorf("status %d is logged at %s, want %s", status, got, want.level)
		}
	}
}

func TestQuietAccessIsBelowInfo(t *testing.T) {
	var out bytes.Buffer
	handler := Access(NewLogger(&out, slog.LevelInfo), slog.LevelDebug)(http.NotFoundHandler())
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if out.Len() != 0 {
		t.Errorf("logged %q", out.String())
	}
	if w.Header().Get("X-Request-Id") == "" {
		t.Error("no request id in the response")
	}
}

func TestAbortedRequestIsLogged(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{"GET /": func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}})
	func() {
		defer func() {
			if got := recover(); got != http.ErrAbortHandler {
				t.Errorf("server sees panic %v, want http.ErrAbortHandler", got)
			}
		}()
		s.get("/")
	}()
	if len(s.lines(t)) != 1 {
		t.Errorf("log %q, want one line", s.log)
	}
	s.has(t, `http_requests_in_progress{method="GET",path="/"} 0.0`)
	if got := s.find(t, "http_exceptions_total"); got != "" {
		t.Errorf("aborting is counted as an exception: %s", got)
	}
}

func TestResponseKeepsWhatTheServerCanDo(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{
		"GET /flush": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "a")
			w.(http.Flusher).Flush()
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Errorf("flush: %v", err)
			}
			if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil {
				t.Errorf("set a deadline through the wrapper: %v", err)
			}
		},
		"GET /copy": func(w http.ResponseWriter, _ *http.Request) {
			io.Copy(w, strings.NewReader("12345"))
		},
		"GET /early": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusTeapot)
			w.WriteHeader(http.StatusOK) // too late
		},
		"GET /hijack": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Errorf("hijack: %v", err)
				return
			}
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			conn.Close()
		},
	})
	var served sync.WaitGroup // closing a server does not wait for hijacked connections
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer served.Done()
		s.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	defer server.Close()
	for _, path := range []string{"/flush", "/copy", "/early", "/hijack"} {
		served.Add(1)
		response, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	served.Wait()

	got := map[string]string{}
	for _, line := range s.lines(t) {
		got[line["url"]] = line["status"] + " " + line["size"]
	}
	for path, want := range map[string]string{"/flush": "200 1", "/copy": "200 5", "/early": "418 0"} {
		if got[path] != want {
			t.Errorf("%s is logged with status and size %q, want %q", path, got[path], want)
		}
	}
}

func TestHeadHasNoSize(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{"GET /": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello")
	}})
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodHead, "/", nil))
	if got := s.lines(t)[0]["size"]; got != "0" {
		t.Errorf("size %s, want 0", got)
	}
}
