package httpclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	promconfig "github.com/prometheus/common/config"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const (
	// expiryMargin is how long before its end a token is no longer used, so that it
	// does not expire on the way.
	expiryMargin = 10 * time.Second
	// refusedAge is how old a token is at least that is dropped for a 401: a new
	// one would hardly be better, and is not asked for with each request.
	refusedAge = 10 * time.Second
)

// oauth2Transport adds a token to every request. The one of Prometheus's
// library follows redirects of a token request anywhere, with the client's
// secret, and waits for a token for ever.
type oauth2Transport struct {
	next       http.RoundTripper
	settings   *promconfig.OAuth2
	client     *http.Client  // for token requests
	turn       chan struct{} // holds one element while nobody is at the fields below
	credential *clientcredentials.Config
	token      *oauth2.Token
	fetched    time.Time

	refused atomic.Pointer[oauth2.Token] // the last one that was answered with a 401
	now     func() time.Time
}

func newOAuth2(o *promconfig.OAuth2, next http.RoundTripper, name, userAgent string) (*oauth2Transport, error) {
	transport, err := plainRoundTripper(promconfig.HTTPClientConfig{TLSConfig: o.TLSConfig, ProxyConfig: o.ProxyConfig}, name, userAgent)
	if err != nil {
		return nil, fmt.Errorf("oauth2: %w", err)
	}
	// The request carries the client's secret, in a header or in its body.
	client := &http.Client{Transport: transport, CheckRedirect: PushRedirects(true)}
	t := &oauth2Transport{next: next, settings: o, client: client, turn: make(chan struct{}, 1), now: time.Now}
	t.turn <- struct{}{}
	return t, nil
}

// RoundTrip implements http.RoundTripper.
func (t *oauth2Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := t.current(r.Context())
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
		t.refused.Store(token)
	}
	return answer, err
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach all connections.
func (t *oauth2Transport) CloseIdleConnections() {
	t.client.CloseIdleConnections()
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// current returns a token that is valid. One caller at a time asks for it.
func (t *oauth2Transport) current(ctx context.Context) (*oauth2.Token, error) {
	select {
	case <-t.turn:
		defer func() { t.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for an OAuth2 token: %w", ctx.Err())
	}
	secret, err := t.secret()
	if err != nil {
		return nil, err
	}
	if t.credential == nil || t.credential.ClientSecret != secret {
		t.token, t.credential = nil, &clientcredentials.Config{
			ClientID: t.settings.ClientID, ClientSecret: secret, TokenURL: t.settings.TokenURL,
			Scopes: t.settings.Scopes, EndpointParams: make(url.Values),
		}
		for name, value := range t.settings.EndpointParams {
			t.credential.EndpointParams.Set(name, value)
		}
	}
	if t.usable() {
		return t.token, nil
	}
	t.token, err = t.credential.Token(context.WithValue(ctx, oauth2.HTTPClient, t.client))
	if err != nil {
		return nil, explain(err, secret)
	}
	t.fetched = t.now()
	return t.token, nil
}

// usable reports whether the token can be used again. The library's Valid goes by
// the wall clock: when that is set back, it has an expired token be used for as
// long. The caller has the turn.
func (t *oauth2Transport) usable() bool {
	if t.token == nil {
		return false
	}
	now := t.now() // with its monotonic reading, as Expiry and fetched have one
	if t.refused.Load() == t.token && now.Sub(t.fetched) >= refusedAge {
		return false
	}
	return t.token.Expiry.IsZero() || t.token.Expiry.Sub(now) > expiryMargin
}

// secret is the client's secret; one in a file may have changed.
func (t *oauth2Transport) secret() (string, error) {
	if t.settings.ClientSecretFile == "" {
		return string(t.settings.ClientSecret), nil
	}
	text, err := os.ReadFile(t.settings.ClientSecretFile)
	if err != nil {
		return "", fmt.Errorf("read the OAuth2 client secret: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// explain says why there is no token. The server's words may repeat what was
// sent.
func explain(err error, secret string) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return fmt.Errorf("fetch an OAuth2 token: %w", failed.Err)
	}
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) || answer.Response == nil {
		return fmt.Errorf("fetch an OAuth2 token: %w", err)
	}
	if why := Unacknowledged(answer.Response, answer.Body); why != nil {
		return fmt.Errorf("fetch an OAuth2 token: %w", why)
	}
	words := WithoutSecrets(Words(answer.Response, answer.Body), secret)
	return fmt.Errorf("fetch an OAuth2 token from %s: %s: %s", askedURL(answer.Response), answer.Response.Status, words)
}
