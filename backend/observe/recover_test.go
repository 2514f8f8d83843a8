package observe

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
)

func containsAll(s string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}

func TestExceptionsAreCountedByType(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{
		"GET /text":  func(http.ResponseWriter, *http.Request) { panic("text") },
		"GET /error": func(http.ResponseWriter, *http.Request) { panic(io.ErrUnexpectedEOF) },
	})
	s.get("/text")
	s.get("/error")
	s.has(t, `http_exceptions_total{exception_type="string",method="GET",path="/text"} 1.0`)
	s.has(t, `http_exceptions_total{exception_type="*errors.errorString",method="GET",path="/error"} 1.0`)
}

func TestConnectionSurvivesPanic(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{"GET /": func(http.ResponseWriter, *http.Request) { panic("x") }})
	server := httptest.NewServer(s)
	defer server.Close()
	for i := range 2 {
		reused := false
		request, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused },
		}), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if reused != (i > 0) {
			t.Errorf("request %d: connection reused: %v", i, reused)
		}
	}
}

func TestHalfAResponseDoesNotLookComplete(t *testing.T) {
	s := newService(t, map[string]http.HandlerFunc{"GET /": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic("x")
	}})
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	response, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadAll(response.Body)
	response.Body.Close()
	server.Close()
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("client reads %v, want an answer that breaks off", err)
	}
	s.has(t, `http_exceptions_total{exception_type="string",method="GET",path="/"} 1.0`)
}
