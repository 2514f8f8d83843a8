package aws

import (
	"net/http"
	"testing"
	"time"
)

// TestSignatureAgreesWithAWS compares with what the signer of
// github.com/aws/aws-sdk-go-v2 v1.39.2 makes of the same requests.
func TestSignatureAgreesWithAWS(t *testing.T) {
	keys := Keys{Access: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
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
		Sign(r, []byte("body"), Request{Service: "aps", Region: "eu-west-1"}, keys, time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC))
		want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20240203/eu-west-1/aps/aws4_request, " +
			"SignedHeaders=content-encoding;content-type;host;x-amz-content-sha256;x-amz-date, Signature=" + signature
		if got := r.Header.Get("Authorization"); got != want {
			t.Errorf("%s\n got %s\nwant %s", url, got, want)
		}
	}
}

// The example in AWS's documentation of S3:
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
func TestSignatureForS3MatchesAWSsExample(t *testing.T) {
	r, err := http.NewRequest(http.MethodGet, "https://examplebucket.s3.amazonaws.com/test.txt", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Range", "bytes=0-9")
	keys := Keys{Access: "AKIAIOSFODNN7EXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	Sign(r, nil, Request{Service: "s3", Region: "us-east-1", Headers: []string{"Range"}, Plain: true}, keys, time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC))
	const want = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, " +
		"SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
	if got := r.Header.Get("Authorization"); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestThePathIsEscapedTwiceExceptForS3(t *testing.T) {
	r, err := http.NewRequest(http.MethodGet, "https://h/a%20b", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := canonicalPath(r.URL, false) + canonicalPath(r.URL, true); got != "/a%2520b/a%20b" {
		t.Errorf("got %s", got)
	}
}
