package remotewrite

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"collector/pkg/deliver"
	"collector/pkg/deliver/delivertest"
)

func TestRemoteWritePushes(t *testing.T) {
	for _, sigv4 := range []bool{false, true} {
		delivertest.Push{
			New: func(t *testing.T, url string, headers map[string]string) deliver.Sender {
				return testEndpoint(t, url+"/api/v1/write", func(e *Endpoint) {
					e.Headers = headers
					if sigv4 && headers["Authorization"] == "" {
						e.SigV4 = &SigV4{Region: "eu-west-1", AccessKey: "AKIDEXAMPLE", SecretKey: "secret"}
					}
				})
			},
			Blocks:      testBlocks(t, samples(1, 1), encodingZstd),
			Acknowledge: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		}.Test(t)
	}
}

func TestARedirectedRequestIsSignedForWhereItGoes(t *testing.T) {
	sigv4 := &SigV4{Region: "eu-west-1", AccessKey: "AKIDEXAMPLE", SecretKey: "secret"}
	var signed []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := r.Header.Get("Authorization")
		body, _ := io.ReadAll(r.Body)
		signed = append(signed, got)
		if r.URL.Path != "/there" {
			http.Redirect(w, r, "/there", http.StatusPermanentRedirect)
			return
		}
		// A signature for the first path is not valid here.
		if strings.HasSuffix(signed[0], got[strings.LastIndex(got, "="):]) || len(body) == 0 {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer s.Close()
	e := testEndpoint(t, s.URL+"/write", func(e *Endpoint) { e.SigV4 = sigv4 })
	if _, err := e.Send(t.Context(), testBlocks(t, samples(1, 1), encodingZstd)); err != nil || len(signed) != 2 {
		t.Errorf("%d requests, %v", len(signed), err)
	}
}
