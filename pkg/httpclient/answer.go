package httpclient

import (
	"net/http"
	"net/url"
	"strings"

	"collector/pkg/mask"
)

// minSecret is how long a header's value must be to be removed wherever it occurs: a
// shorter one is part of other words.
const minSecret = 6

// WithoutCredentials is the text of a response, free of what the request carried
// in its headers and its URL: some servers repeat it in their errors, which are
// logged and shown.
func WithoutCredentials(text string, answer *http.Response) string {
	if answer.Request == nil {
		return text
	}
	for name, values := range answer.Request.Header {
		switch {
		case mask.ShowsHeader(name):
		case name == "Referer": // the URL that redirected here
			for _, value := range values {
				text = withoutSecretsOf(text, value)
			}
		default:
			text = WithoutValues(text, values...)
		}
	}
	if _, password, ok := answer.Request.BasicAuth(); ok {
		text = WithoutSecrets(text, password)
	}
	if u := answer.Request.URL; u != nil {
		text = withoutSecretsOf(text, u.String())
	}
	return mask.WithoutPasswords(text)
}

// withoutSecretsOf is text without the password and the secret parameters of a URL.
func withoutSecretsOf(text, raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return WithoutSecrets(text, raw)
	}
	for name, values := range u.Query() {
		if !mask.ShowsParameter(name) {
			text = WithoutSecrets(text, values...)
		}
	}
	if password, ok := u.User.Password(); ok {
		text = WithoutSecrets(text, password)
	}
	return text
}

// WithoutValues is text without values of headers, which are secrets or, as in
// "Bearer …", have one behind the first word; as they are and as in a URL.
func WithoutValues(text string, values ...string) string {
	for _, value := range values {
		if _, token, ok := strings.Cut(value, " "); ok {
			text = without(text, token)
		}
		text = without(text, value)
	}
	return text
}

// WithoutSecrets is text without secrets, as they are and as in a URL.
func WithoutSecrets(text string, secrets ...string) string {
	for _, secret := range secrets {
		text = without(text, secret)
	}
	return text
}

func without(text, secret string) string {
	if len(secret) < minSecret {
		return text
	}
	for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
		text = strings.ReplaceAll(text, form, mask.Redacted)
	}
	return text
}
