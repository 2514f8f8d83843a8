package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthcheckReportsTheState(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			http.NotFound(w, r)
		}
	}))
	if err := healthcheck(t.Context(), server.URL); err != nil {
		t.Error(err)
	}
	server.Close()
	if err := healthcheck(t.Context(), server.URL); err == nil {
		t.Error("a server that has stopped is healthy")
	}
	broken := httptest.NewServer(http.NotFoundHandler())
	defer broken.Close()
	if err := healthcheck(t.Context(), broken.URL); err == nil {
		t.Error("a server that answers 404 is healthy")
	}
}

func TestRunRejectsWhatItDoesNotKnow(t *testing.T) {
	if err := run(t.Context(), []string{"help"}, env(), io.Discard); err == nil {
		t.Error("unknown argument is accepted")
	}
	if err := run(t.Context(), nil, env("PORT=x"), io.Discard); err == nil || !strings.Contains(err.Error(), "PORT") {
		t.Errorf("error %v, want one about PORT", err)
	}
}
