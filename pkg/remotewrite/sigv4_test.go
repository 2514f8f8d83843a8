package remotewrite

import (
	"strings"
	"testing"

	"collector/pkg/remotewrite/remotewritetest"
)

func TestSignedEndpointSendsSnappyAtOnce(t *testing.T) {
	r := remotewritetest.New(t, nil)
	e := testEndpoint(t, r.URL, func(e *Endpoint) {
		e.SigV4 = &SigV4{Region: "eu-west-1", AccessKey: "AKIDEXAMPLE", SecretKey: "secret"}
	})
	if _, err := e.Send(t.Context(), testBlocks(t, samples(1, 1), encodingZstd)); err != nil {
		t.Fatal(err)
	}
	got := r.Requests()[0]
	if got.Encoding != "snappy" || !strings.HasPrefix(got.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") {
		t.Errorf("sent in %s with %v", got.Encoding, got.Header)
	}
}
