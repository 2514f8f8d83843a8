package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthcheckOfAnotherServer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ready" {
			http.Error(w, "not there", http.StatusNotFound)
		}
	}))
	defer server.Close()
	var out bytes.Buffer
	if err := healthcheck([]string{server.URL + "/ready"}, &out); err != nil {
		t.Error(err)
	}
	if err := healthcheck([]string{server.URL + "/other"}, &out); err == nil || !strings.Contains(err.Error(), "not there") {
		t.Errorf("got %v for a server that is not ready", err)
	}
	for _, args := range [][]string{{server.URL, server.URL}, {"--server.http.listen-addr=127.0.0.1:1", server.URL}} {
		if err := healthcheck(args, &out); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}
