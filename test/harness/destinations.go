package harness

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Answering is the URL of a server that answers every request with a status and a text.
func Answering(t testing.TB, status int, text string) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if text == "" {
			w.WriteHeader(status)
			return
		}
		http.Error(w, text, status)
	})
}

// Hanging is the URL of a server that accepts every request and answers none.
func Hanging(t testing.TB) string {
	ended := make(chan struct{})
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-ended:
		}
	})
	t.Cleanup(func() { close(ended) }) // before the server closes, which waits
	return url
}

// Refusing is a URL where nobody listens.
func Refusing(t testing.TB) string { return "http://" + Address(FreePort(t)) }

func serve(t testing.TB, answer http.HandlerFunc) string {
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.URL
}
