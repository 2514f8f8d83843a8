//go:build integration

package integration

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// recorder sits between a client and the collector, and keeps each request that the
// collector has acknowledged.
type recorder struct {
	URL string

	mu       sync.Mutex
	requests []request
}

type request struct {
	Path, Query, ContentType string
	Body                     []byte
}

func newRecorder(t *testing.T, target string) *recorder {
	r := &recorder{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		body, err := io.ReadAll(in.Body)
		if err != nil {
			t.Error(err)
			return
		}
		out, err := http.NewRequestWithContext(in.Context(), in.Method, target+in.URL.RequestURI(), bytes.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		out.Header = in.Header.Clone()
		resp, err := http.DefaultClient.Do(out)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			r.mu.Lock()
			r.requests = append(r.requests, request{in.URL.Path, in.URL.RawQuery, in.Header.Get("Content-Type"), body})
			r.mu.Unlock()
		}
		w.WriteHeader(resp.StatusCode)
		io.Copy(w, resp.Body)
	}))
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

// Requests returns what has been acknowledged so far.
func (r *recorder) Requests() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]request(nil), r.requests...)
}
