package httpclient

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	promconfig "github.com/prometheus/common/config"
	"golang.org/x/oauth2/clientcredentials"
)

// oauth2Transport adds a token to every request. The one of Prometheus's library follows
// redirects of a token request anywhere, with the client's secret, and waits for a token
// forever.
type oauth2Transport struct {
	*Tokens
	next     http.RoundTripper
	settings *promconfig.OAuth2
}

func newOAuth2(o *promconfig.OAuth2, next http.RoundTripper, name, userAgent string) (*oauth2Transport, error) {
	transport, err := plainRoundTripper(promconfig.HTTPClientConfig{TLSConfig: o.TLSConfig, ProxyConfig: o.ProxyConfig}, name, userAgent)
	if err != nil {
		return nil, fmt.Errorf("oauth2: %w", err)
	}
	t := &oauth2Transport{next: next, settings: o}
	t.Tokens = NewTokens(transport, 0, t.credential)
	return t, nil
}

// RoundTrip implements http.RoundTripper.
func (t *oauth2Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := t.Token(r.Context())
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	authorized := r.Clone(r.Context())
	token.SetAuthHeader(authorized)
	answer, err := t.next.RoundTrip(authorized)
	if err == nil && answer.StatusCode == http.StatusUnauthorized {
		t.Refused(token)
	}
	return answer, err
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach all connections.
func (t *oauth2Transport) CloseIdleConnections() {
	t.Tokens.CloseIdleConnections()
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// credential is what tokens are asked for with; the secret in a file may have changed.
func (t *oauth2Transport) credential() (clientcredentials.Config, error) {
	c := clientcredentials.Config{
		ClientID: t.settings.ClientID, ClientSecret: string(t.settings.ClientSecret), TokenURL: t.settings.TokenURL,
		Scopes: t.settings.Scopes, EndpointParams: make(url.Values),
	}
	for name, value := range t.settings.EndpointParams {
		c.EndpointParams.Set(name, value)
	}
	if t.settings.ClientSecretFile != "" {
		text, err := os.ReadFile(t.settings.ClientSecretFile)
		if err != nil {
			return c, fmt.Errorf("read the OAuth2 client secret: %w", err)
		}
		c.ClientSecret = strings.TrimSpace(string(text))
	}
	return c, nil
}
