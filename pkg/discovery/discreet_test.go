package discovery

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"collector/pkg/component"
	"collector/pkg/httpclient"
)

func TestAnEngineThatRepeatsCredentialsShowsNone(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "not for %s, %s", r.Header.Get("Authorization"), r.Header.Get("X-Api-Key"))
	}))
	defer server.Close()
	client := httpclient.Default()
	client.BearerToken = "hunter-bearer"
	client.HTTPHeaders = map[string][]component.Secret{"X-Api-Key": {"hunter-header"}}
	made, err := client.New("discovery.docker.x", "test")
	if err != nil {
		t.Fatal(err)
	}
	made.Transport = discreet{made.Transport}
	resp, err := made.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "not for Bearer (secret), (secret)" {
		t.Errorf("%q %v", text, err)
	}
}
