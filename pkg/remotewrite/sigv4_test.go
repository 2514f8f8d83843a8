package remotewrite

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"collector/pkg/remotewrite/remotewritetest"
)

// TestSignatureAgreesWithAWS compares with what the signer of
// github.com/aws/aws-sdk-go-v2 v1.39.2 makes of the same requests.
func TestSignatureAgreesWithAWS(t *testing.T) {
	keys := awsKeys{access: "AKIDEXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	for url, signature := range map[string]string{
		"https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write": "140d7cca62c452c84ca9c0836c4412831cfa352042ae52c3902da026880a8a74",
		"https://h.example:8443/a%20b/c?z=1&a=x%2Fy&a=b&a-=q":                                "1f01fe26d756aa97caf1ab6d6037afaf227a2cbbb742e1d96d8def9d07ddcceb",
	} {
		r, err := http.NewRequest(http.MethodPost, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-protobuf")
		r.Header.Set("Content-Encoding", "snappy")
		sign(r, []byte("body"), sigV4Service, "eu-west-1", keys, time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC))
		want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20240203/eu-west-1/aps/aws4_request, " +
			"SignedHeaders=content-encoding;content-type;host;x-amz-content-sha256;x-amz-date, Signature=" + signature
		if got := r.Header.Get("Authorization"); got != want {
			t.Errorf("%s\n got %s\nwant %s", url, got, want)
		}
	}
}

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
