package httpclient

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"collector/pkg/cause"
	"collector/pkg/component"
	"collector/pkg/mask"
)

// What Refusal says of the answer of a target.
var (
	ErrStatus   = errors.New("server returned HTTP status")
	ErrRedirect = errors.New("the target redirects")
)

// FollowOwn is the CheckRedirect of scrapes. A target says for itself where its page is:
// at another path, or by HTTPS. It must not choose another host or port, as the collector
// may reach more than the target can.
func FollowOwn(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects || !SameHost(via[len(via)-1].URL, next.URL) {
		return http.ErrUseLastResponse
	}
	return nil
}

// FollowNone is the CheckRedirect of a request whose answer is shown as it is.
func FollowNone(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Refusal is why the answer of a target, whose body has not been read, is not what
// a scrape is for, such as "metrics".
func Refusal(answer *http.Response, what string) error {
	a := &cause.Answer{Status: answer.StatusCode}
	to, err := answer.Location()
	if err != nil || answer.StatusCode/100 != 3 {
		const some = 4 << 10
		body := Beginning(answer, some)
		if _, a.WebPage = cause.IsWebPage(body); len(body) > 0 {
			a.Words = Words(answer, body)
		}
		a.WantsTLS = cause.SpeaksTLS(answer, body)
		a.Err = fmt.Errorf("%w %s", ErrStatus, answer.Status)
		return a
	}
	why := "it leads to another host or port"
	if from := answer.Request; from == nil || SameHost(from.URL, to) {
		why = "follow_redirects is off, or there were too many"
	}
	a.Location = WithoutCredentials(CleanURL(to), answer)
	a.Err = fmt.Errorf("%w to %s (HTTP status %s), which is not followed: %s: if the %s are there, scrape that address", ErrRedirect, a.Location, answer.Status, why, what)
	return a
}

// CameFrom is where an answer is from, if a redirect led there.
func CameFrom(answer *http.Response) string {
	if answer.Request == nil || answer.Request.Response == nil {
		return ""
	}
	return WithoutCredentials(CleanURL(answer.Request.URL), answer)
}

// WithoutOwnSecrets is text without the secrets that the client sends in headers.
func (c *Config) WithoutOwnSecrets(text string) string {
	for _, secret := range c.ownSecrets() {
		if secret != "" {
			text = strings.ReplaceAll(text, string(secret), mask.Redacted)
		}
	}
	return text
}

// ownSecrets are the secrets of a client, with those in files as they are now.
func (c *Config) ownSecrets() []component.Secret {
	secrets := []component.Secret{c.BearerToken, inFile(c.BearerTokenFile)}
	if a := c.BasicAuth; a != nil {
		for _, password := range []component.Secret{a.Password, inFile(a.PasswordFile)} {
			if password != "" {
				pair := base64.StdEncoding.EncodeToString([]byte(a.Username + ":" + string(password)))
				secrets = append(secrets, component.Secret(pair), password)
			}
		}
	}
	if a := c.Authorization; a != nil {
		secrets = append(secrets, a.Credentials, inFile(a.CredentialsFile))
	}
	if o := c.OAuth2; o != nil {
		secrets = append(secrets, o.ClientSecret, inFile(o.ClientSecretFile))
		for name, value := range o.EndpointParams {
			if !mask.ShowsParameter(name) {
				secrets = append(secrets, component.Secret(value))
			}
		}
	}
	for _, headers := range []map[string][]component.Secret{c.HTTPHeaders, c.ProxyConnectHeader} {
		for _, values := range headers {
			secrets = append(secrets, values...)
		}
	}
	return secrets
}

// inFile is the secret in a file; without the file none was sent.
func inFile(name string) component.Secret {
	if name == "" {
		return ""
	}
	text, _ := os.ReadFile(name)
	return component.Secret(strings.TrimSpace(string(text)))
}
