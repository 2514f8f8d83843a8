package httpclient

import (
	"net/http"
	"net/url"
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

func TestAnswersDoNotRepeatSecretsOfTheURL(t *testing.T) {
	target, err := url.Parse("http://user:s3cret-password@h/write?token=s3cret%2Fquery&db=metrics")
	if err != nil {
		t.Fatal(err)
	}
	got := WithoutCredentials("no s3cret-password, s3cret/query, s3cret%2Fquery or /write?token=short&db=metrics", &http.Response{Request: &http.Request{URL: target}})
	if want := "no (secret), (secret), (secret) or /write?token=(secret)&db=metrics"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// The client names the URL that has redirected it: that may be the beginning of the
// other one.
func TestTheURLThatRedirectsIsNoSecretButItsParametersAre(t *testing.T) {
	answer := &http.Response{Request: &http.Request{Header: http.Header{"Referer": {"http://h:1/?token=s3cret-token"}}}}
	if got := WithoutCredentials("http://h:1/login/s3cret-token", answer); got != "http://h:1/login/(secret)" {
		t.Error(got)
	}
}
