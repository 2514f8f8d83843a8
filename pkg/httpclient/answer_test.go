package httpclient

import (
	"net/http"
	"testing"
)

func TestAnswersDoNotRepeatCredentials(t *testing.T) {
	answer := &http.Response{Request: &http.Request{Header: http.Header{
		"Authorization": {"Bearer s3cret-token"}, "X-Api-Key": {"s3cret-key"}, "X-Short": {"at"}, "Content-Type": {"application/json"},
	}}}
	got := WithoutCredentials("no s3cret-token and s3cret-key at application/json", answer)
	if want := "no (secret) and (secret) at application/json"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := WithoutCredentials("text", &http.Response{}); got != "text" {
		t.Errorf("without a request: %q", got)
	}
}
