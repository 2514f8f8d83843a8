package scrape

import (
	"io"
	"net/http"
	"testing"

	"collector/pkg/component"
	"collector/pkg/listen"
)

func TestComponentsOfTheProgramAreScrapedWithoutASocketAndWithoutCredentials(t *testing.T) {
	memory := listen.NewMemory()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the credentials are for other hosts")
		}
		io.WriteString(w, "within "+r.URL.Path)
	})}
	go server.Serve(memory)
	defer server.Close()
	others := transport(func(r *http.Request) (*http.Response, error) {
		r.Header.Set("Authorization", "Bearer secret")
		return nil, http.ErrAbortHandler
	})
	client := &http.Client{Transport: newRouted(memory, others)}
	resp, err := client.Get("http://" + component.MemoryAddress + "/api/v0/component/x/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); string(body) != "within /api/v0/component/x/metrics" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	for _, url := range []string{"http://alloy.internal:80/metrics", "https://" + component.MemoryAddress, "http://127.0.0.1:12345/"} {
		if resp, err := client.Get(url); err == nil {
			resp.Body.Close()
			t.Errorf("%s leads to a component", url)
		}
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
